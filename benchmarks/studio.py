"""The real server on the starter model, for the benchmarks of the page."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["served"]

LAUNCH = Path(__file__).resolve().parent.parent / "launch.py"


@contextmanager
def served(data_dir: Path) -> Iterator[tuple[str, int]]:
    """Its address and its process."""
    command = [sys.executable, str(LAUNCH), "--skip-install", "--no-browser"]
    process = subprocess.Popen(
        [*command, "--port", "0", "--data-dir", str(data_dir)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        address = re.search(r"http://\S+", process.stdout.readline())
        assert address, "the server did not start"
        yield address[0], process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
