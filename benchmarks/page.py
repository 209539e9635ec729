"""The page in a real browser: how soon it can be used, what it loads, whether its memory stays flat.

Why: people keep this page open all day. Starts the real server on the starter model and opens its page in headless
Chromium, each time in a fresh profile: from the first byte of the answer until the Generate button is on screen and
the next two frames are painted; how many requests and bytes that takes; the slowest of the frames while somebody
types. Then, in one page, one generation after the other: the JavaScript heap after a collection, the DOM's nodes and
listeners, and the server's memory, after the first ten and at the end.

    python benchmarks/page.py [--generations 100] [--chromium /usr/bin/chromium]

The last line is JSON. Needs requirements-dev.txt (Playwright) and a Chromium.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

OPENINGS = 5
LIMIT_S, SETTLE_S = 120.0, 5.0
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run")

# Notes when the button is there and painted, and how long tasks and frames take.
WATCH = """
window.easelTimes = {};
(function look() {
  const buttons = [...document.querySelectorAll(".easel-generate")];
  const button = buttons.find((one) => one.checkVisibility({ visibilityProperty: true }));
  if (!button) return requestAnimationFrame(look);
  requestAnimationFrame(() => requestAnimationFrame(() => { window.easelTimes.ready = performance.now(); }));
})();
"""
FRAMES = """() => {
  window.easelFrames = [];
  let last = performance.now();
  (function frame(now) {
    window.easelFrames.push(now - last);
    last = now;
    requestAnimationFrame(frame);
  })(last);
}"""


def ready(url: str) -> None:
    """Waits until the engine has loaded PyTorch, which takes the processor meanwhile, and the model."""
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        with urllib.request.urlopen(f"{url.rstrip('/')}/api/state") as answer:
            state = json.load(answer)
        if state["device"] != state["attention"]:  # until then both say what is waited for
            break
        time.sleep(0.5)
    time.sleep(SETTLE_S)


def opening(browser: Any, url: str) -> dict[str, float]:
    """One visit with nothing in the cache."""
    context = browser.new_context(viewport={"width": 1280, "height": 720})
    page = context.new_page()
    page.add_init_script(WATCH)
    page.goto(url, wait_until="commit")
    page.wait_for_function("window.easelTimes && window.easelTimes.ready", timeout=60_000)
    found = page.evaluate(
        """() => {
          const first = performance.getEntriesByType("navigation")[0];
          const files = performance.getEntriesByType("resource");
          const bytes = files.reduce((sum, file) => sum + file.encodedBodySize, first.encodedBodySize);
          return {ready_ms: window.easelTimes.ready - first.responseStart, first_byte_ms: first.responseStart,
            requests: files.length + 1, kilobytes: bytes / 1024, page_kilobytes: first.encodedBodySize / 1024};
        }"""
    )
    page.evaluate(FRAMES)
    box = page.locator("#txt2img-prompt textarea")
    box.click()
    page.keyboard.type("a lighthouse on a cliff above the sea, evening light", delay=25)
    found["slowest_frame_typing_ms"] = page.evaluate(
        "() => Math.max(...window.easelFrames.slice(2))"
    )
    context.close()
    return {name: round(value, 1) for name, value in found.items()}


def memory(page: Any, chrome: Any, server: int) -> dict[str, float]:
    chrome.send("HeapProfiler.collectGarbage")
    metrics = {m["name"]: m["value"] for m in chrome.send("Performance.getMetrics")["metrics"]}
    status = Path(f"/proc/{server}/status")
    resident = re.search(r"VmRSS:\s+(\d+)", status.read_text()) if status.exists() else None
    return {
        "heap_mb": round(metrics["JSHeapUsedSize"] / 2**20, 2),
        "nodes": metrics["Nodes"],
        "listeners": metrics["JSEventListeners"],
        "server_mb": round(int(resident[1]) / 1024, 1) if resident else 0.0,
    }


def generations(browser: Any, url: str, count: int, server: int) -> dict[str, Any]:
    """`count` pictures one after the other in one page."""
    page = browser.new_page(viewport={"width": 1280, "height": 720})
    chrome = page.context.new_cdp_session(page)
    chrome.send("Performance.enable")
    page.goto(url)
    page.locator("#txt2img-prompt textarea").fill("a red apple on a table")
    at: dict[int, dict[str, float]] = {}
    for number in range(1, count + 1):
        page.locator(".easel-task:visible .easel-generate").click()
        page.wait_for_function(
            f"() => fetch('api/jobs?limit=1000').then((r) => r.json())"
            f".then((found) => found.jobs.filter((job) => job.state === 'done').length >= {number})",
            polling=250,
            timeout=120_000,
        )
        page.locator(".easel-task:visible:not([data-running]) .easel-generate").wait_for()
        if number in (1, 10) or number % 25 == 0 or number == count:
            at[number] = memory(page, chrome, server)
            print(f"after {number}: {at[number]}", flush=True)
    page.close()
    early, late = at[min(10, count)], at[count]
    growth = {name: round(late[name] / early[name], 3) for name in early if early[name]}
    return {"after": at, "growth": growth}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--generations", type=int, default=100)
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    options = parser.parse_args()
    from playwright.sync_api import sync_playwright
    from studio import served

    with (
        tempfile.TemporaryDirectory() as folder,
        served(Path(folder)) as (url, server),
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=options.chromium, args=FLAGS)
        ready(url)
        opening(browser, url)  # the server's own first answer is not the page's
        visits = [opening(browser, url) for _ in range(OPENINGS)]
        for visit in visits:
            print(f"visit: {visit}", flush=True)
        flat = generations(browser, url, options.generations, server)
        browser.close()
    median = {name: statistics.median(visit[name] for visit in visits) for name in visits[0]}
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    said = {
        "benchmark": "page",
        "visits": len(visits),
        "median": median,
        "generations": options.generations,
    }
    print(json.dumps({**said, **flat, "cores": cores}))


if __name__ == "__main__":
    main()
