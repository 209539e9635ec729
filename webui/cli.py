"""The command line's face: `generate` and `doctor`.

`generate` is built from the tasks' controls, as the page is, so a new task has its options for nothing.
It knows requests and job states; it never touches a tensor.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import shutil
import sys
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, TextIO

from webui import __version__
from webui.defaults import complete
from webui.errors import EaselError, RequestError
from webui.options import SentenceParser
from webui.registry import Catalog
from webui.settings import Settings
from webui.types import (
    Choice,
    Control,
    EngineFace,
    GenerationRequest,
    JobStatus,
    Mask,
    Number,
    Picture,
    Seed,
    Switch,
    Task,
)

__all__ = ["doctor", "generate", "generate_parser", "read_request"]

REQUEST_FIELDS = frozenset(field.name for field in fields(GenerationRequest))
SHORT = {"sampler_name": "--sampler", "scheduler": "--schedule"}  # besides --sampler-name ...
CANCELLED = 130  # exit code, as shells have it for Ctrl+C
LIBRARIES = ("torch", "diffusers", "transformers", "gradio", "xformers")


# --- generate: options from controls --------------------------------------------------------------


def generate_parser(catalog: Catalog) -> SentenceParser:
    """One option per control of any task; help says which tasks have it where not all do."""
    parser = SentenceParser(
        prog="python launch.py generate",
        usage='python launch.py generate "PROMPT" [-o FILE] [options]',
        description="Makes pictures, saves them under outputs/ and prints their paths.",
        epilog="What is left out takes the model's own default. See also: python launch.py --help",
        add_help=False,
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
    )
    parser.add_argument("prompt", metavar="PROMPT", help="what the picture shows")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="PNG file or folder")
    parser.add_argument(
        "--task",
        metavar="NAME",
        help=f"{', '.join(catalog.tasks)}; when left out, the first that takes what is given",
    )
    for control, tasks in controls(catalog.tasks.values()):
        if control.name != "prompt":
            everywhere = len(tasks) == len(catalog.tasks)
            add_option(parser, control, "" if everywhere else f" ({', '.join(tasks)})")
    return parser


def controls(tasks: Iterable[Task]) -> list[tuple[Control, list[str]]]:
    """Every control of any task once, with the names of the tasks that have it."""
    found: dict[str, tuple[Control, list[str]]] = {}
    for task in tasks:
        for control in task.flat_controls():
            found.setdefault(control.name, (control, []))[1].append(task.name)
    return list(found.values())


def add_option(parser: argparse.ArgumentParser, control: Control, where: str) -> None:
    names = ["--" + control.name.replace("_", "-")]
    names += [SHORT[control.name]] if control.name in SHORT else []
    text = control.label + (f": {control.info}" if control.info else "") + where
    text = text.replace("%", "%%")
    if isinstance(control, Switch):
        parser.add_argument(
            *names, dest=control.name, action=argparse.BooleanOptionalAction, help=text
        )
        return
    parser.add_argument(*names, dest=control.name, metavar=placeholder(control), help=text)


def placeholder(control: Control) -> str:
    match control:
        case Number():
            return f"{control.minimum:g}..{control.maximum:g}"
        case Seed():
            return "N"
        case Picture() | Mask():
            return "FILE"
        case Choice():
            return "NAME"
    return "TEXT"


def typed(control: Control, word: Any) -> Any:
    """What a word from the command line means for a control; what it cannot be stays as it is, so
    that `complete` says the same sentence as on every other face."""
    match control:
        case Picture() | Mask():
            if not Path(word).is_file():
                raise RequestError(f"{control.name}: there is no file {word}", control.name)
            return Path(word)
        case Choice() if control.choices:
            for label, value in control.choices:
                if word.lower() in (label.lower(), str(value).lower()):
                    return value
        case Number() | Seed():
            for kind in (int, float):
                try:
                    return kind(word)
                except ValueError:
                    continue
    return word


def chosen_task(catalog: Catalog, given: Mapping[str, Any]) -> Task:
    """The task that is named, else the first whose pictures are just the given ones."""
    if "task" in given:
        return catalog.tasks[catalog.tasks.find(given["task"])]

    def pictures(task: Task) -> set[str]:
        return {c.name for c in task.flat_controls() if isinstance(c, Picture | Mask)}

    wanted = given.keys() & set().union(*(pictures(task) for task in catalog.tasks.values()))
    for task in catalog.tasks.values():
        if pictures(task) == wanted:
            return task
    raise RequestError(f"no task takes {' and '.join(sorted(wanted))} alone; add --task NAME")


def read_request(
    words: Sequence[str], catalog: Catalog, settings: Settings
) -> tuple[GenerationRequest, Path | None]:
    """The complete request that `words` mean, and the -o file or folder for copies of its pictures.

    A wrong option or value raises `RequestError`.
    """
    given = vars(generate_parser(catalog).parse_args(list(words)))
    task = chosen_task(catalog, given)
    output: Path | None = given.pop("output", None)
    given.pop("task", None)
    known = {control.name: control for control, _ in controls(catalog.tasks.values())}
    values = {name: typed(known[name], word) for name, word in given.items()}
    extras = {name: values.pop(name) for name in values.keys() - REQUEST_FIELDS}
    if extras:
        values["extras"] = extras
    request = complete(task.name, values, catalog, settings)
    if output is not None:
        check_output(output)
    return request, output


# --- generate: running ----------------------------------------------------------------------------


def generate(
    engine: EngineFace, request: GenerationRequest, output: Path | None, stop: threading.Event
) -> int:
    """Runs a request on a started engine; prints the pictures' paths to stdout, the rest to stderr.

    Gives 0, or 1 when it failed; when `stop` is set the job is cancelled: 130.
    """
    status = follow(engine, engine.submit(request), stop)
    paths = [picture.path for picture in status.pictures]
    if output is not None:
        targets = destinations(output, paths)
        paths = [copied(path, target) for path, target in zip(paths, targets, strict=True)]
    for path in paths:
        print(path, flush=True)
    if status.error:
        print(f"Easel: {status.error}", file=sys.stderr, flush=True)
    return {"done": 0, "cancelled": CANCELLED}.get(status.state, 1)


def follow(engine: EngineFace, job_id: str, stop: threading.Event) -> JobStatus:
    """Shows the job's progress until it has ended; cancels it when `stop` is set."""
    line = ProgressLine(sys.stderr)
    status = engine.status(job_id)
    while not status.ended:
        if stop.is_set():
            engine.cancel(job_id)
        line.show(progress(status))
        status = engine.wait(job_id, status.version, 0.5)
    line.end(f"{status.state} in {status.seconds:.1f} s")
    return status


def progress(status: JobStatus) -> str:
    """What a job is doing, in a few words."""
    if status.note:
        return status.note
    if status.position:
        return f"position {status.position} in the queue"
    left = "" if status.eta_s is None else f", {max(status.eta_s, 0):.0f} s left"
    return f"step {status.step} of {status.steps}{left}" if status.step else "starting"


class ProgressLine:
    """One line that changes on a terminal; elsewhere a new line for what is new, at most every 2 s."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._changing = stream.isatty()
        self._shown = ""
        self._shown_s = 0.0

    def show(self, text: str) -> None:
        if text == self._shown:
            return
        now = time.monotonic()
        if self._changing:
            self._stream.write("\r" + text.ljust(len(self._shown)))
        elif now - self._shown_s >= 2:
            self._stream.write(text + "\n")
        else:
            return
        self._stream.flush()
        self._shown, self._shown_s = text, now

    def end(self, text: str) -> None:
        self._stream.write("\r" + text.ljust(len(self._shown)) if self._changing else text)
        self._stream.write("\n")
        self._stream.flush()


def check_output(output: Path) -> None:
    """Makes the folder of `output`; a RequestError where no picture could be put there."""
    if not output.is_dir() and output.suffix.lower() not in ("", ".png"):
        raise RequestError(f"-o {output}: pictures are saved as PNG; use {output.stem}.png")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RequestError(f"-o {output}: {error.strerror}") from None


def destinations(output: Path, paths: Sequence[Path]) -> list[Path]:
    """Where copies of `paths` go: under their names into a folder, else FILE, or FILE-1, FILE-2 ..."""
    if output.is_dir():
        return [output / path.name for path in paths]
    if len(paths) == 1:
        return [output]
    return [output.with_stem(f"{output.stem}-{i}") for i in range(1, len(paths) + 1)]


def copied(source: Path, target: Path) -> Path:
    """`target`, a copy of `source` that appears whole."""
    part = target.with_name(target.name + ".tmp")
    try:
        shutil.copyfile(source, part)
        os.replace(part, target)
    except OSError as error:
        raise EaselError(f"-o {target}: {error.strerror}; the picture is {source}") from None
    return target


# --- doctor ---------------------------------------------------------------------------------------


def doctor(catalog: Catalog, settings: Settings) -> int:
    """Prints what there is and what will be used; 1 when no picture could be made here, else 0."""
    healthy = True
    tell("Easel", __version__)
    tell("Python", f"{platform.python_version()} ({sys.executable})")
    tell("System", f"{platform.platform()}, {os.cpu_count()} cores{memory()}")
    for library in LIBRARIES:
        tell(library, installed(library))
    try:
        from webui.engine.placement import place

        placed = place(settings.device, settings.dtype, settings.attention)
    except (EaselError, ImportError, OSError) as error:  # OSError: a library of torch's is missing
        tell("Device", f"PROBLEM: {error}")
        healthy = False
    else:
        tell("Device", f"{placed.device}: {placed.device_reason}")
        tell("Dtype", f"{placed.dtype_name}: {placed.dtype_reason}")
        tell("Attention", f"{placed.attention.name}: {placed.attention.reason}")
    cards = catalog.list_models()
    for card in cards:
        tell(
            "Model",
            f"{card.name}: " + (f"PROBLEM: {card.problem}" if card.problem else card.family),
        )
    if all(card.problem for card in cards):
        folders = ", ".join(str(folder) for folder in settings.models_dirs)
        tell("Models", f"PROBLEM: none that can be used in {folders}; see docs/models.md")
        healthy = False
    tell("Pictures", f"{settings.outputs_dir}, {free_gb(settings.outputs_dir):.0f} GB free")
    return 0 if healthy else 1


def tell(what: str, value: str) -> None:
    print(f"{what:13}{value}", flush=True)


def installed(library: str) -> str:
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def memory() -> str:
    """ ", 8 GB memory", or nothing where the system does not say."""
    try:
        size = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return ""
    return f", {size / 1e9:.0f} GB memory"


def free_gb(folder: Path) -> float:
    """Free space where `folder` is or will be."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    return shutil.disk_usage(there).free / 1e9
