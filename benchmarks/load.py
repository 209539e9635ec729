"""What a long queue and many listeners cost whoever asks something else, and how long a stop takes meanwhile.

Why: thousands of waiting jobs and hundreds of event streams once kept the event loop busy with nothing. A real server
on tiny random networks has `--jobs` jobs in its queue, each of eight pictures of 150 steps; `--listeners` clients
follow one of them each. Then /health is asked again and again for `--seconds`, long lists a few times, and SIGTERM is
sent. `running`: pictures are made meanwhile; `stuck`: an extension's task sleeps in its own code, which nobody can
break off. Everything is on the loopback and bounded in time: what was not reached is told as it stands.

    python benchmarks/load.py [--jobs 2000] [--listeners 200] [--case running|stuck] [--tree FOLDER]

`--tree` is another version's folder (`git worktree add FOLDER COMMIT`), for before and after. The last line is JSON:
milliseconds of /health (median, 95 of 100, worst) and of the lists, seconds of the rest.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from webui.testing.models import tiny_models  # noqa: E402

SUBMIT_S, OPEN_S, STOP_S, ANSWER_S = 200.0, 30.0, 60.0, 20.0  # limits
SENDERS = 4
APART_S = 0.02  # between two questions for /health
JOB = {
    **{"task": "txt2img", "model": "tiny", "prompt": "a cat", "width": 64, "height": 64},
    **{"steps": 150, "batch_size": 8, "cfg_scale": 4, "sampler_name": "Euler", "seed": 1},
}
STUCK = """
import time
from webui.api import COMMON, PROMPTS, Task, hookimpl

def make(request, studio):
    time.sleep(3600)
    yield

@hookimpl
def register_tasks():
    return [Task("stuck", "Stuck", make, (*PROMPTS, *COMMON))]
"""


class Server:
    def __init__(self, tree: Path, folder: Path) -> None:
        models = tiny_models(folder / "models")
        guests = folder / "guests"
        guests.mkdir()
        (guests / "stuck.py").write_text(STUCK)
        words = [sys.executable, str(tree / "launch.py"), "--skip-install", "--no-browser"]
        words += ["--port", "0", "--device", "cpu", "--dtype", "float32"]
        words += ["--data-dir", str(folder / "data"), "--models-dir", str(models)]
        words += ["--extensions-dir", str(guests)]
        self.log = (folder / "log.txt").open("wb")
        self.process = subprocess.Popen(
            words, stdout=subprocess.PIPE, stderr=self.log, text=True, cwd=tree
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("Easel is at"), (folder / "log.txt").read_text()
        self.place = urlsplit(line.split()[-1]).netloc

    def connection(self, timeout_s: float = ANSWER_S) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self.place, timeout=timeout_s)

    def ask(self, line: http.client.HTTPConnection, path: str, body: Any = None) -> bytes:
        content = None if body is None else json.dumps(body)
        headers = {} if body is None else {"Content-Type": "application/json"}
        line.request("GET" if body is None else "POST", path, content, headers)
        reply = line.getresponse()
        told = reply.read()
        assert reply.status in (200, 201), told
        return told


def submitted(server: Server, count: int) -> list[str]:
    """The jobs that were taken in time."""
    jobs: list[str] = []
    until, left = time.monotonic() + SUBMIT_S, iter(range(count))

    def send() -> None:
        line = server.connection()
        for _ in left:
            if time.monotonic() > until:
                return
            try:
                jobs.append(json.loads(server.ask(line, "/api/jobs", JOB))["id"])
            except OSError:  # no answer
                return

    threads = [threading.Thread(target=send) for _ in range(SENDERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return jobs


class Listeners:
    """Clients of event streams, on a thread of their own."""

    def __init__(self, server: Server, jobs: list[str]) -> None:
        self.open = self.events = 0
        self._place, self._jobs = server.place, jobs
        self._loop = asyncio.new_event_loop()
        threading.Thread(
            target=self._loop.run_until_complete, args=[self._all()], daemon=True
        ).start()

    async def _all(self) -> None:
        await asyncio.gather(*map(self._listen, self._jobs), return_exceptions=True)

    async def _listen(self, job: str) -> None:
        host, port = self._place.split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        path = f"/api/jobs/{job}/events?previews=false"
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {self._place}\r\n\r\n".encode())
        while line := await reader.readline():
            self.open += line.startswith(b"retry:")
            self.events += line.startswith(b"event:")

    def wait(self) -> float:
        """Seconds until all are open, or the limit."""
        began = time.monotonic()
        while self.open < len(self._jobs) and time.monotonic() - began < OPEN_S:
            time.sleep(0.05)
        return time.monotonic() - began


def milliseconds(server: Server, line: http.client.HTTPConnection, path: str) -> float:
    """Of an answer; those of the limit where there is none."""
    began = time.perf_counter()
    try:
        server.ask(line, path)
    except OSError:
        line.close()
    return 1000 * (time.perf_counter() - began)


def measured(case: str, args: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        server = Server(args.tree, Path(folder))
        try:
            line = server.connection()
            while b"cpu" not in server.ask(line, "/api/state"):
                time.sleep(0.2)
            if case == "stuck":
                server.ask(line, "/api/jobs", {**JOB, "task": "stuck", "batch_size": 1})
                time.sleep(1)
            began = time.monotonic()
            jobs = submitted(server, args.jobs)
            found: dict[str, Any] = {"jobs": len(jobs), "submit_s": time.monotonic() - began}
            listeners = Listeners(server, jobs[-args.listeners :])
            found["open_s"], found["listeners"] = listeners.wait(), listeners.open
            times, until = [], time.monotonic() + args.seconds
            while time.monotonic() < until:
                times.append(milliseconds(server, line, "/health"))
                time.sleep(APART_S)
            times.sort()
            found["health_ms"] = [
                statistics.median(times),
                times[len(times) * 95 // 100],
                times[-1],
            ]
            for name, path in (("list_ms", "/api/jobs?limit=1000"), ("state_ms", "/api/state")):
                found[name] = statistics.median(milliseconds(server, line, path) for _ in range(3))
            found["events"] = listeners.events
            began = time.monotonic()
            server.process.send_signal(signal.SIGTERM)
            try:
                server.process.wait(STOP_S)
                found["stop_s"] = time.monotonic() - began
            except subprocess.TimeoutExpired:
                found["stop_s"] = f"not within {STOP_S:g}"
            return {name: rounded(value) for name, value in found.items()}
        finally:
            server.process.kill()
            server.process.wait()


def rounded(value: Any) -> Any:
    if isinstance(value, list):
        return [rounded(one) for one in value]
    return round(value, 2) if isinstance(value, float) else value


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--jobs", type=int, default=2000)
    parser.add_argument("--listeners", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--case", choices=("running", "stuck"), action="append")
    parser.add_argument("--tree", type=Path, default=ROOT)
    args = parser.parse_args()
    found = {}
    for case in args.case or ("running", "stuck"):
        found[case] = measured(case, args)
        print(case, found[case], flush=True)
    print(json.dumps({"benchmark": "load", **found}))


if __name__ == "__main__":
    main()
