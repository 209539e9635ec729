"""How long until the page answers, and until the engine is ready, after `python launch.py`.

Why: people judge a program by its start, and the page must not wait for PyTorch. Starts the real
command twice (the second start finds files in the system's cache) with an empty data folder, and
measures from the start of the process to the first complete answer to GET /, to the engine's "ready"
in the log, and the slowest GET / in between, while PyTorch is loaded. On Linux also the processor
seconds until the page answers, which say the same on a machine that has other work.

    python benchmarks/startup.py

The last line is JSON: seconds per start.
"""

from __future__ import annotations

import json
import os
import platform
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIMIT_S = 300.0


def get(url: str) -> float:
    """Seconds until the whole answer to GET is there."""
    before = time.perf_counter()
    with urllib.request.urlopen(url, timeout=LIMIT_S) as reply:
        assert reply.status == 200
        reply.read()
    return time.perf_counter() - before


def cpu_seconds(pid: int) -> float | None:
    """Processor time of a process so far, user and system (proc(5)); None where there is no /proc."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return round((int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), 2)


def measure(data_dir: Path) -> dict[str, float | None]:
    """One start: page_s, engine_s from the start of the process; slowest_get_s meanwhile."""
    started = time.perf_counter()
    process = subprocess.Popen(
        [
            *(sys.executable, str(ROOT / "launch.py"), "--skip-install", "--no-browser"),
            *("--port", "0", "--data-dir", str(data_dir)),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    ready: list[float] = []
    said: list[str] = []

    def listen() -> None:
        assert process.stderr is not None
        for line in process.stderr:
            said.append(line)
            if "engine ready" in line:
                ready.append(time.perf_counter() - started)

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    try:
        assert process.stdout is not None
        address = re.search(r"http://\S+", process.stdout.readline())
        assert address, "no page:\n" + "".join(said)
        get(address[0])
        page_s = time.perf_counter() - started
        page_cpu_s = cpu_seconds(process.pid)
        slowest_s = 0.0
        while not ready:
            assert process.poll() is None and time.perf_counter() - started < LIMIT_S, "".join(said)
            slowest_s = max(slowest_s, get(address[0]))
            time.sleep(0.05)
        return {
            "page_s": round(page_s, 2),
            "page_cpu_s": page_cpu_s,
            "engine_s": round(ready[0], 2),
            "slowest_get_s": round(slowest_s, 2),
        }
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        starts = [measure(Path(folder)) for _ in range(2)]
    for name, start in zip(("first", "second"), starts, strict=True):
        print(f"{name} start: {start}")
    machine = {
        "python": platform.python_version(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "load_before": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }
    print(json.dumps({"benchmark": "startup", "first": starts[0], "second": starts[1], **machine}))


if __name__ == "__main__":
    main()
