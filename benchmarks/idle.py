"""What an idle server costs: processor time in a minute with no page open, and with one.

Why: the studio runs all day, and nobody paints most of it. Starts the real server, waits until the engine is ready and
what follows a start is done, and counts ticks of the processor in /proc; they are right on a busy machine too.
With a page open in headless Chromium, what the page asks for counts to the server. Linux alone.

    python benchmarks/idle.py [--seconds 60] [--chromium /usr/bin/chromium]

The last line is JSON: per cent of one core.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

from page import FLAGS, ready
from studio import served

SETTLE_S = 20.0


def processor_s(pid: int) -> float:
    """Seconds of the processor that a process has taken."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def share(pid: int, seconds: float) -> float:
    """Per cent of one core."""
    before, began = processor_s(pid), time.monotonic()
    time.sleep(seconds)
    return round(100 * (processor_s(pid) - before) / (time.monotonic() - began), 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    args = parser.parse_args()
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder, served(Path(folder)) as (url, pid):
        ready(url)
        time.sleep(SETTLE_S)
        found = {"no_page": share(pid, args.seconds)}
        print(found, flush=True)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=args.chromium, args=[*FLAGS])
            page = browser.new_page()
            page.goto(url)
            page.locator(".easel-generate:visible").first.wait_for()
            time.sleep(SETTLE_S)
            found["one_page"] = share(pid, args.seconds)
            browser.close()
    print(json.dumps({"benchmark": "idle", "per_cent_of_a_core": found}))


if __name__ == "__main__":
    main()
