"""Kills the whole server at random moments on the starter model, and counts what is lost: nothing must be.

    python benchmarks/crash_server.py [--kills 10] [--seed 1]

Like crash.py, but with everything: `launch.py serve` as people start it, jobs by POST /api/jobs with an
Idempotency-Key, the shipped model, fp32, `--deterministic`. The server is killed (SIGKILL) at a random time after its
first step and started again on the same folder. Afterwards every picture must equal that of a server that nobody
disturbed, to the pixel and the letter. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from crash import Tally, compare

ROOT = Path(__file__).resolve().parent.parent
LIFE_S = 4.0  # a server lives at most this long after its first step
PROMPTS = (
    "a red apple on a blue background",
    "a cat",
    "an octopus",
    "a rocket on a yellow background",
)


def load(dice: random.Random) -> list[dict[str, Any]]:
    """Twelve requests, about half a minute of work."""
    return [
        {
            "task": "txt2img",
            "prompt": dice.choice(PROMPTS),
            "sampler_name": dice.choice(("Euler", "Euler a", "DPM++ 2M", "Heun")),
            "steps": dice.randint(15, 40),
            "seed": number,
            "batch_size": dice.choice((1, 1, 2)),
        }
        for number in range(12)
    ]


class Server:
    """A server on a data folder."""

    def __init__(self, data_dir: Path) -> None:
        words = [sys.executable, "launch.py", "--skip-install", "--no-browser", "--port", "0"]
        words += ["--device", "cpu", "--dtype", "float32", "--deterministic"]
        self.process = subprocess.Popen(
            [*words, "--data-dir", str(data_dir)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().split()[-1].rstrip("/")

    def call(self, path: str, body: dict[str, Any] | None = None, key: str = "") -> Any:
        headers = {"Content-Type": "application/json", **({"Idempotency-Key": key} if key else {})}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, headers)
        with urllib.request.urlopen(request, timeout=60) as reply:
            return json.load(reply)

    def submit(self, requests: list[dict[str, Any]]) -> None:
        for number, values in enumerate(requests):
            self.call("/api/jobs", values, key=f"job-{number}")

    def states(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.call("/api/jobs?limit=100")["jobs"]
        return found

    def until(self, met: Any, timeout_s: float = 300) -> None:
        limit = time.monotonic() + timeout_s
        while not met(self.states()):
            assert time.monotonic() < limit
            time.sleep(0.05)

    def stop(self) -> None:
        self.process.terminate()
        assert self.process.wait(60) == 0


def stepping(jobs: list[dict[str, Any]]) -> bool:
    return any(job["state"] == "running" and job["step"] for job in jobs) or finished(jobs)


def finished(jobs: list[dict[str, Any]]) -> bool:
    return bool(jobs) and all(job["state"] in ("done", "failed", "cancelled") for job in jobs)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    dice, tally, began = random.Random(options.seed), Tally(), time.monotonic()
    scratch = Path(tempfile.mkdtemp(prefix="easel-crash-"))
    try:
        while tally.kills < options.kills:
            requests, folder = load(dice), scratch / f"killed-{tally.loads}"
            undisturbed = scratch / f"undisturbed-{tally.loads}"
            server = Server(undisturbed)
            server.submit(requests)
            server.until(finished)
            server.stop()
            while True:
                server = Server(folder)
                server.submit(requests)
                if tally.kills == options.kills:
                    break
                server.until(stepping)
                time.sleep(dice.uniform(0, LIFE_S))
                if finished(server.states()):
                    break
                server.process.kill()
                server.process.wait()
                tally.kills += 1
            server.until(finished)
            server.stop()
            compare(folder, undisturbed, shared=False, tally=tally)
            tally.loads += 1
            print(
                f"load {tally.loads}: {tally.kills} kills, {len(tally.faults)} faults", flush=True
            )
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    for fault in tally.faults[:20]:
        print("FAULT", fault)
    report = {
        "kills": tally.kills,
        "jobs": tally.jobs,
        "pictures": tally.pictures,
        "faults": len(tally.faults),
        "seconds": round(time.monotonic() - began, 1),
    }
    print(json.dumps(report))
    return 1 if tally.faults else 0


if __name__ == "__main__":
    sys.exit(main())
