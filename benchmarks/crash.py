"""Kills Easel at random moments during a mixed load, and counts what is lost: nothing must be.

    python benchmarks/crash.py [--kills 100] [--jobs 40] [--seed 1] [--shared]

What is measured. A process with the whole engine, the store and the bundled extensions works on a load of different
requests (tasks, samplers, sizes, numbers of pictures, extensions' controls) with a tiny random network, so that
restarts are quick. It is killed (SIGKILL) at a random time after its first step, and started again on the same
folder; when a load is finished before all kills are made, the next one begins. Afterwards every job must be done
exactly once, every picture must be on disk under its own name and nothing else beside it, and each must equal that
of a run that nobody disturbed: to the pixel and the letter, or with `--shared` (requests share UNet calls) within
two grey levels.

Linux and macOS only: processes are forked from one that has torch imported already. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import select
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
from PIL import Image

from webui import app
from webui.defaults import complete
from webui.settings import Settings
from webui.store.jobs import JobStore
from webui.types.jobs import SubmissionKey

SAMPLERS = ("Euler", "Euler a", "DPM++ 2M", "Heun", "LMS", "DDIM", "PLMS")
LIFE_S = 0.6  # a process lives at most this long after its first step, on average half of it
LEVELS = 2  # grey levels that sharing calls may make of a difference


@dataclass
class Tally:
    """What happened."""

    kills: int = 0
    lives: int = 0
    loads: int = 0
    jobs: int = 0
    pictures: int = 0
    faults: list[str] = field(default_factory=list)
    largest_difference: int = 0


# --- The load ---------------------------------------------------------------------------------------


def load(count: int, dice: random.Random) -> list[dict[str, object]]:
    """`count` different requests, as loose values."""
    picture = Image.linear_gradient("L").resize((64, 64)).convert("RGB")
    mask = Image.new("L", (64, 64))
    mask.paste(255, (16, 16, 48, 48))
    requests = []
    for number in range(count):
        task = dice.choice(("txt2img", "txt2img", "img2img", "inpaint"))
        values: dict[str, object] = {
            "task": task,
            "prompt": dice.choice(("a red cat", "a dog on the {grass|blue grass}", "a photo")),
            "sampler_name": dice.choice(SAMPLERS),
            "steps": dice.randint(6, 40),
            "cfg_scale": dice.choice((1.0, 4.0, 7.5)),
            "width": dice.choice((64, 96)),
            "height": 64,
            "batch_size": dice.choice((1, 1, 2, 3)),
            "seed": number * 10,
        }
        if task != "txt2img":
            values["image"] = picture
        if task == "inpaint":
            values["mask"] = mask
        if dice.random() < 0.4:
            values["extras"] = dice.choice(
                ({"pag_scale": 2.0}, {"upscale_by": 1.5}, {"film_grain": 0.2})
            )
        requests.append(values)
    return requests


def settings(folder: Path, models: Path, shared: bool) -> Settings:
    return Settings.at(
        folder,
        models_dirs=(models,),
        device="cpu",
        dtype="float32",
        deterministic=not shared,
    )


def work(folder: Path, models: Path, requests: list[dict[str, object]], shared: bool, told: int):
    """The process that is killed: takes up what there is, submits what is new, writes b"s" at its first step
    and b"d" when everything is done."""
    chosen = settings(folder, models, shared)
    made = app.compose(chosen, store=JobStore(folder / ".easel"))
    made.extensions.start()
    made.take_up()
    made.engine.start()

    def watch() -> None:
        while not any(status.step for status in made.engine.jobs()):
            time.sleep(0.002)
        os.write(told, b"s")

    watching = threading.Thread(target=watch, daemon=True)
    watching.start()
    for number, values in enumerate(requests):
        task, rest = str(values["task"]), {k: v for k, v in values.items() if k != "task"}
        name = SubmissionKey(f"job {number}", body="")
        made.engine.submit(complete(task, rest, made.catalog, chosen), key=name)
    while not all(status.ended for status in made.engine.jobs()):
        time.sleep(0.005)
    made.close()
    os.write(told, b"d")


def live(
    folder: Path,
    models: Path,
    requests: list[dict[str, object]],
    shared: bool,
    kill_after_s: float | None,
) -> bool:
    """One process's life; whether it finished the load. With `kill_after_s` it is killed that long after its
    first step."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.close(reading)
            work(folder, models, requests, shared, writing)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    os.close(writing)
    try:
        first = heard(reading, 120)
        if first == b"s" and kill_after_s is not None:
            first = heard(reading, kill_after_s) or b"killed"
        while first == b"s":
            first = heard(reading, 600)
        if first == b"killed":
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if first == b"d" or status == 0:
            return True
        if first != b"killed":
            raise SystemExit(f"the process ended by itself: {status}")
        return False
    finally:
        os.close(reading)


def heard(pipe: int, timeout_s: float) -> bytes:
    """The next byte of a pipe, b"" when none comes in time or the process has ended."""
    ready, _, _ = select.select([pipe], [], [], timeout_s)
    return os.read(pipe, 1) if ready else b""


# --- The count --------------------------------------------------------------------------------------


def results(folder: Path) -> dict[str, dict[int, Path]]:
    """The pictures of every job by the key that it came with."""
    store = JobStore(folder / ".easel")
    found: dict[str, dict[int, Path]] = {}
    for row in store._database.rows("SELECT key, state, error FROM jobs"):
        found[row["key"] if row["state"] == "done" else f"{row['key']}: {row['state']}"] = {}
    for row in store._database.rows(
        "SELECT key, place, path FROM pictures JOIN jobs ON jobs.id = job WHERE hash IS NOT NULL"
    ):
        found.setdefault(row["key"], {})[row["place"]] = Path(row["path"])
    store.close()
    return found


def compare(folder: Path, undisturbed: Path, shared: bool, tally: Tally) -> None:
    """Notes in `tally` whatever of `folder` is not as it is in `undisturbed`."""
    ours, theirs = results(folder), results(undisturbed)
    if ours.keys() != theirs.keys():
        tally.faults.append(f"jobs differ: {sorted(ours.keys() ^ theirs.keys())}")
    known: set[Path] = set()
    for key in ours.keys() & theirs.keys():
        tally.jobs += 1
        if ours[key].keys() != theirs[key].keys():
            tally.faults.append(f"{key}: pictures {sorted(ours[key])}, not {sorted(theirs[key])}")
        for place in ours[key].keys() & theirs[key].keys():
            known.add(ours[key][place])
            tally.pictures += 1
            equal(key, ours[key][place], theirs[key][place], shared, tally)
    files = {path for path in (folder / "outputs").rglob("*") if path.is_file()}
    extra = {path for path in files - known if not path.name.startswith(".")}
    if extra:
        tally.faults.append(f"files of nobody: {sorted(path.name for path in extra)}")
    if known - files:
        tally.faults.append(f"files that are gone: {sorted(known - files)}")


def equal(key: str, ours: Path, theirs: Path, shared: bool, tally: Tally) -> None:
    with Image.open(ours) as a, Image.open(theirs) as b:
        if a.info.get("parameters") != b.info.get("parameters"):
            tally.faults.append(f"{key}: another infotext")
        if a.size != b.size:
            tally.faults.append(f"{key}: {a.size}, not {b.size}")
            return
        difference = int(np.abs(np.asarray(a).astype(int) - np.asarray(b)).max())
    tally.largest_difference = max(tally.largest_difference, difference)
    if difference > (LEVELS if shared else 0):
        tally.faults.append(f"{key}: {difference} grey levels apart")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--jobs", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--shared", action="store_true")
    options = parser.parse_args()
    import torch
    from diffusers import AutoencoderKL, UNet2DConditionModel  # noqa: F401 (so that every fork has them)
    from transformers import CLIPTextModel, CLIPTokenizer  # noqa: F401

    from webui.engine import loading, loop  # noqa: F401
    from webui.testing import tiny_folder

    torch.set_num_threads(1)
    dice, tally = random.Random(options.seed), Tally()
    began = time.monotonic()
    scratch = Path(tempfile.mkdtemp(prefix="easel-crash-"))
    try:
        models = scratch / "models"
        prepare = (
            os.fork()
        )  # torch must not have computed anything in the process that is forked from
        if prepare == 0:
            tiny_folder(models / "Stable-diffusion" / "tiny")
            os._exit(0)
        assert os.waitpid(prepare, 0)[1] == 0
        while tally.kills < options.kills:
            requests = load(options.jobs, dice)
            undisturbed, folder = scratch / "undisturbed", scratch / "killed"
            assert live(undisturbed, models, requests, options.shared, None)
            done = False
            while not done:
                may_kill = tally.kills < options.kills
                done = live(
                    folder,
                    models,
                    requests,
                    options.shared,
                    dice.uniform(0, LIFE_S) if may_kill else None,
                )
                tally.lives += 1
                tally.kills += not done
            compare(folder, undisturbed, options.shared, tally)
            tally.loads += 1
            print(
                f"load {tally.loads}: {tally.kills} kills, {tally.pictures} pictures, "
                f"{len(tally.faults)} faults, {time.monotonic() - began:.0f} s",
                flush=True,
            )
            shutil.rmtree(undisturbed)
            shutil.rmtree(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    for fault in tally.faults[:20]:
        print("FAULT", fault)
    report = {
        "kills": tally.kills,
        "loads": tally.loads,
        "jobs": tally.jobs,
        "pictures": tally.pictures,
        "faults": len(tally.faults),
        "largest difference, grey levels": tally.largest_difference,
        "seconds": round(time.monotonic() - began, 1),
    }
    print(json.dumps(report))
    return 1 if tally.faults else 0


if __name__ == "__main__":
    sys.exit(main())
