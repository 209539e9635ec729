"""A recording of the page for the README: what a visit looks like, as an animated WebP.

Why: a picture of a page does not show that the preview sharpens where the result will stand. Starts the real server on
the starter model, walks through it in headless Chromium and writes the screenshots one after the other, each for as
long as it was seen: a prompt, the preview, the result, a part painted over and repainted, the gallery.

    python benchmarks/recording.py docs/images/easel.webp [--chromium /usr/bin/chromium]

The last line is JSON. Needs requirements-dev.txt (Playwright) and a Chromium.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import tempfile
import time
from pathlib import Path
from typing import Any

from PIL import Image

FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run")
SIZE = (960, 540)  # pixels; the window is a third wider
SECONDS_MAX = 1.5  # that a picture stays which nobody asked to stay longer
DONE = """(task) => !document.querySelector(".easel-task[data-running]")
    && document.querySelector(`#${task}-stage .stage-acts`).children.length > 2"""
# A dot where the pointer is, which screenshots leave out.
POINTER = """() => {
  const dot = document.createElement("i");
  dot.style.cssText = "position: fixed; z-index: 9999; width: 18px; height: 18px; margin: -9px; border-radius: 50%;"
    + "background: rgb(217 72 15 / 60%); border: 2px solid white; box-shadow: 0 0 4px black; pointer-events: none";
  document.body.append(dot);
  addEventListener("pointermove", ({ clientX, clientY }) => {
    dot.style.left = clientX + "px"; dot.style.top = clientY + "px";
  }, true);
}"""


class Reel:
    """Screenshots of a browser tab and how long each was seen."""

    def __init__(self, tab: Any) -> None:
        self.tab = tab
        self.frames: list[Image.Image] = []
        self.shown_ms: list[int] = []

    def take(self, seconds: float) -> None:
        shot = Image.open(io.BytesIO(self.tab.screenshot())).convert("RGB")
        frame = shot.resize(SIZE, Image.Resampling.LANCZOS)
        if self.frames and frame.tobytes() == self.frames[-1].tobytes():
            self.shown_ms[-1] += round(1000 * seconds)
            return
        self.frames.append(frame)
        self.shown_ms.append(round(1000 * seconds))

    def while_painting(self, task: str) -> None:
        """Until the job's picture is there, as fast as screenshots come."""
        while not self.tab.evaluate(DONE, task):
            began = time.monotonic()
            self.take(0)
            self.shown_ms[-1] += round(1000 * min(time.monotonic() - began, SECONDS_MAX))

    def click(self, target: Any) -> None:
        """Moves there in sight of all, then clicks."""
        box = target.bounding_box()
        self.tab.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        self.take(0.5)
        target.click()

    def type(self, box: Any, text: str) -> None:
        box.click()
        box.press("Control+a")
        for number, letter in enumerate(text):
            self.tab.keyboard.type(letter)
            if number % 3 == 2:
                self.take(0.12)
        self.take(0.4)

    def save(self, file: Path) -> None:
        first, *rest = self.frames
        options = {"duration": self.shown_ms, "loop": 0, "quality": 88, "method": 6}
        first.save(file, "WEBP", save_all=True, append_images=rest, minimize_size=True, **options)


def walk(reel: Reel) -> None:
    tab = reel.tab
    reel.take(1.2)
    reel.type(tab.locator("#txt2img-prompt textarea"), "a red apple on a blue background")
    tab.locator("#txt2img-seed textarea, #txt2img-seed input").first.fill("3")
    reel.click(tab.locator(".easel-generate:visible"))
    reel.while_painting("txt2img")
    reel.take(1.5)
    reel.click(tab.get_by_role("button", name="To inpaint"))
    canvas = tab.locator("#inpaint-image canvas:visible")
    canvas.wait_for()
    tab.locator("#inpaint-image:not([data-busy])").first.wait_for()
    reel.take(0.8)
    box = canvas.bounding_box()
    for part in range(41):
        turn, radius = part / 40 * math.tau * 3, 0.04 + 0.22 * part / 40
        x, y = 0.5 + radius * math.cos(turn), 0.54 + radius * math.sin(turn)
        tab.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"], steps=3)
        if part == 0:
            tab.mouse.down()
        if part % 2:
            reel.take(0.08)
    tab.mouse.up()
    reel.type(tab.locator("#inpaint-prompt textarea"), "a yellow lemon on a blue background")
    reel.click(tab.locator(".easel-generate:visible"))
    reel.while_painting("inpaint")
    reel.take(2)
    reel.click(tab.get_by_role("tab", name="Gallery"))
    tab.locator(".gallery-tile img[data-there]").nth(1).wait_for()
    tab.wait_for_function(
        "() => [...document.querySelectorAll('.gallery-tile img')].every((i) => getComputedStyle(i).opacity === '1')"
    )
    reel.take(2.5)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("file", type=Path)
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    options = parser.parse_args()
    from playwright.sync_api import sync_playwright
    from studio import served

    with (
        tempfile.TemporaryDirectory() as folder,
        served(Path(folder)) as (url, _),
        sync_playwright() as p,
    ):
        browser = p.chromium.launch(executable_path=options.chromium, args=list(FLAGS))
        context = browser.new_context(viewport={"width": 1280, "height": 720})
        context.set_default_timeout(60_000)
        warm, tab = context.new_page(), context.new_page()
        warm.goto(url)  # PyTorch and the model are loaded before anybody looks
        warm.locator("#txt2img-prompt textarea").fill("a fox in the snow")
        warm.locator(".easel-generate:visible").click()
        warm.wait_for_function(DONE, arg="txt2img")
        warm.close()
        tab.goto(url)
        tab.locator(".stage-examples button:visible").nth(5).wait_for()
        tab.wait_for_function(
            "() => [...document.querySelectorAll('.stage-examples img')].every((i) => !i.offsetParent || i.complete)"
        )
        sampling = tab.get_by_role("button", name="Sampling")
        sampling.click()
        steps = tab.locator("#txt2img-steps input[type=number]")
        steps.fill("60")  # slow enough to be seen
        steps.press("Tab")
        sampling.click()
        tab.evaluate("document.activeElement.blur()")
        tab.evaluate(POINTER)
        reel = Reel(tab)
        walk(reel)
        reel.save(options.file)
        browser.close()
    size = {"seconds": round(sum(reel.shown_ms) / 1000, 1), "frames": len(reel.frames)}
    print(json.dumps({**size, "megabytes": round(options.file.stat().st_size / 1e6, 2)}))


if __name__ == "__main__":
    main()
