"""Requests of every kind, drawn at random: good ones, odd ones and wrong ones, for every task with every extension."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from diffusers import ControlNetModel
from PIL import Image
from safetensors.torch import save_file

from extensions.esrgan.rrdbnet import Shape, rrdbnet
from webui.app import Composition, compose
from webui.defaults import FIELDS, complete
from webui.engine.postprocessing import FAILED
from webui.errors import EaselError
from webui.plugins import Limits
from webui.settings import Settings
from webui.testing import example_mask, example_picture
from webui.testing.families import FAMILIES, build, write
from webui.types import Choice, Control, Mask, Number, Picture, Seed, Switch, Task, Text
from webui.types.library import FOLDERS

__all__ = ["Outcome", "drawn", "opened", "outcome", "write_models"]


LIMIT_S = 60.0
WRONG = (
    *("", "x", "-1", "1e3", " ", "\x00", "nan", "Ünï", [], [1], {}, {"a": 1}, True, False, -1, 0, 1, 3, 0.5),
    *(-0.0, 10**30, -(10**30), 1e308, math.inf, -math.inf, math.nan, b"x", b"", object(), (1, 2), {1}, 1j),
    *("a" * 3000, [[[]]], "true", "9" * 5000, None, 2**63, 2**53 - 1, 2**53, -2),
)  # fmt: skip
TEXTS = (
    *("", " ", "\n", "a red cat", "(a:1.2)", "((((", "))))", "[a:b:0.5]", "[a|b|c]", "a AND b", "AND", "AND AND :2"),
    *("BREAK", "BREAK " * 40, "a BREAK b", "[[a]:b:1]", "(a:nan)", "(a:inf)", "(a:1e400)", "(a:-3)", "[a:b:-1]"),
    *("<lora:x:1>", "<lora:x:y:z>", "<lora::>", "<hypernet:q>", "<lora:x:1", "{a|b}", "__x__", "__", "{{{{", "}}"),
    *("猫がいる", "кошка", "قطة", "🐱" * 90, "e\u0301" * 50, "\u200b\u202e", "a\x00b", "\ud800", "\\(a\\)", "\\"),
    *("a, " * 400, "word " * 70, "x" * 19_999, "x" * 20_001, "a:b:c", "[a:b]", "[:a:1]", "[a::1]", "[a:b:1.5]"),
    *("[a:b:999999999999]", "a AND b :0 AND c :-1", "(a:1.1) AND [b:c:2] BREAK d", '{"prompt": 1}', "/* x */"),
    *("[a|]", "[|]", "[]", "()", "(:1)", "[a:(b:2):1]", "{2$$a|b}", "{9$$a}", "{-1$$a}", "{1-2$$, $$a|b}", "Steps: 20"),
)  # fmt: skip
MODES = ("RGB", "L", "1", "P", "RGBA", "LA", "CMYK", "I", "F", "I;16", "YCbCr", "LAB", "HSV", "PA")
SIZES = (64, 72, 80, 96, 128)
WRONG_SIZES = (0, 1, 8, 63, 65, 100, 2056, 4096, -64, 10**9)
PICTURE_SIZES = (
    *((64, 64), (96, 64), (64, 128), (65, 71), (1, 1), (1, 90), (3, 2), (200, 40), (37, 64)),
    *((1, 3000), (2500, 2)),
)
LIGHT = {"morph_frames": 4, "batch_size": 2, "steps": 3}  # what is asked of a network at most


@dataclass(frozen=True)
class Outcome:
    """`kind` is "picture", "sentence" (refused), "failed" (a job's sentence) or "fault"; `said` is what was told."""

    kind: str
    said: str
    seconds: float
    told: tuple[str, ...] = ()


def write_models(root: Path, families: Collection[str] = FAMILIES) -> Path:
    """Tiny random models of `families`, one that inpaints, and files that they may wear; gives `root`."""
    folder = root / FOLDERS["checkpoint"]
    for family in families:
        write(folder / f"{family}.safetensors", build(FAMILIES[family]), "ldm")
    write(folder / "inpaint.safetensors", build(FAMILIES["sd1"], 1, inpainting=True), "ldm")
    own = build(FAMILIES["sd1"])
    beside = ControlNetModel.from_unet(own["unet"], conditioning_embedding_out_channels=(8,) * 4)
    files = {
        "vae": own["vae"].state_dict(),
        "controlnet": beside.state_dict(),
        "upscaler": rrdbnet(Shape(8, 4, 1, 1, 1)).state_dict(),
    }
    for kind, weights in files.items():
        path = root / FOLDERS[kind] / f"{kind}.safetensors"
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(weights, path)
    return root


@contextmanager
def opened(models: Path, data: Path) -> Iterator[Composition]:
    """A studio with every bundled extension, as the command line makes one; nothing sets an extension aside."""
    settings = Settings.at(data, models_dirs=(models,), device="cpu", dtype="float32")
    studio = compose(settings, Limits(failures=1_000_000))
    studio.extensions.start()
    studio.engine.start()
    try:
        yield studio
    finally:
        studio.close()


def drawn(studio: Composition, seed: int) -> tuple[str, dict[str, Any]]:
    """A task's name and values for it; of three requests about one has nothing wrong with it."""
    draw = random.Random(seed)
    odds = draw.choice((0.0, 0.0, 0.03, 0.15))  # that a value is a wrong one
    task = draw.choice(list(studio.catalog.tasks.values()))
    values: dict[str, Any] = {
        "steps": draw.choice((1, 2, 3)),
        "width": draw.choice(SIZES),
        "height": 64,
    }
    extras: dict[str, Any] = {}
    controls = task.flat_controls()
    for control in controls:
        needed = isinstance(control, Picture | Mask) and control.name in FIELDS
        if not needed and draw.random() < 0.6:
            continue
        value = draw.choice(WRONG) if draw.random() < odds else _value(control, studio, draw, odds)
        (values if control.name in FIELDS else extras)[control.name] = value
    if odds and draw.random() < odds:
        values[draw.choice(("prompts", "Prompt", "task", "n", "images"))] = draw.choice(WRONG)
    if odds and draw.random() < odds:
        extras[draw.choice(("x", "upscale", "freeu_b9", ""))] = draw.choice(WRONG)
    values["extras"] = draw.choice(WRONG) if draw.random() < odds / 4 else extras
    _lighten(values, extras, task)
    return task.name, values


def _value(control: Control, studio: Composition, draw: random.Random, odds: float) -> Any:
    """A value that a control takes, at the edges as often as between them; a text is any text."""
    wrong_size = draw.random() < odds
    match control:
        case Number(name="width" | "height"):
            return draw.choice(WRONG_SIZES if wrong_size else SIZES)
        case Number(name="cfg_scale"):
            return draw.choice((0, 1, 30, 7.5, 1.0001))
        case Number():
            low, high = (
                control.minimum,
                min(control.maximum, LIGHT.get(control.name, control.maximum)),
            )
            value = draw.choice((low, high, low + control.step, draw.uniform(low, high)))
            value = min(value, high)
            return int(value) if control.whole else value
        case Switch():
            return draw.random() < 0.7
        case Choice(source=""):
            return draw.choice([meant for _, meant in control.choices] or [None])
        case Choice(source=source):
            return draw.choice(list(_registry(studio, source)))
        case Text():
            return draw.choice(TEXTS)
        case Picture():
            return _picture(draw, odds)
        case Mask():
            return _mask(draw, odds)
        case Seed():
            return draw.choice((-1, 0, 1, 2**53 - 17, 12345, 2**32))
    return control.default


def _registry(studio: Composition, source: str) -> Mapping[str, Any]:
    catalog = studio.catalog
    return {
        "models": catalog.models,
        "samplers": lambda: catalog.samplers,
        "schedules": lambda: catalog.schedules,
        "upscalers": lambda: catalog.upscalers,
        "vaes": catalog.vaes,
    }[source]()


def _picture(draw: random.Random, odds: float) -> Any:
    """A picture as faces bring one: opened, or as a file's bytes, which may be cut."""
    size = draw.choice(PICTURE_SIZES)
    mode = draw.choice(MODES)
    picture = _in_mode(example_picture(*(max(side, 8) for side in size)).resize(size), mode)
    if draw.random() < 0.5:
        return picture
    file = BytesIO()
    try:
        picture.save(file, draw.choice(("PNG", "TIFF", "WEBP", "GIF", "BMP", "JPEG")))
    except (OSError, ValueError):
        return picture
    whole = file.getvalue()
    return whole[: draw.randrange(len(whole))] if draw.random() < odds else whole


def _mask(draw: random.Random, odds: float) -> Any:
    size = draw.choice(PICTURE_SIZES)
    mask = draw.choice(
        (
            Image.new("L", size, 0),
            Image.new("L", size, 255),
            Image.new("L", size, 1),
            example_mask(*(max(side, 4) for side in size)).resize(size),
            example_mask(64, 64).convert("RGBA"),
            Image.new("RGBA", size, (0, 0, 0, 0)),
        )
    )
    return _in_mode(mask, draw.choice(MODES)) if draw.random() < 0.4 else mask


def _in_mode(picture: Image.Image, mode: str) -> Image.Image:
    if mode == "LAB":
        return Image.new("LAB", picture.size, (90, 120, 130))
    if mode == "I;16":
        return picture.convert("I").convert("I;16")
    if mode == "PA":
        return picture.convert("LA").convert("PA")
    return picture.convert("L").convert(mode) if mode in ("I", "F") else picture.convert(mode)


def _lighten(values: dict[str, Any], extras: dict[str, Any], task: Task) -> None:
    """Takes what is only costly out of a request."""
    for given in (values, extras):
        for name, most in LIGHT.items():
            value = given.get(name)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if number and most < value < 1000:
                given[name] = most


def outcome(studio: Composition, task: str, values: Mapping[str, Any]) -> Outcome:
    """What becomes of a request, from the face to the files."""
    begun, engine = time.monotonic(), studio.engine

    def ended(kind: str, said: str, *told: str) -> Outcome:
        return Outcome(kind, said, time.monotonic() - begun, told)

    try:
        request = complete(task, values, studio.catalog, studio.settings)
        job = engine.submit(request)
    except EaselError as error:
        said = str(error)
        wrong = (
            not said
            or "Traceback" in said
            or " object at 0x" in said.replace("<object object at 0x", "")
        )
        return ended("fault" if wrong else "sentence", said)
    except Exception as error:
        return ended("fault", f"{type(error).__name__}: {error}")
    status = engine.status(job)
    while not status.ended:
        if time.monotonic() - begun > LIMIT_S:
            engine.cancel(job)
            return ended("fault", f"it does not end: {status}")
        status = engine.wait(job, status.version, 1)
    told = tuple(note for picture in status.pictures for note in picture.notes)
    if status.state != "done":
        said = status.error or ""
        unfit = "made for models like this" in said  # a file of another family
        wrong = not said or (said.startswith(("internal error", "extension ")) and not unfit)
        return ended("fault" if wrong else "failed", said, *told)
    files = [one for one in status.pictures if one.path.is_file()]
    if len(files) != request.batch_size:
        return ended("fault", f"{len(files)} files of {request.batch_size}", *told)
    failed = next((one for one in told if one.startswith(FAILED)), "")
    return ended("fault" if failed else "picture", failed, *told)
