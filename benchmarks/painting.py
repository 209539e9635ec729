"""How smoothly a mask is painted, and how many bytes a generation sends.

Why: a stroke that lags behind the pointer cannot be steered, and a large mask that travels with every event would
make a page on a slow line useless. Starts the real command, opens the page in headless Chromium at 1024 x 1024 and at
4096 x 4096, in the column and enlarged, and draws a spiral with a wide brush, the mask alone and a colour. Measures

- `frame_ms`: between animation frames while the stroke is drawn (16.7 is a screen's own pace);
- `work_ms`: of those, the main thread's time for the stroke itself: rasterising what the pointer did and drawing it;
- `settle_s`: from the press on Generate until the job's request leaves, the mask's (and sketch's) PNG and upload in it;
- `bytes`: the bodies that a generation sends, by kind, the first time and the second time with the same mask.

    python benchmarks/painting.py [--chromium PATH]

Chromium draws in software here (--disable-gpu): what a machine without a graphics card sees. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from PIL import Image

POINTS = 240  # of the spiral

# Counts what strokes and frames cost, and what the page sends; in the page, before anything is painted.
PROBES = """async () => {
  const probe = window.probe = { frames: [], works: [], work: 0, last: 0, sent: {} };
  const { modules } = await import(document.querySelector('head script[src^="easel."]').src);
  const { View } = modules["canvas-view.js"], { Stroke } = modules["canvas-gestures.js"];
  for (const [owner, name] of [[View.prototype, "frame"], [Stroke.prototype, "flush"]]) {
    const real = owner[name];
    owner[name] = function (...given) {
      const before = performance.now();
      try { return real.apply(this, given); } finally { probe.work += performance.now() - before; }
    };
  }
  const tick = () => {
    const now = performance.now();
    if (probe.last) { probe.frames.push(now - probe.last); probe.works.push(probe.work); }
    probe.last = now;
    probe.work = 0;
    requestAnimationFrame(tick);
  };
  requestAnimationFrame(tick);
  const size = (body) => body instanceof FormData
    ? [...body.values()].reduce((sum, one) => sum + (one.size ?? one.length), 0) : new Blob([body ?? ""]).size;
  const note = (address, body) => {
    const kind = /upload/.test(address) ? "uploads" : "requests";
    if (body) (probe.sent[kind] ||= []).push(size(body));
  };
  const { fetch: fetched } = window, { open, send } = XMLHttpRequest.prototype;
  window.fetch = function (address, how) {
    note(String(address.url ?? address), how?.body);
    return fetched.apply(this, arguments);
  };
  XMLHttpRequest.prototype.open = function (how, address) {
    this.address = String(address);
    return open.apply(this, arguments);
  };
  XMLHttpRequest.prototype.send = function (body) {
    note(this.address, body);
    return send.apply(this, arguments);
  };
}"""

# A job that was not there before has ended.
ENDED = """(old) => sessionStorage.getItem("easel-job-inpaint") !== old
  && !document.querySelector(".easel-task[data-running]")"""


def summary(values: list[float]) -> dict[str, float]:
    if len(values) < 2:
        return {"frames": len(values)}
    ordered = sorted(values)
    return {
        "frames": len(values),
        "median": round(statistics.median(values), 2),
        "p95": round(ordered[int(0.95 * (len(ordered) - 1))], 2),
        "max": round(ordered[-1], 2),
    }


def spiral(tab: Any) -> dict[str, dict[str, float]]:
    """Draws it, as fast as the browser takes the moves; the first frame is not counted."""
    box = tab.locator("#inpaint-image canvas").bounding_box()
    places = []
    for n in range(POINTS):
        out, turn = 0.4 * n / POINTS, n / 8
        x, y = 0.5 + out * math.cos(turn), 0.5 + out * math.sin(turn)
        places.append((box["x"] + x * box["width"], box["y"] + y * box["height"]))
    tab.mouse.move(*places[0])
    tab.evaluate("() => { probe.frames.length = probe.works.length = probe.last = 0; }")
    tab.mouse.down()
    for place in places[1:]:
        tab.mouse.move(*place)
    frames, works = tab.evaluate("() => [probe.frames.slice(1), probe.works.slice(1)]")
    tab.mouse.up()
    return {"frame_ms": summary(frames), "work_ms": summary([work for work in works if work > 0])}


def generation(tab: Any) -> dict[str, Any]:
    """Presses Generate; gives seconds until the job's request leaves, and the bytes sent until then."""
    old = tab.evaluate(
        "() => { probe.sent = {}; return sessionStorage.getItem('easel-job-inpaint'); }"
    )
    before = time.perf_counter()
    with tab.expect_request("**/queue/join*"):
        tab.locator(".easel-generate:visible").click()
    seconds = time.perf_counter() - before
    sent = tab.evaluate("() => probe.sent")
    tab.wait_for_function(ENDED, arg=old)
    return {"settle_s": round(seconds, 3), "bytes": sent}


def measure(browser: Any, url: str, picture: Path, large: bool, sketch: bool) -> dict[str, Any]:
    context = browser.new_context(viewport={"width": 1600, "height": 1000})
    context.set_default_timeout(120_000)
    tab = context.new_page()
    try:
        tab.goto(url)
        tab.get_by_role("tab", name="Inpaint").click()
        tab.locator("#inpaint-image input[type=file]").set_input_files(picture)
        tab.locator("#inpaint-image .canvas-size", has_text="×").wait_for()
        tab.evaluate(PROBES)
        tab.locator("#inpaint-image [data-slider=size]").fill("75")
        if sketch:
            tab.locator("#inpaint-image [data-show=colours]").click()
        if large:
            tab.locator("#inpaint-image [data-act=enlarge].canvas-icon").click()
        tab.locator("#inpaint-image canvas").scroll_into_view_if_needed()
        found: dict[str, Any] = spiral(tab)
        if large:
            tab.keyboard.press("Escape")
        first, again = generation(tab), generation(tab)
        return {**found, "first": first, "again": again}
    finally:
        context.close()


def main() -> None:
    from playwright.sync_api import sync_playwright
    from studio import served

    parser = argparse.ArgumentParser(description="Frames and bytes of painting a mask")
    parser.add_argument("--chromium", default=shutil.which("chromium"))
    chromium = parser.parse_args().chromium
    results: dict[str, Any] = {}
    load = round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None
    with (
        tempfile.TemporaryDirectory() as folder,
        served(Path(folder)) as (url, _),
        sync_playwright() as p,
    ):
        browser = p.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
        )
        version = browser.version
        for side in (1024, 4096):
            picture = Path(folder) / f"{side}.jpg"
            Image.radial_gradient("L").resize((side, side)).convert("RGB").save(picture)
            for large, sketch in ((False, False), (True, False), (False, True)):
                name = f"{side}{' enlarged' if large else ''}{' sketch' if sketch else ''}"
                results[name] = measure(browser, url, picture, large, sketch)
                print(f"{name}: {results[name]}", flush=True)
        browser.close()
    machine = {
        "chromium": version,
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "load_before": load,
    }
    print(json.dumps({"benchmark": "painting", **results, **machine}))


if __name__ == "__main__":
    main()
