"""Do many connections without a login end the service? Hundreds of each kind, at a server with few files.

Why: whoever opens connections and says nothing takes files that models, pictures and the store need. A server that may
open 256 files is met with heartbeats, half-sent heads, half-sent bodies and silent connections from one address, the
first of them while its engine starts. What is right: the page answers meanwhile or soon after, all jobs that were taken
are done, the log stays small, the engine is there. Loopback only.

    python benchmarks/connections.py [--count 400] [--files 256] [--kind NAME ...]

The last line is one JSON document.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import resource
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.networks import tiny_folder  # noqa: E402

KINDS = {
    "heartbeat": b"GET /gradio_api/heartbeat/%d HTTP/1.1\r\nHost: %s\r\n\r\n",
    "half a head": b"GET /?%d HTTP/1.1\r\nHost: %s\r\nX-Half: ",
    "half a body": b"POST /api/jobs?%d HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n"
    b'Content-Length: 4000\r\n\r\n{"prompt": "',
    "silent": b"",
}
JOB = {"task": "txt2img", "prompt": "a cat", "width": 64, "height": 64, "steps": 2, "seed": 1}
MEANWHILE_S = 45.0  # how long the connections stay
LOG_MAX = 100_000


def started(folder: Path, files: int) -> tuple[subprocess.Popen[str], str]:
    """A server that may not open more files, however it asks."""
    words = [
        sys.executable,
        str(ROOT / "launch.py"),
        "--skip-install",
        "--no-browser",
        "--port",
        "0",
    ]
    words += ["--device", "cpu", "--dtype", "float32", "--data-dir", str(folder)]
    with (folder / "log.txt").open("ab") as log:
        process = subprocess.Popen(
            words,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (files, files)),
        )
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line.startswith("Easel is at"):
        raise SystemExit(f"no server: {line} {(folder / 'log.txt').read_text()}")
    return process, line.split()[-1].rstrip("/")


def crowd(url: str, kind: str, count: int) -> list[socket.socket]:
    """So many connections of a kind as are taken."""
    place = urlsplit(url)
    found = []
    for number in range(count):
        words = KINDS[kind]
        with contextlib.suppress(OSError):
            line = socket.create_connection((place.hostname, place.port), 5)
            if words:
                line.sendall(words % (number, place.netloc.encode()))
            line.setblocking(False)
            found.append(line)
    return found


def still_open(lines: list[socket.socket]) -> int:
    count = 0
    for line in lines:
        try:
            while line.recv(65536):
                pass
        except BlockingIOError:
            count += 1
        except OSError:
            pass
    return count


def asked(url: str, path: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url + path, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=20) as reply:
        content = reply.read()
        return json.loads(content) if path.startswith("/api") else content


def met(url: str, kind: str, count: int) -> dict[str, Any]:
    """What becomes of the service while a crowd is there."""
    lines = crowd(url, kind, count)
    begun = time.monotonic()
    page: list[float] = []
    refused, first, jobs = 0, None, []
    while time.monotonic() - begun < MEANWHILE_S:
        at = time.monotonic()
        try:
            asked(url, "/health")
            asked(url, "/")
            page.append(round(time.monotonic() - at, 2))
            first = first or round(time.monotonic() - begun, 1)
            if len(jobs) < 3:
                jobs.append(asked(url, "/api/jobs", JOB)["id"])
        except (urllib.error.URLError, OSError, ValueError):
            refused += 1
        time.sleep(1)
    left = still_open(lines)
    limit = time.monotonic() + 120
    states: list[str] = []
    while time.monotonic() < limit:
        with contextlib.suppress(urllib.error.URLError, OSError, ValueError):
            states = [asked(url, f"/api/jobs/{job}")["state"] for job in jobs]
            if all(state in ("done", "failed", "cancelled") for state in states):
                break
        time.sleep(0.5)
    for line in lines:
        line.close()
    return {
        "opened": len(lines),
        "left": left,
        "first_answer_s": first,
        "answers": len(page),
        "refused": refused,
        "slowest_s": max(page, default=None),
        "jobs": states,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=400)
    parser.add_argument("--files", type=int, default=256)
    parser.add_argument("--kind", nargs="*", choices=list(KINDS), default=list(KINDS))
    words = parser.parse_args()
    told: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="easel-connections-") as name:
        folder = Path(name)
        tiny_folder(folder / "models" / "Stable-diffusion" / "tiny")
        process, url = started(folder, words.files)
        try:
            for kind in words.kind:  # the first crowd comes while the engine starts
                told[kind] = met(url, kind, words.count)
                print(kind, json.dumps(told[kind]), flush=True)
        finally:
            process.terminate()
            process.wait(90)
        log = (folder / "log.txt").read_text()
        told["log_bytes"], told["tracebacks"] = len(log), log.count("Traceback")
        told["engine"] = "engine ready" in log
    fine = told["engine"] and told["log_bytes"] < LOG_MAX
    fine = fine and all(
        told[kind]["answers"] and set(told[kind]["jobs"]) == {"done"} for kind in words.kind
    )
    if not fine:
        print(log[:5000])
    print(json.dumps(told))
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
