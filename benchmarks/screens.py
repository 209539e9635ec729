"""Screenshots of everything that the page shows, in four widths, light and dark, and what a look at them may miss.

Why: an overlap at one width or a grey on grey in the dark is seen by whoever has that window, and by no other test.
Starts the real server on the starter model with a few hundred pictures in its gallery, and goes through the page in
headless Chromium as a visitor does, once for each width and look; the narrow ones are touch screens. Each picture of
`SCENES` is written as NAME-WIDTH-LOOK.png. Beside them, for each one, is noted

- `wide`: pixels by which the page is wider than the window;
- `cut`: texts that their box cuts off without saying so by an ellipsis;
- `small`: on touch screens, what is to be pressed and is less than 40 pixels high or 24 wide (links in text aside);
- `axe`: serious and critical findings of axe-core, where that is installed;

and, for the whole walk, `console` (errors and warnings) and `foreign` (requests to other hosts).

    python benchmarks/screens.py FOLDER [--widths 390,820,1280,1920] [--looks light,dark] [--only first-visit,result]

The last line is JSON. Needs requirements-dev.txt (Playwright) and a Chromium.
"""

from __future__ import annotations

import argparse
import colorsys
import itertools
import json
import math
import os
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngInfo

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "models" / "starter" / "examples"
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run")
HEIGHTS = {390: 844, 820: 1180, 1280: 720, 1920: 1080}
TOUCH = 820  # up to this width a finger is what points
PICTURES = 300
LONG_STEPS = 150  # long enough to be looked at while it runs
DONE = """(task) => !document.querySelector(".easel-task[data-running]")
    && document.querySelector(`#${task}-stage .stage-acts`).children.length > 2"""
LOADED = """() => [...document.images].every((one) => !one.offsetParent || !one.src || one.complete
        || one.getBoundingClientRect().top > innerHeight)
    && document.getAnimations().every((one) => one.playState !== "running" || one.effect.getTiming().iterations > 9)"""

# What is wrong with what is seen, as far as a script can say.
PRESSED = (
    "button, select, summary, a[href], input:not([type=file], [type=hidden]), textarea, "
    "[role=tab], [role=button]"
)
FAULTS = """([touch, pressed]) => {
  const top = [...document.querySelectorAll("dialog[open]")].pop() || document.body;
  const called = (one) =>
    (one.getAttribute("aria-label") || one.textContent || one.className || one.tagName).trim().slice(0, 40);
  const cut = [], small = [];
  for (const one of top.querySelectorAll("*")) {
    if (!one.checkVisibility({ checkOpacity: true, checkVisibilityCSS: true })) continue;
    const style = getComputedStyle(one), box = one.getBoundingClientRect();
    if (box.width < 3 || box.height < 3) continue;  // what only a screen reader is told
    const words = [...one.childNodes].some((node) => node.nodeType === 3 && /\\p{L}/u.test(node.textContent));
    const clips = style.overflowX === "hidden" && style.textOverflow !== "ellipsis";
    if (words && clips && one.scrollWidth > one.clientWidth + 1) cut.push(called(one));
    if (!touch || !one.matches(pressed) || (one.tagName === "A" && one.closest("p, li"))) continue;
    const held = one.matches("input") && one.closest(".wrap:not(:has(.head)), label");  // which is pressed for it
    const area = (held || one).getBoundingClientRect(), more = getComputedStyle(one, "::after");
    const beyond = more.content !== "none" && more.position === "absolute" ? Math.max(0, -parseFloat(more.top)) : 0;
    if (area.height + 2 * beyond < 39.5 || area.width < 24) {
      small.push(`${called(one)} ${Math.round(area.width)}x${Math.round(area.height)}`);
    }
  }
  return { wide: document.scrollingElement.scrollWidth - innerWidth, cut, small };
}"""
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]
AXE = """async (rules) => (await axe.run(document, { runOnly: rules })).violations
    .filter((one) => ["serious", "critical"].includes(one.impact))
    .map((one) => `${one.id}: ${one.nodes.slice(0, 3).map((node) => node.html.slice(0, 120)).join(" | ")}`)"""
CANCEL = """async () => {
  const { jobs } = await (await fetch("api/jobs?limit=100")).json();
  const open = jobs.filter((one) => !["done", "failed", "cancelled"].includes(one.state));
  await Promise.all(open.map((one) => fetch(`api/jobs/${one.id}/cancel`, { method: "POST" })));
}"""
TILES = """() => [...document.querySelectorAll(".gallery-tile img[src]")]
    .every((one) => one.dataset.there || !one.offsetParent)"""


def write_pictures(outputs: Path, count: int) -> None:
    """Pictures of the last weeks: the examples in other colours and shapes, each with an infotext."""
    chance = random.Random(5)
    bases = [Image.open(file).convert("RGB") for file in sorted(EXAMPLES.glob("*.webp"))]
    words = [file.stem for file in sorted(EXAMPLES.glob("*.webp"))]
    for number in range(count):
        which = chance.randrange(len(bases))
        width, height = chance.choice(((128, 128), (128, 160), (160, 128), (192, 128), (128, 192)))
        hue = colorsys.hsv_to_rgb(chance.random(), 0.5, 1)
        ink = "#" + "".join(f"{round(255 * part):02x}" for part in hue)
        tinted = ImageOps.colorize(bases[which].convert("L"), "#101010", "#ffffff", ink)
        picture = ImageOps.fit(Image.blend(bases[which], tinted, 0.35), (width, height))
        text = PngInfo()
        text.add_text(
            "parameters",
            f"a {words[which]}, {chance.choice(('evening light', 'oil painting', 'in the snow'))}\n"
            f"Steps: 20, Sampler: {chance.choice(('Euler', 'DPM++ 2M'))}, CFG scale: 2.5, "
            f"Seed: {number}, Size: {width}x{height}, Model: starter",
        )
        age = 86_400 * 21 * (1 - (number + 1) / (count + 1)) + 600
        made = time.time() - age
        folder = outputs / time.strftime("%Y-%m-%d", time.localtime(made))
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"{number:05}-{number}.png"
        picture.save(file, pnginfo=text)
        os.utime(file, (made, made))


class Walk:
    """A visit in one window, of which `shot` keeps what is asked for."""

    def __init__(
        self, page: Any, picture: Path, folder: Path, kind: str, only: set[str], axe: str
    ) -> None:
        self.page, self.picture = page, picture
        self.touch = bool(page.evaluate("() => matchMedia('(pointer: coarse)').matches"))
        self.found: dict[str, dict[str, Any]] = {}
        self._folder, self._kind, self._only, self._axe = folder, kind, only, axe

    def wanted(self, *names: str) -> bool:
        return not self._only or bool(self._only & set(names))

    def shot(self, name: str, whole: bool = False) -> None:
        """`whole`: all of the page, however high it is, where it is one to be scrolled."""
        if not self.wanted(name):
            return
        self.page.wait_for_function(LOADED)
        called = f"{name}-{self._kind}"
        self.page.screenshot(path=self._folder / f"{called}.png", full_page=whole)
        found = self.page.evaluate(FAULTS, [self.touch, PRESSED])
        if self._axe:
            if not self.page.evaluate("() => Boolean(window.axe)"):
                self.page.evaluate(self._axe)
            found["axe"] = self.page.evaluate(AXE, RULES)
        self.found[called] = {name: what for name, what in found.items() if what}
        print(called, self.found[called] or "", flush=True)

    # --- what a visitor does ---

    def tab(self, name: str) -> None:
        self.page.get_by_role("tab", name=name, exact=True).first.click()

    def generate(self) -> None:
        self.page.locator(".easel-generate:visible").click()

    def done(self, task: str) -> None:
        self.page.wait_for_function(DONE, arg=task)

    def number(self, control: str, value: int) -> None:
        """Types into a control, in a folded group too."""
        box = self.page.locator(
            f"#{control} input[type=number], input[type=number]#{control}"
        ).first
        folded = not box.is_visible()
        group = self.page.locator(f".easel-group:has(#{control}) > button").first
        if folded:
            group.click()
        box.fill(str(value))
        box.press("Tab")
        if folded:
            group.click()

    def cancel(self) -> None:
        """Ends what has not ended."""
        self.page.evaluate(CANCEL)

    def top(self) -> None:
        self.page.evaluate("() => { document.activeElement.blur(); scrollTo(0, 0); }")


def making(walk: Walk) -> None:
    """First visit, running, result, several, full screen, compared, what opens beside a button."""
    page = walk.page
    page.locator(".stage-examples button:visible").nth(5).wait_for()
    walk.shot("first-visit", whole=walk.touch)
    walk.tab("Image to image")
    page.locator(".stage-examples[data-look=pictures]:visible button").first.wait_for()
    walk.shot("img2img-empty", whole=walk.touch)
    walk.tab("Text to image")
    page.locator("#txt2img-prompt textarea").fill("a red apple on a blue background")
    page.locator("#txt2img-negative_prompt textarea").fill("blurry")
    walk.generate()
    walk.done("txt2img")
    if walk.wanted("running"):
        walk.number("txt2img-steps", LONG_STEPS)
        walk.generate()
        page.locator(".stage-picture[src^='data:']:visible").wait_for()
        page.wait_for_function("() => document.title.match(/^[1-9]/)")
        walk.shot("running", whole=walk.touch)
        walk.cancel()
        page.locator(".easel-generate:visible").wait_for()
        walk.number("txt2img-steps", 20)
    walk.number("txt2img-batch_size", 4)
    walk.generate()
    page.locator(".stage-grid:visible button").nth(3).wait_for()
    walk.done("txt2img")
    walk.shot("several")
    page.locator(".stage-grid:visible button").nth(0).click()
    walk.number("txt2img-batch_size", 1)
    walk.top()
    walk.shot("result", whole=walk.touch)
    for button, name in (("Styles", "styles"), ("History", "history")):
        page.get_by_role("button", name=button, exact=True).click()
        walk.shot(name)
        page.keyboard.press("Escape")
    page.get_by_role("button", name="Download", exact=True).click()
    walk.shot("menu")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Compare", exact=True).click()
    page.locator(".easel-choice").first.click()
    page.locator("dialog.compare").wait_for()
    walk.shot("compare")
    page.keyboard.press("Escape")
    page.locator(".stage-full:visible").click()
    page.keyboard.press("i")
    walk.shot("viewer")
    page.keyboard.press("Escape")
    if walk.wanted("groups"):
        for group in page.locator(".easel-task:visible .easel-folded > button").all():
            group.click()
        walk.shot("groups", whole=True)
        for group in page.locator(".easel-task:visible .easel-open > button").all()[2:]:
            group.click()


def changing(walk: Walk) -> None:
    """Image to image, a mask, more than the picture, the whole window."""
    page = walk.page
    walk.top()
    page.get_by_role("button", name="To image to image", exact=True).click()
    page.locator("#img2img-image img:visible").wait_for()
    walk.top()
    walk.shot("img2img", whole=walk.touch)
    walk.tab("Text to image")
    page.get_by_role("button", name="To inpaint", exact=True).click()
    canvas = page.locator("#inpaint-image canvas:visible")
    canvas.wait_for()
    page.locator("#inpaint-image:not([data-busy])").first.wait_for()
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    for part in range(17):
        turn, radius = part / 16 * math.tau * 2, 0.04 + 0.18 * part / 16
        x, y = 0.5 + radius * math.cos(turn), 0.54 + radius * math.sin(turn)
        page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
        if not part:
            page.mouse.down()
    page.mouse.up()
    page.mouse.move(2, 2)
    walk.top()
    page.locator(".easel-toast").wait_for(state="hidden")
    walk.shot("inpaint", whole=walk.touch)
    bar = page.locator("#inpaint-image .canvas-bar")
    bar.get_by_role("button", name="Sketch with colours").click()
    walk.shot("sketch")
    bar.get_by_role("button", name="Sketch with colours").click()
    bar.get_by_role("button", name="Extend the picture").click()
    for side in ("left", "right"):
        page.locator(f"#inpaint-image [data-side={side}]").fill("48")
        page.locator(f"#inpaint-image [data-side={side}]").press("Tab")
    walk.top()
    walk.shot("outpainting", whole=walk.touch)
    page.locator("#inpaint-image [data-act=enlarge].canvas-icon").click()
    page.locator(".canvas-dialog canvas").wait_for()
    walk.shot("enlarged")
    page.keyboard.press("Escape")


def waiting(walk: Walk) -> None:
    """The queue with one job running and others behind it."""
    if not walk.wanted("queue"):
        return
    page = walk.page
    walk.tab("Text to image")
    walk.number("txt2img-steps", LONG_STEPS)
    walk.number("txt2img-batch_size", 8)  # so many that not all jobs run at once
    page.locator("#txt2img-prompt textarea").fill("a sailboat at sunset")
    walk.generate()
    for _ in range(3):
        page.locator(".easel-add:visible").dispatch_event("click")
    walk.tab("Queue")
    page.locator(".queue-open .job").nth(2).wait_for()
    page.locator(".queue-open .job img").first.wait_for()
    walk.shot("queue", whole=walk.touch)
    walk.cancel()
    page.wait_for_function("() => !document.querySelector('.queue-open .job')")


def finding(walk: Walk) -> None:
    """Gallery, PNG info, Models, Extensions, Settings."""
    page = walk.page
    walk.tab("Gallery")
    page.locator(".gallery-tile img[data-there]").nth(8).wait_for()
    page.wait_for_function(TILES)
    walk.shot("gallery")
    page.locator(".gallery-tile").nth(1).press(" ")
    page.locator(".gallery-tile[aria-selected=true]").first.wait_for()
    walk.shot("gallery-selected")
    page.keyboard.press("Escape")
    walk.tab("PNG info")
    walk.shot("png-info-empty")
    page.locator(".info-drop input").set_input_files(walk.picture)
    page.locator(".info-table").wait_for()
    walk.shot("png-info", whole=walk.touch)
    for tab, name, there in (
        ("Models", "models", ".model-card"),
        ("Extensions", "extensions", ".ext"),
        ("Settings", "settings", ".prefs-row"),
    ):
        walk.tab(tab)
        page.locator(there).first.wait_for()
        page.mouse.move(2, 2)
        walk.shot(name, whole=walk.touch or name == "settings")


SCENES: tuple[Callable[[Walk], None], ...] = (making, changing, waiting, finding)


def foreign(url: str, own: str) -> bool:
    return not url.startswith((own, "data:", "blob:"))


def axe_source() -> str:
    try:
        import axe_playwright_python
    except ImportError:
        return ""
    return Path(axe_playwright_python.__file__).with_name("axe.min.js").read_text(encoding="utf-8")


def visit(
    browser: Any, url: str, picture: Path, folder: Path, width: int, look: str, only: set[str]
) -> dict[str, Any]:
    """One walk through everything."""
    touch = width <= TOUCH
    context = browser.new_context(
        viewport={"width": width, "height": HEIGHTS.get(width, 800)},
        color_scheme=look,
        has_touch=touch,
        is_mobile=touch,
        reduced_motion="reduce",
    )
    context.set_default_timeout(120_000)
    page = context.new_page()
    console: list[str] = []
    requests: list[str] = []
    page.on("console", lambda m: console.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: console.append(str(error)))
    own = url.rstrip("/") + "/"
    page.on("request", lambda r: requests.append(r.url) if foreign(r.url, own) else None)
    page.goto(url)
    page.locator(".easel-generate:visible").wait_for()
    walk = Walk(page, picture, folder, f"{width}-{look}", only, axe_source())
    for scene in SCENES:
        scene(walk)
    context.close()
    return {"shots": walk.found, "console": console, "foreign": requests}


def main() -> None:
    parser = argparse.ArgumentParser(description="Screenshots of the page, and what is wrong there")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--widths", default="390,820,1280,1920")
    parser.add_argument("--looks", default="light,dark")
    parser.add_argument("--only", default="", help="names of shots, with commas; all without it")
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    options = parser.parse_args()
    from playwright.sync_api import sync_playwright
    from studio import served

    options.folder.mkdir(parents=True, exist_ok=True)
    only = {name for name in options.only.split(",") if name}
    kinds = itertools.product(map(int, options.widths.split(",")), options.looks.split(","))
    with tempfile.TemporaryDirectory() as data, sync_playwright() as playwright:
        write_pictures(Path(data) / "outputs", PICTURES)
        picture = min((Path(data) / "outputs").glob("*/*.png"))
        with served(Path(data)) as (url, _):
            browser = playwright.chromium.launch(executable_path=options.chromium, args=list(FLAGS))
            visits = {
                f"{width}-{look}": visit(browser, url, picture, options.folder, width, look, only)
                for width, look in kinds
            }
            browser.close()
    print(json.dumps({"benchmark": "screens", "visits": visits}))


if __name__ == "__main__":
    main()
