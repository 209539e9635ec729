"""Settings out of a picture's text, back into a task's form."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from tests.ui.painter import POSTER, catalog
from webui.defaults import check, complete, extra_controls, from_infotext, infotexts, task_of
from webui.engine.postprocessing import finished_picture
from webui.engine.schedules import SCHEDULES
from webui.engine.tasks import TASKS
from webui.errors import RequestError
from webui.metadata import infotext
from webui.registry import Catalog, Registry
from webui.settings import Settings
from webui.types import (
    FIELDS,
    Choice,
    Control,
    Finished,
    GenerationRequest,
    Group,
    Mask,
    Model,
    Number,
    Parts,
    Picture,
    Seed,
    Switch,
    Task,
    Text,
)

CATALOG = catalog(POSTER)
SETTINGS = Settings.at(Path("nowhere"))
PICTURE = Image.new("RGB", (192, 128), "teal")
HOLE = Image.new("L", (192, 128))
HOLE.paste(255, (0, 0, 96, 128))


def unusual(control: Control) -> Any:
    """A value that no default is."""
    match control:
        case Number():
            step = control.step
            low = min(control.maximum, control.minimum + 3 * step)
            value = low if low != control.default else low + step
            return int(value) if control.whole else value
        case Seed():
            return 4242
        case Switch():
            return not control.default
        case Choice(name="sampler_name"):
            return "Heun"
        case Choice(name="scheduler"):
            return "exponential"
        case Choice(source="models"):
            return "wide"
        case Choice(source="upscalers"):
            return "Nearest"
        case Choice():
            return control.choices[-1][1]
        case Text():
            return 'odd, "words": (1.2)\nin two lines'
        case Picture():
            return PICTURE
        case Mask():
            return HOLE
    raise AssertionError(control)


def made_text(request: GenerationRequest, task: Task) -> str:
    """The infotext of a picture of `request`, its notes as the engine writes them."""
    plain = replace(task, make=lambda request, studio: PICTURE)  # type: ignore[arg-type,return-value]
    parts = Parts(tasks={task.name: plain}, samplers={}, schedules={})
    studio: Any = SimpleNamespace(wrapped=set(), samplers=set(), schedules=set(), broken_off=None)
    steps = finished_picture(request, studio, parts)
    try:
        next(steps)
        raise AssertionError("nothing is asked of the device")
    except StopIteration as stop:
        picture, notes, *_ = stop.value
    model = Model(request.model, 4, False, (0.1, 10.0))
    return infotext(
        Finished("j", request, 0, request.seed, picture, model, request.scheduler, 1.0, notes=notes)
    )


def requested(task: Task, values: dict[str, Any]) -> GenerationRequest:
    names = extra_controls(task)
    fields = {name: value for name, value in values.items() if name not in names}
    extras = {name: value for name, value in values.items() if name in names}
    return complete(task.name, {**fields, "extras": extras}, CATALOG, SETTINGS)


def test_what_is_told_on_a_picture_is_no_setting() -> None:
    text = 'a cat\nSteps: 4, Sampler: Euler, Seed: 7, Notes: "one: a\\ntwo"'
    plain = from_infotext(text.split(", Notes")[0], TASKS["txt2img"], CATALOG)
    assert from_infotext(text, TASKS["txt2img"], CATALOG) == plain


# A picture is one of its job's; the engine tells which VAE it used.
UNTOLD = ("batch_size", "image", "mask", "missing", "pattern", "stencil", "vae")
TAKEN = {"missing": "warn"}  # of every text: other people have other files


@pytest.mark.parametrize("task", [*TASKS.values(), CATALOG.tasks["poster"]], ids=lambda t: t.name)
def test_every_control_comes_back(task: Task) -> None:
    values = {control.name: unusual(control) for control in task.flat_controls()}
    request = requested(task, values)
    taken = from_infotext(made_text(request, task), task, CATALOG)
    assert taken.notes == ()
    told = {name: value for name, value in values.items() if name not in UNTOLD}
    if "resize_mode" in told and not request.reshapes:
        told["resize_mode"] = 0  # where shapes do not differ it is neither told nor used
    assert {name: value for name, value in taken.values.items() if name != "vae"} == told | TAKEN


class Points(Control):
    """A kind of an extension's own: pairs of numbers, or a word."""

    def read(self, value: Any) -> Any:
        if isinstance(value, str) and value != "none":
            raise RequestError(f"{self.name} {value!r}: give points", self.name)
        return value if isinstance(value, str) else tuple((float(x), float(y)) for x, y in value)


@pytest.mark.parametrize("value", [((1, 2), (0.5, 3)), (), "none"])
def test_a_control_of_a_kind_of_its_own_comes_back(value: Any) -> None:
    control = Points(name="points", label="Points", default=((9, 9),))
    task = replace(TASKS["txt2img"], controls=(*TASKS["txt2img"].controls, control))
    own = replace(CATALOG, tasks=Registry("task", {**CATALOG.tasks, task.name: task}.items()))
    request = complete(task.name, {"extras": {"points": value}}, own, SETTINGS)
    taken = from_infotext(made_text(request, task), task, own)
    again = complete(task.name, {"extras": {"points": taken.values["points"]}}, own, SETTINGS)
    assert again.extras == request.extras
    assert again.extras["points"] == (value if value == "none" else [list(one) for one in value])
    check(request, own)


@pytest.mark.parametrize("task", [*TASKS.values(), CATALOG.tasks["poster"]], ids=lambda t: t.name)
def test_what_is_taken_makes_the_same_picture(task: Task) -> None:
    """Also where a value is the usual one and therefore not in the text: it must undo another in the form."""
    pictures = {c.name: unusual(c) for c in task.flat_controls() if isinstance(c, Picture | Mask)}
    request = requested(task, {"prompt": "a cat", "model": "wide", "seed": 7, **pictures})
    taken = from_infotext(made_text(request, task), task, CATALOG)
    odd = {c.name: unusual(c) for c in task.flat_controls() if not c.hidden}
    again = requested(task, {**odd, **taken.values, **pictures, "batch_size": 1})
    # drawn anew where it means nothing: the other noise, and a seed of an extension's that was left out
    extras = {**request.extras, **({"grain": again.extras["grain"]} if "grain" in odd else {})}
    assert again == replace(
        request,
        missing=again.missing,
        subseed=again.subseed,
        scheduler=again.scheduler,
        extras=again.extras,
        resize_mode=request.resize_mode if request.reshapes else again.resize_mode,
    )
    assert dict(again.extras) == extras


@pytest.mark.parametrize(
    ("label", "name"),
    [(s.label or n, n) for n, s in SCHEDULES.items()],
)
def test_every_schedule_is_found_by_what_is_written(label: str, name: str) -> None:
    text = f"x\nSteps: 4, Sampler: Euler, Schedule type: {label}, Seed: 1, Size: 64x64"
    assert from_infotext(text, TASKS["txt2img"], CATALOG).values["scheduler"] == name


A1111 = """portrait of a fox, (detailed:1.2)
Negative prompt: blurry,
low quality
Steps: 30, Sampler: DPM++ 2M Karras, CFG scale: 6.5, Seed: 965400086, Size: 512x768, Model hash: 6ce0161689, \
Model: v1-5-pruned-emaonly, Denoising strength: 0.45, Clip skip: 2, Hires upscale: 2, Hires steps: 12, \
Hires upscaler: Latent, Lora hashes: "fox: 123, cat: 456", Version: v1.6.0"""


def test_a_text_of_automatic1111() -> None:
    assert task_of(A1111, CATALOG) == "txt2img"  # its strength is that of the hires pass
    taken = from_infotext(A1111, TASKS["txt2img"], CATALOG)
    assert taken.values == {
        "prompt": "portrait of a fox, (detailed:1.2)",
        "negative_prompt": "blurry,\nlow quality",
        "steps": 30,
        "sampler_name": "DPM++ 2M",
        "scheduler": "karras",
        "cfg_scale": 6.5,
        "seed": 965400086,
        "width": 512,
        "height": 768,
        "clip_skip": 2,
        "vae": "automatic",
        "subseed": -1,
        "subseed_strength": 0.0,
        "eta": None,
        **TAKEN,
    }
    assert taken.notes == (
        "The model “v1-5-pruned-emaonly” is not here; the one that is chosen stays.",
        "Not known here: Hires upscale, Hires steps, Hires upscaler.",
    )


def test_a_vae_is_found_or_told() -> None:
    text = "x\nSteps: 4, Seed: 1, Size: 64x64, VAE: {}"
    assert from_infotext(text.format("None"), TASKS["txt2img"], CATALOG).values["vae"] == "none"
    taken = from_infotext(text.format("vae-ft-mse.safetensors"), TASKS["txt2img"], CATALOG)
    assert taken.notes == ("VAE “vae-ft-mse.safetensors” cannot be used here.",)


def test_an_inpainting_text_of_automatic1111_means_what_it_leaves_out() -> None:
    text = "x\nSteps: 20, Sampler: Euler a, Seed: 1, Size: 512x512, Denoising strength: 0.75, Mask blur: 4"
    assert task_of(text, CATALOG) == "inpaint"
    values = from_infotext(text, TASKS["inpaint"], CATALOG).values
    assert values["inpainting_fill"] == 1 and values["inpaint_full_res"] is False
    assert values["inpainting_mask_invert"] is False
    assert values["scheduler"] == "automatic"


@pytest.mark.parametrize("name", ["img2img", "inpaint"])
def test_a_text_without_a_resize_mode_stretched(name) -> None:
    """Of A1111, and of ours before there was the choice; where no picture was given it says nothing."""
    text = "x\nSteps: 20, Sampler: Euler a, Seed: 1, Size: 64x64, Denoising strength: 0.5, Mask blur: 4"
    assert from_infotext(text, TASKS[name], CATALOG).values["resize_mode"] == 0
    said = f"{text}, Resize mode: Resize and fill"
    assert from_infotext(said, TASKS[name], CATALOG).values["resize_mode"] == 2
    words = from_infotext("x\nSteps: 9, Seed: 3, Size: 64x64", TASKS[name], CATALOG).values
    assert "resize_mode" not in words


def test_what_is_not_said_is_left() -> None:
    values = from_infotext("x\nSteps: 9, Seed: 3, Size: 64x64", TASKS["inpaint"], CATALOG).values
    assert {"sampler_name", "cfg_scale", "model", "mask_blur", "denoising_strength"}.isdisjoint(
        values
    )
    words = from_infotext("only words", TASKS["txt2img"], CATALOG).values
    assert words == {"prompt": "only words", **TAKEN}
    assert from_infotext("", TASKS["txt2img"], CATALOG).values == {}


@pytest.mark.parametrize(
    ("pair", "note"),
    [
        ("Steps: 4000", "Steps “4000” cannot be used here."),
        ("CFG scale: much", "CFG scale “much” cannot be used here."),
        ("Sampler: Dream", "The sampling method “Dream” is not here."),
        ("Size: 513x100", "The size 513 × 100 became 512 × 96."),
        ("Model: broken", "The model “broken” cannot be used; the one that is chosen stays."),
        ("Weather: fine", "Not known here: Weather."),
        ("Seed: 1e999", "Seed “1e999” cannot be used here."),
        ("Seed: nan", "Seed “nan” cannot be used here."),
    ],
)
def test_what_cannot_be_taken_is_told(pair: str, note: str) -> None:
    text = f"x\nRNG: CPU, User: me, Task: txt2img, {pair}"
    assert from_infotext(text, TASKS["txt2img"], CATALOG).notes == (note,)


def test_the_task_is_known_by_its_own_settings() -> None:
    base = "x\nSteps: 4, Sampler: Euler, Seed: 1, Size: 64x64"
    assert task_of(base, CATALOG) == "txt2img"
    assert task_of(base + ", Denoising strength: 0.5", CATALOG) == "img2img"
    assert task_of(base + ", Denoising strength: 0.5, Mask blur: 3", CATALOG) == "inpaint"
    assert task_of(base + ", Border: 4, Paper: 1", CATALOG) == "poster"
    assert task_of("Task: poster, Size: 64x64, Version: Easel 1", CATALOG) == "poster"
    assert task_of("", CATALOG) == "txt2img"


@pytest.mark.parametrize("task", [*TASKS.values(), CATALOG.tasks["poster"]], ids=lambda t: t.name)
def test_the_task_comes_back_where_every_setting_is_the_usual_one(task: Task) -> None:
    given = [c for c in task.flat_controls() if c.name in ("image", "mask")]
    request = requested(task, {"prompt": "a cat", **{c.name: unusual(c) for c in given}})
    assert task_of(made_text(request, task), CATALOG) == task.name


def test_a_group_of_settings_that_only_ours_leave_out_takes_its_defaults() -> None:
    poster = CATALOG.tasks["poster"]
    ours = "x\nSteps: 4, Seed: 1, Size: 64x64, Version: Easel 0.1"
    assert from_infotext(ours, poster, CATALOG).values["border"] == 2
    theirs = "x\nSteps: 4, Seed: 1, Size: 64x64, Version: v1.10.1"
    assert "border" not in from_infotext(theirs, poster, CATALOG).values
    assert any(isinstance(item, Group) for item in poster.controls)


# --- Which model ----------------------------------------------------------------------------------

SHA = "40f2d61a09" + "ab" * 27
OTHER = "deadbeef00" + "cd" * 27


def shelf_of(folder: Path) -> Catalog:
    """Three models that can be used: one that was hashed, one that was not, one that is hashed as another file."""
    first = CATALOG.models()["flat"]
    old = folder / "old.safetensors"
    old.write_bytes(b"x" * 0x110000)
    cards = [
        replace(first, name="renamed.safetensors", sha256=SHA),
        replace(first, name="unknown.safetensors", weights=old, size=1),
        replace(first, name="sub/namesake.safetensors", sha256=OTHER),
        replace(first, name="broken.safetensors", sha256="ab" * 32, problem="it is cut off"),
    ]
    return replace(CATALOG, list_models=lambda: cards, _kept=[])


@pytest.mark.parametrize(
    ("pairs", "name", "note"),
    [
        ("Model hash: 40f2d61a09, Model: former", "renamed.safetensors", ""),
        ("Model hash: 40F2D61A09", "renamed.safetensors", ""),
        (f"Model hash: {SHA}, Model: former", "renamed.safetensors", ""),
        ("Model hash: 40f2d61a0, Model: former", "", "“former” is not here"),  # nine digits say nothing
        ("Model hash: 40f2d61a09, Model: namesake", "renamed.safetensors", ""),
        ("Model hash: 0123456789, Model: namesake", "sub/namesake.safetensors", "“namesake” is here, but another file"),
        ("Model hash: 0123456789, Model: unknown", "unknown.safetensors", ""),
        ("Model hash: 0123456789, Model: nowhere", "", "“nowhere” is not here"),
        ("Model hash: 0123456789", "", "with the hash 0123456789 is not here"),
        ("Model: namesake", "sub/namesake.safetensors", ""),
        ("Model hash: None, Model: namesake", "sub/namesake.safetensors", ""),
        ("Model hash: abababab" + "ab, Model: former", "", "“former” cannot be used"),
        ("Model: former [40f2d61a09]", "renamed.safetensors", ""),
        ("Model: namesake [0123456789]", "sub/namesake.safetensors", "another file"),
        ("Model: sub\\namesake", "sub/namesake.safetensors", ""),
        ("Model: Their models/namesake.safetensors", "sub/namesake.safetensors", ""),
        ("Model hash: OLD, Model: former", "unknown.safetensors", ""),
        ("Model hash: 01234567, Model: unknown", "unknown.safetensors", "another file"),
    ],
)  # fmt: skip
def test_a_model_is_found_by_its_hash_and_then_by_its_name(
    tmp_path: Path, pairs: str, name: str, note: str
) -> None:
    catalog_ = shelf_of(tmp_path)
    old = hashlib.sha256(b"x" * 0x10000).hexdigest()[:8]  # as A1111 did until 2023
    text = f"x\nSteps: 4, Seed: 1, Size: 64x64, {pairs.replace('OLD', old)}"
    taken = from_infotext(text, TASKS["txt2img"], catalog_)
    assert taken.values.get("model", "") == name
    assert len(taken.notes) == bool(note) and note in " ".join(taken.notes)


# --- Texts of other programs ----------------------------------------------------------------------


def test_what_is_no_settings_leaves_the_form_and_says_so() -> None:
    for text in ('{"3": {"class_type": "x"}}', '{"prompt": "a cat", "se'):
        taken = from_infotext(text, TASKS["txt2img"], CATALOG)
        assert taken.values == {}
        assert taken.notes == ("There are no settings in this text that Easel can read.",)
    taken = from_infotext("Postprocess upscale by: 4", TASKS["txt2img"], CATALOG)
    assert taken.values == {} and taken.notes == ("Not known here: Postprocess upscale by.",)


def test_fooocus_fills_a_form() -> None:
    told = {"prompt": "a cat", "negative_prompt": "bad", "steps": 30, "resolution": "(896, 1152)"}
    told |= {"guidance_scale": 4.0, "seed": "71", "sampler": "euler_ancestral", "sharpness": 2.0}
    taken = from_infotext(json.dumps(told), TASKS["txt2img"], CATALOG)
    said = {"prompt": "a cat", "negative_prompt": "bad", "steps": 30, "width": 896, "height": 1152}
    said |= {"cfg_scale": 4.0, "seed": 71, "sampler_name": "Euler a"}
    assert said.items() <= taken.values.items()
    assert taken.notes == ("Not known here: sharpness.",)


@pytest.mark.parametrize("size", ["512x384", "512 x 384", "512X384", "512 × 384", "512*384"])
def test_a_size_is_read_as_people_write_it(size: str) -> None:
    values = from_infotext(f"x\nSteps: 4, Seed: 1, Size: {size}", TASKS["txt2img"], CATALOG).values
    assert (values["width"], values["height"]) == (512, 384)


@pytest.mark.parametrize(
    ("more", "note"),
    [
        ("Size: XL", "Size “XL” cannot be used here."),
        ("Size: 64x64, RNG: NV", "The noise of “RNG: NV” is not here: the seed gives another picture."),
        ("Size: 64x64\nTemplate: a {cat|dog}", "Not known here: Template."),
        ("Size: 64x64\nan old remark", "Not read: “an old remark”."),
        ("Seed: 5", "Not known here: Seed 2."),
    ],
)  # fmt: skip
def test_what_was_not_understood_is_told(more: str, note: str) -> None:
    taken = from_infotext(f"x\nSteps: 4, Seed: 1, {more}", TASKS["txt2img"], CATALOG)
    assert taken.values["prompt"] == "x" and taken.values["negative_prompt"] == ""
    assert taken.notes == (note,)


def test_the_schedule_in_a_samplers_old_name_is_taken_without_it() -> None:
    text = "x\nSteps: 4, Sampler: DPM++ SDE9 Karras, Seed: 1, Size: 64x64"
    taken = from_infotext(text, TASKS["txt2img"], CATALOG)
    assert taken.values["scheduler"] == "karras" and "sampler_name" not in taken.values
    assert taken.notes == ("The sampling method “DPM++ SDE9 Karras” is not here.",)


def test_a_field_that_needs_a_picture_is_as_usual_where_a_text_with_one_lacks_it(monkeypatch):
    needing = replace(FIELDS["clip_skip"], when="image")
    monkeypatch.setattr(infotexts, "FIELDS", {**FIELDS, "clip_skip": needing})
    told = "x\nSteps: 4, Seed: 1, Size: 64x64"
    for text, usual in ((f"{told}, Denoising strength: 0.5", 1), (told, None)):
        values = from_infotext(text, TASKS["img2img"], CATALOG).values
        assert values.get("clip_skip") == usual


def test_a_task_that_samples_nothing_knows_the_options_told_by_name():
    text = "x\nSteps: 4, Sampler: DDIM, Seed: 1, Size: 64x64, Eta: 0.5, Odd: 1"
    poster = replace(TASKS["img2img"], controls=(Picture(name="image", label="Picture"),))
    assert from_infotext(text, poster, CATALOG).notes == ("Not known here: Odd.",)
