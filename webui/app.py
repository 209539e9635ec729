"""The composition root: builds catalog, engine and page, and passes them to each other.

The only file that sees everything. It decides nothing about pictures; it decides what starts when:
the page answers first, then the engine's thread loads torch.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
import webbrowser
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from types import FrameType

from webui import cli, images
from webui.engine.checkpoints import list_models
from webui.engine.engine import Engine, EngineOptions
from webui.engine.samplers import SAMPLERS
from webui.engine.schedules import SCHEDULES
from webui.engine.tasks import TASKS
from webui.errors import EaselError
from webui.options import CommandLine, read, shared_parser
from webui.registry import Catalog, Registry
from webui.settings import Settings

__all__ = ["Composition", "compose", "main"]

GRACE_S = 0.5  # between the engine's end and the page's: those who wait for a job are told


@dataclass(frozen=True, slots=True)
class Composition:
    """Everything that runs, made for one set of settings. Nothing is started yet."""

    engine: Engine
    catalog: Catalog
    settings: Settings


def compose(settings: Settings) -> Composition:
    """Puts the built-in tasks, samplers and schedules together with the models of `settings`."""
    models = partial(list_models, settings.models_dirs)
    catalog = Catalog(
        tasks=Registry("task", TASKS.items(), lambda task: (task.label,)),
        samplers=Registry("sampler_name", SAMPLERS.items(), lambda sampler: sampler.aliases),
        schedules=Registry(
            "scheduler", SCHEDULES.items(), lambda schedule: (schedule.label, *schedule.aliases)
        ),
        list_models=models,
    )
    engine = Engine(
        models,
        SAMPLERS,
        SCHEDULES,
        TASKS,
        save=partial(images.save, outputs_dir=settings.outputs_dir),
        options=EngineOptions(
            device=settings.device,
            dtype=settings.dtype,
            attention=settings.attention,
            deterministic=settings.deterministic,
        ),
    )
    return Composition(engine, catalog, settings)


def main(argv: Sequence[str]) -> int:
    """Runs the command line `argv` (without the program's name).

    Gives the exit code: 0, 1 when a picture failed, 2 for a request or option that is wrong.
    """
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s", level=logging.WARNING)
    try:
        line = read(argv)
        for note in line.notes:
            say(note)
        return COMMANDS[line.command](line)
    except EaselError as error:
        say(str(error))
        return 2


def say(text: str) -> None:
    print(f"Easel: {text}", file=sys.stderr, flush=True)


# --- The commands ---------------------------------------------------------------------------------


def serve(line: CommandLine) -> int:
    """The page until SIGTERM or Ctrl+C; then the running call is finished and all is closed."""
    if line.help:
        shared_parser().print_help()
        return 0
    from webui.ui import launch_page

    logging.getLogger("webui").setLevel(logging.INFO)  # the terminal of a server is its log
    composition = compose(line.settings)
    with stop_signals() as stop:
        page = launch_page(
            composition.engine, composition.catalog, composition.settings, quiet=True
        )
        print(f"Easel is at {page.url}", flush=True)
        composition.engine.start()  # torch is loaded on the engine's thread, beside the page
        if line.browser and has_screen():
            webbrowser.open(page.url)
        while not stop.wait(0.5):  # a wait without end would keep Ctrl+C waiting on Windows
            pass
        say("finishing the running call")
        composition.engine.stop()
        time.sleep(GRACE_S)
        page.close()
    return 0


def generate(line: CommandLine) -> int:
    """One request; the engine is started when it is known to be in order."""
    made = compose(line.settings)
    if line.help:
        cli.generate_parser(made.catalog).print_help()
        return 0
    request, output = cli.read_request(line.rest, made.catalog, made.settings)
    with stop_signals() as stop:
        made.engine.start()
        try:
            return cli.generate(made.engine, request, output, stop)
        finally:
            made.engine.stop()


def doctor(line: CommandLine) -> int:
    if line.help:
        shared_parser().print_help()
        return 0
    made = compose(line.settings)
    return cli.doctor(made.catalog, made.settings)


def train(line: CommandLine) -> int:
    from webui.training.train import main as train_main

    return train_main(list(line.rest))


def test(line: CommandLine) -> int:
    raise EaselError("the tests are started by launch.py: python launch.py test")


COMMANDS: dict[str, Callable[[CommandLine], int]] = {
    "serve": serve,
    "generate": generate,
    "doctor": doctor,
    "train": train,
    "test": test,
}


def has_screen() -> bool:
    """Whether a browser that is opened here would be seen."""
    if sys.platform in ("win32", "darwin"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


@contextmanager
def stop_signals() -> Iterator[threading.Event]:
    """An event that SIGTERM and Ctrl+C set. A second one ends the process at once, exit code 130."""
    stop = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            os._exit(130)
        stop.set()

    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(number, on_signal) for number in numbers]
    try:
        yield stop
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
