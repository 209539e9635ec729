"""The composition root: what is put together, and `serve` as a real process from start to SIGTERM."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

from tests.networks import tiny_folder
from webui import app
from webui.defaults import complete
from webui.errors import RequestError
from webui.settings import BUNDLED, ROOT, Settings
from webui.store import preferences
from webui.store.jobs import JobStore


def test_compose_finds_names_as_people_write_them():
    catalog = app.compose(Settings()).catalog
    assert catalog.samplers.find("k_euler_a") == "Euler a"
    assert catalog.samplers.find("dpm++ 2m") == "DPM++ 2M"
    assert catalog.schedules.find("Automatic") == "automatic"
    assert catalog.tasks.find("Text to image") == "txt2img"
    assert catalog.upscalers.find("lanczos") == "Lanczos"
    with pytest.raises(RequestError, match="did you mean 'Heun'"):
        catalog.samplers.find("heum")


def test_compose_sees_models_that_come_and_go(tmp_path):
    catalog = app.compose(Settings.at(tmp_path, models_dirs=(tmp_path / "models",))).catalog
    assert catalog.list_models() == []
    tiny_folder(tmp_path / "models" / "Stable-diffusion" / "new")
    assert list(catalog.models()) == ["new"]


def test_jobs_on_disk_are_known_before_the_engine_is_started(tmp_path):
    """Whoever asks for one as soon as the page answers is told of it."""
    tiny_folder(tmp_path / "models" / "Stable-diffusion" / "tiny")
    settings = Settings.at(tmp_path, models_dirs=(tmp_path / "models",))

    def composed():
        return app.compose(settings, store=app.open_store(settings))

    before = composed()
    values = {"prompt": "a cat", "width": 64, "height": 64, "steps": 1, "seed": 1}
    request = complete("txt2img", values, before.catalog, before.settings)
    jobs = [before.engine.submit(request) for _ in range(3)]
    before.close()
    after = composed()
    after.engine.restore()
    assert [after.engine.status(job).state for job in jobs] == ["queued"] * 3
    after.close()


def test_a_wrong_command_line_is_a_sentence_and_exit_code_2(capsys):
    assert app.main(["serv"]) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.count("\n") == 1
    assert "did you mean 'serve'" in printed.err


def test_what_is_switched_off_stays_off_in_the_next_start(tmp_path):
    settings = Settings.at(tmp_path)
    first = app.compose(settings).extensions
    name = first.statuses()[0].name
    first.switch(name, False)
    again = {status.name: status for status in app.compose(settings).extensions.statuses()}
    assert again[name].state == "off" and again[name].import_s == 0
    assert [one for one in again if again[one].state != "on"] == [name]


@pytest.mark.parametrize("kept", ["film_grain", ["film_grain", 3], {"film_grain": True}])
def test_a_preference_of_another_kind_switches_nothing_off(tmp_path, kept):
    preferences.write(tmp_path, {app.DISABLED: kept})
    statuses = app.compose(Settings.at(tmp_path)).extensions.statuses()
    assert all(status.state == "on" for status in statuses)


def test_every_bundled_extension_loads_without_a_problem(tmp_path):
    statuses = app.load_extensions(Settings.at(tmp_path, safe_mode=True)).statuses()
    told = {status.name: status.problems for status in statuses if status.bundled}
    assert told == dict.fromkeys(BUNDLED, ())


def test_a_tasks_name_is_a_command(tmp_path, capsys):
    tiny_folder(tmp_path / "models" / "Stable-diffusion" / "tiny")
    folder = tmp_path / "extensions"
    folder.mkdir()
    (folder / "turned.py").write_text(
        "from webui.api import *\nfrom webui.api import hookimpl\n"
        "def turned(request, studio):\n"
        "    model = yield LoadModel(request.model)\n"
        "    cond = yield EncodeText(model, request.prompt, request.negative_prompt)\n"
        "    sampling = studio.sampling(cond)\n"
        "    noise = studio.first_noise(model.latent_shape(request.width, request.height))\n"
        "    latent = yield from studio.sample(sampling, noise * sampling.sigmas[0])\n"
        "    picture = studio.picture((yield Decode(model, latent)))\n"
        "    return picture.rotate(request.extras['by'])\n"
        "BY = Number(name='by', label='By', minimum=0, maximum=180, default=180)\n"
        "@hookimpl\n"
        "def register_tasks(): return [Task('turned', 'Turned', turned, (*PROMPTS, *COMMON, BY))]\n"
    )
    common = ["--data-dir", str(tmp_path), "--extensions-dir", str(folder), "--device", "cpu"]
    small = [
        "a cat",
        "--model",
        "tiny",
        "--width",
        "64",
        "--height",
        "64",
        "--steps",
        "2",
        "--seed",
        "7",
    ]
    paths = []
    for command in (["generate"], ["turned"], ["turned", "--by", "0"]):
        assert app.main([*common, *command[:1], *small, *command[1:]]) == 0
        paths.append(capsys.readouterr().out.strip())
    plain, turned, same = (Image.open(path).convert("RGB") for path in paths)
    assert turned.tobytes() == plain.rotate(180).tobytes() != plain.tobytes() == same.tobytes()
    assert app.main([*common, "truned", *small]) == 2
    assert "command 'truned' is not known; did you mean 'turned'?" in capsys.readouterr().err


def test_a_new_extension_is_loaded_by_the_next_list(tmp_path, capsys):
    given = ["--data-dir", str(tmp_path), "--extensions-dir", str(tmp_path), "ext"]
    assert app.main([*given, "new", "corners"]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "corners")
    assert app.main([*given, "list", "--json"]) == 0
    corners = json.loads(capsys.readouterr().out)[-1]
    assert (corners["name"], corners["state"], corners["problems"]) == ("corners", "on", [])
    assert app.main([*given, "new", "corners"]) == 2
    assert "corners" in capsys.readouterr().err


def test_ext_without_a_word_or_with_a_wrong_one(capsys):
    assert app.main(["ext"]) == 0
    assert "list" in capsys.readouterr().out
    assert app.main(["ext", "lost"]) == 2
    assert "'lost'" in capsys.readouterr().err


def test_help_of_every_command_prints_and_starts_nothing(capsys):
    for argv in (["--help"], ["generate", "--help"], ["doctor", "-h"], ["ext", "--help"]):
        assert app.main(argv) == 0
        assert "usage: python launch.py" in capsys.readouterr().out


# --- serve, as people start it --------------------------------------------------------------------


@dataclass
class Served:
    process: subprocess.Popen[str]
    url: str
    data_dir: Path

    def call(self, name: str, **values: object) -> str:
        """Starts a Gradio endpoint by keyword, as curl would; gives its event's id."""
        request = urllib.request.Request(
            f"{self.url}/gradio_api/call/v2/{name}",
            json.dumps(values).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as reply:
            event: str = json.load(reply)["event_id"]
        return event

    def answer(self, name: str, event: str) -> str:
        url = f"{self.url}/gradio_api/call/{name}/{event}"
        with urllib.request.urlopen(url, timeout=180) as reply:
            text: str = reply.read().decode()
        return text


@contextmanager
def serving(data_dir: Path, *options: str) -> Iterator[Served]:
    """A server of its own on a tiny model, killed at the end if it still runs."""
    if not (data_dir / "models").exists():
        tiny_folder(data_dir / "models" / "Stable-diffusion" / "tiny")
    process = subprocess.Popen(
        [
            *(sys.executable, str(ROOT / "launch.py"), "--skip-install", "--no-browser"),
            *("--port", "0", "--device", "cpu", "--dtype", "float32", "--data-dir", str(data_dir)),
            *options,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={k: v for k, v in os.environ.items() if not k.startswith("GRADIO")},
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("Easel is at http"), line + process.communicate(timeout=120)[1]
        yield Served(process, line.split()[-1].rstrip("/"), data_dir)
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def until(met: Callable[[], object], what: str, timeout_s: float = 180) -> None:
    """Waits for a process that has torch to import first."""
    limit = time.monotonic() + timeout_s
    while not met():
        assert time.monotonic() < limit, what
        time.sleep(0.02)


def pictures(data_dir: Path) -> list[Path]:
    return sorted((data_dir / "outputs").rglob("*.png"))


def seeds(data_dir: Path) -> set[str]:
    return {path.stem.rpartition("-")[2] for path in pictures(data_dir)}


def test_a_server_answers_is_killed_goes_on_with_its_jobs_and_ends_cleanly(tmp_path):
    """kill -9 in the middle of a picture, with another job in the queue behind it; SIGTERM in the next start."""
    small = {"model": "tiny", "width": 64, "height": 64, "prompt": "a cat"}
    with serving(tmp_path) as server:
        with urllib.request.urlopen(server.url, timeout=60) as reply:
            assert reply.status == 200 and "Easel" in reply.read().decode()
        event = server.call("txt2img", steps=2, seed=7, **small)
        assert "event: complete" in server.answer("txt2img", event)
        assert seeds(tmp_path) == {"7"}
        server.call("txt2img", steps=80, seed=1, sampler_name="Heun", **small)
        server.call("txt2img", steps=3, seed=2, batch_size=2, **small)
        replies = tmp_path / ".easel" / "replies"
        until(lambda: any(path.stat().st_size > 20_000 for path in replies.glob("*")), "a step")
        server.process.kill()
        server.process.wait()
    assert "1" not in seeds(tmp_path)

    with serving(tmp_path) as server:
        until(lambda: seeds(tmp_path) == {"7", "1", "2", "3"}, "the pictures")
        until(lambda: not list(replies.glob("*")), "what was kept of them is gone")
        long = server.call("txt2img", steps=150, batch_size=16, **small)
        told: list[str] = []
        listening = threading.Thread(
            target=lambda: told.append(server.answer("txt2img", long)), daemon=True
        )
        listening.start()
        time.sleep(0.5)  # it runs now, most likely; what follows must hold if it does not, too
        server.process.send_signal(signal.SIGTERM)
        out, err = server.process.communicate(timeout=120)
        assert server.process.returncode == 0, err
    assert len(pictures(tmp_path)) == 4
    first = [line for line in err.splitlines() if "80 steps" in line]
    calls = int(first[0].split("; ")[1].split()[0])  # "...; N UNet calls with ..."
    assert calls < 159, "what was known was not made again"
    assert "Traceback" not in err and "finishing" in err and out == ""
    assert not list(tmp_path.rglob("*.tmp"))
    listening.join(60)
    assert "event: error" in told[0] and "stopped" in told[0]  # who waits for the job is told


HANGING = """
import pathlib
import time

from webui.api import LoadNetwork, RunNetwork, Task, hookimpl

ONCE = pathlib.Path(__file__).with_name("hung")


def build():
    import torch

    class Hanging(torch.nn.Module):
        def forward(self, x):
            if not ONCE.exists():
                ONCE.touch()
                time.sleep(3600)
            return x

    return Hanging()


def make(request, studio):
    network = yield LoadNetwork("hanging", "it", build)
    picture = studio.pixels(studio.picture(studio.noise(1, (3, 64, 64))))
    return (yield RunNetwork(network, (picture,)))


def sleep(request, studio):
    ONCE.with_name("sleeps").touch()
    time.sleep(3600)
    yield


@hookimpl
def register_tasks():
    sleeping = Task("sleeping", "Sleeping", sleep, samples=False)
    return [Task("hanging", "Hanging", make, samples=False), sleeping]
"""


def test_a_device_that_hangs_is_named_and_a_restart_goes_on_and_ends_though_a_task_does_not(
    tmp_path,
):
    folder = tmp_path / "added"
    folder.mkdir()
    (folder / "hanging.py").write_text(HANGING, encoding="utf-8")
    with serving(tmp_path, "--extensions-dir", str(folder), "--restart-on-hang", "1") as server:
        server.call("hanging")
        until(lambda: pictures(tmp_path), "the picture of the second start")
        assert server.process.stdout is not None
        server.url = server.process.stdout.readline().split()[-1].rstrip("/")  # another port
        server.call("sleeping")
        until((folder / "sleeps").exists, "a task that sleeps for an hour")
        server.process.send_signal(signal.SIGTERM)
        _, err = server.process.communicate(timeout=120)
    assert "a task has not ended for 5 s: Easel stops without it" in err
    kept = JobStore(tmp_path / ".easel")
    assert [job.request.task for job in kept.unfinished()] == ["sleeping"], "it goes on later"
    kept.close()
    assert "has not answered for 1 s: RunNetwork" in err
    assert "starting anew" in err and server.process.returncode == 0
