"""What loose values mean, with the real tasks, samplers and schedules."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from webui.defaults import check, check_own, complete, defaults_of, from_request
from webui.engine.samplers import SAMPLERS
from webui.engine.schedules import SCHEDULES
from webui.engine.tasks import TASKS
from webui.engine.upscalers import UPSCALERS
from webui.errors import EaselError, ModelFileError, RequestError
from webui.registry import Catalog, Registry
from webui.settings import OwnDefaults, Settings
from webui.types import (
    Choice,
    GenerationRequest,
    Group,
    Mask,
    ModelCard,
    Number,
    Picture,
    Seed,
    Switch,
    Task,
    Text,
)

PLAIN = ModelCard("plain", Path("/models/plain"))
OWN = ModelCard(
    "Own",
    Path("/models/own"),
    defaults={"steps": 12, "width": 128, "height": 128, "sampler_name": "euler A", "cfg_scale": 3},
)
BROKEN = ModelCard("broken", Path("/models/broken"), problem="broken: unet/config.json is missing")
WITH_CONTROLS = Task(
    "pan",
    "Pan",
    TASKS["txt2img"].make,
    (
        Number(name="frames", label="Frames", minimum=1, maximum=99, whole=True, default=8),
        Switch(name="loop", label="Loop", default=False),
        Number(name="steps", label="Steps", minimum=1, maximum=150, whole=True, default=33),
    ),
)
WITH_EXTRAS = Task(
    "guided",
    "Guided",
    TASKS["txt2img"].make,
    (
        Group(
            "Extension's",
            (
                Number(name="weight", label="Weight", minimum=0, maximum=2, default=1.0),
                Choice(name="size", label="Size", choices=(("Half", 0.5), ("Whole", 1.0))),
                Choice(name="refiner", label="Refiner", source="models"),
                Choice(name="second", label="Second", source="samplers", default="Euler"),
                Choice(name="then", label="Then", source="schedules", default="no such"),
                Choice(
                    name="by", label="By", choices=(("None", ""),), source="upscalers", default=""
                ),
                Text(name="note", label="Note", default=""),
                Seed(name="grain", label="Grain", default=-1),
                Switch(name="on", label="On", default=False),
                Picture(name="hint", label="Hint"),
                Mask(name="part", label="Part", over="hint"),
                Text(name="template", label="Template", hidden=True),
            ),
        ),
    ),
)
IMAGE = Image.linear_gradient("L").resize((200, 100)).convert("RGB")
MASK = Image.new("L", (200, 100), 255)


def catalog(*cards: ModelCard) -> Catalog:
    return Catalog(
        Registry(
            "task",
            [*TASKS.items(), ("pan", WITH_CONTROLS), ("guided", WITH_EXTRAS)],
            lambda task: [task.label],
        ),
        Registry("sampler_name", SAMPLERS.items(), lambda sampler: sampler.aliases),
        Registry("scheduler", SCHEDULES.items(), lambda s: (s.label, *s.aliases)),
        lambda: cards or (PLAIN, OWN, BROKEN),
        Registry("upscaler", UPSCALERS.items()),
    )


def completed(
    task: str = "txt2img", settings: Settings | None = None, cards=(), **values
) -> GenerationRequest:
    return complete(task, values, catalog(*cards), settings or Settings())


def refusal(task: str = "txt2img", error: type[EaselError] = RequestError, **values) -> str:
    with pytest.raises(error) as caught:
        completed(task, **values)
    return str(caught.value)


# --- Filling in -----------------------------------------------------------------------------------


def test_nothing_given_means_the_built_in_values():
    request = completed()
    assert (request.task, request.model, request.prompt) == ("txt2img", "plain", "")
    assert (request.sampler_name, request.scheduler, request.steps) == ("DPM++ 2M", "automatic", 20)
    assert (request.width, request.height, request.cfg_scale) == (512, 512, 7.0)
    assert (request.batch_size, dict(request.extras)) == (1, {"eta": None})


def test_inpainting_follows_a1111s_page():
    request = completed("inpaint", image=IMAGE, mask=MASK)
    assert (request.mask_blur, request.inpainting_fill) == (4, 1)
    assert (request.inpaint_full_res, request.inpaint_full_res_padding) == (False, 32)
    assert (request.denoising_strength, request.inpainting_mask_invert) == (0.75, False)


def test_a_new_request_crops_where_shapes_differ_and_takes_a1111s_modes_by_number_and_name():
    assert completed("img2img", image=IMAGE).resize_mode == 1
    assert completed("inpaint", image=IMAGE, mask=MASK).resize_mode == 1
    for given, mode in ((0, 0), (2, 2), ("just resize", 0), ("Resize and fill", 2), (2.0, 2)):
        assert completed("img2img", image=IMAGE, resize_mode=given).resize_mode == mode
    assert refusal("img2img", image=IMAGE, resize_mode=3) == "resize_mode 3: use 0, 1, 2"
    assert "no parameter of txt2img" in refusal(resize_mode=1)


def test_a_mask_that_crop_cuts_away_is_refused_at_once():
    aside = Image.new("L", IMAGE.size)
    aside.paste(255, (0, 0, 30, 100))
    asked = {"image": IMAGE, "mask": aside, "width": 64, "height": 64}
    assert "“Crop and resize” keeps" in refusal("inpaint", **asked)
    assert completed("inpaint", **asked, resize_mode=2).resize_mode == 2
    assert completed("inpaint", **asked, inpaint_full_res=True).resize_mode == 1


def test_request_beats_model_beats_settings_beats_control_beats_built_in():
    assert completed("pan").steps == 33
    settings = Settings(defaults={"steps": 44})
    assert completed("pan", settings).steps == 44
    assert completed("pan", settings, model="own").steps == 12
    assert completed("pan", settings, model="own", steps=5).steps == 5
    assert completed("pan", settings, model="own", steps=None).steps == 12


def test_a_models_own_defaults_are_read_like_anybodys():
    request = completed(model="OWN")
    assert (request.model, request.sampler_name, request.width) == ("Own", "Euler a", 128)
    assert type(request.cfg_scale) is float


def test_forms_show_what_omitted_values_become():
    shown = defaults_of("txt2img", OWN, catalog(), Settings())
    request = completed(model="own")
    assert {name: request.value_of(name) for name in shown if name not in ("seed", "subseed")} == {
        name: value for name, value in shown.items() if name not in ("seed", "subseed")
    }
    assert shown["seed"] == -1
    assert defaults_of("pan", None, catalog(), Settings())["frames"] == 8


@pytest.mark.parametrize("seed", [-1, -1.0, None])
def test_a_seed_is_drawn_when_none_is_given(seed):
    seeds = {completed(seed=seed).seed for _ in range(4)}
    assert len(seeds) > 1
    assert all(0 <= drawn < 2**32 for drawn in seeds)


def test_a_given_seed_stays():
    assert completed(seed=0).seed == 0


# --- Numbers, names, text -------------------------------------------------------------------------


def test_numbers_as_json_clients_write_them():
    request = completed(steps=20.0, width=512.0, seed=7.0, cfg_scale=7, eta=1)
    assert (request.steps, request.width, request.seed) == (20, 512, 7)
    assert all(type(value) is int for value in (request.steps, request.width, request.seed))
    assert (type(request.cfg_scale), type(request.value_of("eta"))) == (float, float)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"steps": True}, "steps True: give a whole number from 1 to 150"),
        ({"steps": 20.5}, "steps 20.5: give a whole number from 1 to 150"),
        ({"steps": "20"}, "steps '20': give a whole number from 1 to 150"),
        ({"steps": float("inf")}, "steps inf: give a whole number from 1 to 150"),
        ({"steps": [20]}, "steps [20]: give a whole number from 1 to 150"),
        ({"cfg_scale": float("nan")}, "cfg_scale nan: give a number from 0 to 30"),
        ({"cfg_scale": 10**400}, "cfg_scale inf: give a number from 0 to 30"),
        ({"cfg_scale": False}, "cfg_scale False: give a number from 0 to 30"),
        ({"eta": {}}, "eta {}: give a number from 0 to 1"),
        ({"width": 513}, "width 513: use a multiple of 8 (512 or 520)"),
        ({"seed": -2}, "seed -2: use 0 to 9007199254740975 (-1 draws one)"),
        ({"seed": 2**60}, "seed 1152921504606846976: use 0 to 9007199254740975 (-1 draws one)"),
        ({"seed": 10**5000}, "seed inf: give a whole number from 0 to 9007199254740975"),
        ({"prompt": 5}, "prompt 5: give text"),
        ({"prompt": "\ud83d"}, "prompt: holds half a character; send valid Unicode"),
        ({"sampler_name": "Eulr"}, "sampler_name 'Eulr' is not known; did you mean 'Euler'?"),
        ({"sampler_name": 3}, "sampler_name 3 is not known"),
        ({"sampler_name": "a " * 9_000}, "sampler_name 'a a a a"),  # once split in every way
        ({"scheduler": "carras"}, "scheduler 'carras' is not known; did you mean 'karras'?"),
        ({"model": "plan"}, "model 'plan' is not known; did you mean 'plain'?"),
        ({"stepps": 3}, "'stepps' is no parameter of txt2img; did you mean 'steps'?"),
        ({"stepps": None}, "'stepps' is no parameter of txt2img; did you mean 'steps'?"),
        ({"image": IMAGE}, "'image' is no parameter of txt2img"),
    ],
)
def test_wrong_values_are_a_sentence_with_the_field(values, says):
    with pytest.raises(RequestError) as caught:
        completed(**values)
    assert str(caught.value).startswith(says)
    assert caught.value.field == next(iter(values))


def test_none_for_another_tasks_parameter_is_omitted():
    assert completed(image=None, mask=None, mask_blur=None).image is None


def test_an_unknown_task_is_a_sentence():
    assert refusal("txt2imgg") == "task 'txt2imgg' is not known; did you mean 'txt2img'?"
    assert completed("Text to image").task == "txt2img"


@pytest.mark.parametrize(
    ("typed", "sampler", "scheduler"),
    [
        ("DPM++ 2M Karras", "DPM++ 2M", "karras"),
        ("dpm++ 2m sgm uniform", "DPM++ 2M", "sgm_uniform"),
        ("k_euler_a_exponential", "Euler a", "exponential"),
        ("Euler a Automatic", "Euler a", "automatic"),
        ("Euler a", "Euler a", "automatic"),
    ],
)
def test_combined_names_are_a_sampler_and_a_schedule(typed, sampler, scheduler):
    for values in ({}, {"scheduler": "automatic"}, {"scheduler": scheduler}):
        request = completed(sampler_name=typed, **values)
        assert (request.sampler_name, request.scheduler) == (sampler, scheduler)


def test_a_combined_name_and_another_schedule_contradict_each_other():
    says = refusal(sampler_name="DPM++ 2M Karras", scheduler="exponential")
    assert "says 'karras' and scheduler says 'exponential'" in says


# --- Controls that are no fields ------------------------------------------------------------------


def test_extras_are_completed_by_their_controls():
    assert dict(completed("pan").extras) == {"frames": 8, "loop": False}
    request = completed("pan", extras={"frames": 3})
    assert dict(request.extras) == {"frames": 3, "loop": False}
    with pytest.raises(TypeError):
        request.extras["frames"] = 4  # type: ignore[index]


def test_unknown_extras_are_refused():
    assert refusal(extras={"frames": 3}) == ("extras: 'frames' is no control of txt2img; use 'eta'")
    assert "did you mean 'frames'?" in refusal("pan", extras={"frame": 3})
    assert refusal(extras=[1]) == "extras [1]: give a JSON object"


def extras(**given) -> dict:
    return dict(completed("guided", extras=given).extras)


def test_extras_that_nobody_gave_are_the_controls_defaults():
    found = extras()
    assert 0 <= found.pop("grain") < 2**32
    assert found == {
        **{"weight": 1.0, "size": None, "refiner": None, "second": "Euler", "by": "", "note": ""},
        **{"on": False, "hint": None, "part": None, "template": None},
        "then": "automatic",  # the first there is, where the declared one is not there
    }
    assert extras(weight=None)["weight"] == 1.0


@pytest.mark.parametrize(
    ("name", "given", "meant"),
    [
        ("weight", 2, 2.0),
        ("size", 1, 1.0),  # JSON has no 1.0
        ("size", "half", 0.5),
        ("refiner", "OWN", "Own"),
        ("second", "k_euler_a", "Euler a"),
        ("then", "KARRAS", "karras"),
        ("by", "lanczos", "Lanczos"),
        ("by", "none", ""),
        ("note", "two words", "two words"),
        ("grain", 7.0, 7),
        ("on", 1, True),
        ("template", "{a|b}", "{a|b}"),  # hidden from people, open to programs
    ],
)
def test_extras_are_read_by_their_declarations(name, given, meant):
    found = extras(**{name: given})[name]
    assert found == meant and type(found) is type(meant)


@pytest.mark.parametrize(
    ("name", "given", "says"),
    [
        ("weight", 2.5, "weight 2.5: use 0 to 2"),
        ("weight", 10**400, "weight inf: give a number from 0 to 2"),
        ("weight", float("nan"), "weight nan: give a number"),
        ("weight", "1", "weight '1': give a number"),
        ("size", 0.7, "size 0.7: use 0.5, 1.0"),
        ("refiner", "own2", "refiner 'own2' is not known; did you mean 'Own'?"),
        ("refiner", "broken", "refiner: broken: unet/config.json is missing"),
        ("second", "Eulr", "second 'Eulr' is not known; did you mean 'Euler'?"),
        ("second", {}, "second {} is not known"),
        ("note", "\ud83d", "note: holds half a character"),
        ("grain", -2, "grain -2: use 0 to 9007199254740991 (-1 draws one)"),
        ("hint", b"no", "hint: this is not a whole picture"),
        ("hint", "/etc/hostname", "hint: give a picture"),
    ],
)
def test_a_wrong_extra_is_a_sentence_with_the_controls_name(name, given, says):
    with pytest.raises(RequestError) as caught:
        extras(**{name: given})
    assert str(caught.value).startswith(says)
    assert caught.value.field == name


def test_pictures_in_extras_are_opened_and_masks_fit_them():
    file = io.BytesIO()
    IMAGE.save(file, "PNG")
    found = extras(hint=file.getvalue(), part=Image.new("L", (20, 10), 255))
    assert found["hint"].tobytes() == IMAGE.tobytes()
    assert (found["part"].mode, found["part"].size) == ("L", IMAGE.size)


def test_a_required_picture_is_asked_for():
    needs = (Picture(name="hint", label="Hint", required=True),)
    task = replace(WITH_EXTRAS, name="needs", controls=needs)
    known = replace(catalog(), tasks=Registry("task", [("needs", task)]))
    with pytest.raises(RequestError, match="hint: needs needs a picture here"):
        complete("needs", {}, known, Settings())
    assert complete("needs", {"extras": {"hint": IMAGE}}, known, Settings()).extras["hint"]


# --- What an extension returned -------------------------------------------------------------------


@pytest.mark.parametrize("task", ["txt2img", "guided", "inpaint", "pan"])
def test_what_complete_gives_passes_the_check(task):
    pictures = {"image": IMAGE, "mask": MASK} if task == "inpaint" else {}
    given = {"extras": {"hint": IMAGE, "part": MASK}} if task == "guided" else {}
    check(completed(task, **pictures, **given), catalog())


@pytest.mark.parametrize(
    ("task", "changes", "field"),
    [
        ("txt2img", {"task": "txt2imgg"}, "task"),
        ("txt2img", {"model": "PLAIN"}, "model"),
        ("txt2img", {"model": "broken"}, "model"),
        ("txt2img", {"sampler_name": "euler"}, "sampler_name"),
        ("txt2img", {"scheduler": "carras"}, "scheduler"),
        ("txt2img", {"prompt": "\ud83d"}, "prompt"),
        ("txt2img", {"image": "a.png"}, "image"),
        ("txt2img", {"extras": {"weight": 1.0}}, "extras"),
        ("txt2img", {"extras": None}, "extras"),
        ("txt2img", {"task": "img2img"}, "image"),  # which it has not got
        ("inpaint", {"image": IMAGE.convert("L")}, "image"),
        ("inpaint", {"mask": MASK.resize((8, 8))}, "mask"),
        ("inpaint", {"mask": Image.new("L", IMAGE.size, 0)}, "mask"),
        ("guided", {"extras": {}}, "weight"),
        ("guided", {"weight": 3.0}, "weight"),
        ("guided", {"weight": None}, "weight"),
        ("guided", {"size": "half"}, "size"),
        ("guided", {"second": "euler"}, "second"),
        ("guided", {"grain": -1}, "grain"),
        ("guided", {"hint": "a.png"}, "hint"),
        ("guided", {"hint": IMAGE, "part": MASK.resize((8, 8))}, "part"),
    ],
)
def test_what_complete_could_not_have_given_is_refused(task, changes, field):
    pictures = {"image": IMAGE, "mask": MASK} if task == "inpaint" else {}
    request = completed(task, **pictures)
    own = {name: value for name, value in changes.items() if name in request.extras}
    fields = {name: value for name, value in changes.items() if name not in own}
    if own:
        fields["extras"] = {**request.extras, **own}
    with pytest.raises(RequestError) as caught:
        check(replace(request, **fields), catalog())
    assert caught.value.field == field


# --- Models ---------------------------------------------------------------------------------------


def test_the_first_usable_model_is_the_default():
    assert completed(cards=(BROKEN, OWN, PLAIN)).model == "Own"


def test_a_model_that_cannot_be_used_says_why():
    problem = "broken: unet/config.json is missing"
    assert refusal(error=ModelFileError, model="broken") == problem
    assert refusal(error=ModelFileError, cards=(BROKEN,)) == problem


def test_without_models_the_place_for_one_is_said():
    empty = Catalog(catalog().tasks, catalog().samplers, catalog().schedules, lambda: ())
    settings = Settings(models_dirs=(Path("a"), Path("b")))
    with pytest.raises(
        ModelFileError, match=r"there is no model: put one .* into b.Stable-diffusion"
    ):
        complete("txt2img", {}, empty, settings)


@pytest.mark.parametrize(
    ("defaults", "says"),
    [
        ({"steps": 0}, "steps 0: use 1 to 150"),
        ({"steps": "many"}, "steps 'many': give a whole number from 1 to 150"),
        ({"sampler_name": "Eulr"}, "sampler_name 'Eulr' is not known; did you mean 'Euler'?"),
        ({"stepps": 3}, "'stepps' is no field of a request; did you mean 'steps'?"),
    ],
)
def test_wrong_defaults_are_the_files_fault(defaults, says):
    card = ModelCard("m", Path("/models/m"), defaults=defaults)
    said = refusal(error=ModelFileError, cards=(card,))
    assert said == f"{Path('/models/m') / 'easel.json'}, defaults: {says}"


def test_the_request_may_override_a_wrong_default_but_not_share_its_blame():
    card = ModelCard("m", Path("/models/m"), defaults={"steps": 0})
    assert completed(cards=(card,), steps=3).steps == 3
    assert refusal(cards=(card,), steps=500) == "steps 500: use 1 to 150"


# --- Pictures -------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", ["img2img", "inpaint"])
def test_a_picture_is_asked_for(task):
    assert refusal(task) == f"image: {task} starts from a picture; give one"


def test_a_mask_is_asked_for():
    assert "paint over what should change" in refusal("inpaint", image=IMAGE)


def test_pictures_may_be_files_bytes_or_pictures(tmp_path):
    file = io.BytesIO()
    IMAGE.save(file, "PNG")
    path = tmp_path / "image.png"
    path.write_bytes(file.getvalue())
    for source in (IMAGE, file.getvalue(), path):
        image = completed("img2img", image=source).image
        assert (image.mode, image.tobytes()) == ("RGB", IMAGE.tobytes())
    assert refusal("img2img", image=b"no").startswith("image: this is not a whole picture")
    assert refusal("img2img", image="/etc/hostname") == "image: give a picture"


def test_a_mask_of_another_size_is_resized_to_the_pictures():
    half = Image.new("L", (20, 10), 0)
    half.paste(255, (0, 0, 10, 10))
    mask = completed("inpaint", image=IMAGE, mask=half).mask
    assert (mask.mode, mask.size) == ("L", IMAGE.size)
    assert [mask.getpixel((x, 50)) for x in (10, 190)] == [255, 0]


def test_a_mask_that_masks_nothing_is_refused():
    black = Image.new("L", IMAGE.size, 0)
    assert "nothing is masked" in refusal("inpaint", image=IMAGE, mask=black)
    assert "nothing is masked" in refusal(
        "inpaint", image=IMAGE, mask=MASK, inpainting_mask_invert=True
    )
    assert completed("inpaint", image=IMAGE, mask=black, inpainting_mask_invert=1).mask is not None


def test_a_mask_that_would_repaint_nothing_says_why():
    grey = Image.new("L", IMAGE.size, 127)
    assert "its lightest grey is 127, and only 128 and more are repainted" in refusal(
        "inpaint", image=IMAGE, mask=grey
    )
    assert "its lightest grey is 120" in refusal(
        "inpaint", image=IMAGE, mask=Image.new("L", IMAGE.size, 135), inpainting_mask_invert=True
    )
    large, speck = IMAGE.resize((1024, 1024)), Image.new("L", (1024, 1024))
    speck.putpixel((500, 500), 255)
    small = {"image": large, "mask": speck, "width": 128, "height": 128}
    assert "nothing is masked at 128 x 128: what is white is too small" in refusal(
        "inpaint", **small
    )
    assert completed("inpaint", **small, inpaint_full_res=True).mask is not None
    assert completed("inpaint", image=IMAGE, mask=Image.new("L", IMAGE.size, 128)).mask is not None


@pytest.mark.parametrize(
    ("size", "given", "expected"),
    [
        ((200, 100), {}, (200, 96)),
        ((512, 512), {}, (512, 512)),
        ((515, 509), {}, (512, 512)),
        ((4096, 3072), {}, (2048, 1536)),
        ((32, 48), {}, (64, 96)),
        ((5000, 20), {}, (2048, 64)),
        ((1000, 500), {"width": 512}, (512, 256)),
        ((1000, 500), {"height": 512}, (1024, 512)),
        ((1000, 500), {"width": 64, "height": 2048}, (64, 2048)),
    ],
)
def test_an_omitted_size_is_the_pictures_own(size, given, expected):
    request = completed("img2img", model="own", image=Image.new("RGB", size), **given)
    assert (request.width, request.height) == expected
    assert request.image.size == size


def test_a_wrong_size_beside_a_picture_is_still_refused():
    assert refusal("img2img", image=IMAGE, width="wide").startswith("width 'wide': give a whole")
    assert refusal("img2img", image=IMAGE, width=0) == "width 0: use 64 to 2048 in steps of 8"


@pytest.mark.parametrize(
    ("typed", "number"),
    [("fill", 0), ("Original", 1), ("latent noise", 2), ("latent nothing", 3), (2, 2), (2.0, 2)],
)
def test_masked_content_by_name_or_number(typed, number):
    request = completed("inpaint", image=IMAGE, mask=MASK, inpainting_fill=typed)
    assert request.inpainting_fill == number


def test_choices_are_found_by_their_labels():
    request = completed("inpaint", image=IMAGE, mask=MASK, inpaint_full_res="Only masked")
    assert request.inpaint_full_res is True


def test_the_same_values_mean_the_same_request():
    values = {"prompt": "a", "seed": 3, "sampler_name": "euler"}
    assert completed(**values) == completed(**values)


def test_a_form_gets_a_variation_seed_back_only_where_it_counted():
    def given_back(**values):
        request = completed(seed=5, **values)
        return from_request(request, TASKS["txt2img"], catalog(PLAIN)).values

    plain = given_back()
    assert (plain["seed"], plain["subseed"], plain["subseed_strength"]) == (5, -1, 0)
    assert given_back(subseed=9, subseed_strength=0.2)["subseed"] == 9


def test_a_variation_seed_is_drawn_only_where_it_counts():
    assert completed().subseed == 0
    assert completed(subseed_strength=0.2).subseed != completed(subseed_strength=0.2).subseed
    kept = completed(seed=5, subseed=9, subseed_strength=0.2, batch_size=3)
    assert [(kept.seed_of(i), kept.subseed_of(i)) for i in range(3)] == [(5, 9), (5, 10), (5, 11)]


def own(task: str = "", model: str = "", **values) -> OwnDefaults:
    return OwnDefaults(task=task, model=model, values=values)


def test_what_the_user_chose_stands_between_the_request_and_the_model():
    """(model, task) over model over the model's own file over task over the settings."""
    layers = [
        own("txt2img", "", steps=1, cfg_scale=1, width=256, clip_skip=2, batch_size=2),
        own("", "Own", cfg_scale=4, height=256, steps=4),
        own("txt2img", "Own", steps=5),
        own("img2img", "", steps=99),
        own("", "plain", steps=98),
    ]
    settings = Settings(defaults={"clip_skip": 3, "batch_size": 3}, own_defaults=tuple(layers))
    found = defaults_of("txt2img", OWN, catalog(PLAIN, OWN), settings)
    assert (found["steps"], found["cfg_scale"], found["height"]) == (5, 4.0, 256)  # the user's
    assert found["width"] == 128  # the model's own, over the task's
    assert (found["clip_skip"], found["batch_size"]) == (2, 2)  # the task's, over the settings
    values = {"model": "Own", "steps": 7}
    assert complete("txt2img", values, catalog(PLAIN, OWN), settings).steps == 7


def test_a_chosen_name_that_is_gone_counts_for_nothing():
    chosen = (own("txt2img", "", sampler_name="Gone", steps=9),)
    settings = Settings(own_defaults=chosen)
    request = complete("txt2img", {}, catalog(PLAIN), settings)
    assert (request.sampler_name, request.steps) == ("DPM++ 2M", 9)


def test_choices_of_this_moment_count():
    now = Settings(own_defaults=(own("txt2img", "", steps=9),))
    held = Settings(source=lambda: now)
    assert complete("txt2img", {}, catalog(PLAIN), held).steps == 9


@pytest.mark.parametrize(
    "values",
    [{"steps": 0}, {"sampler_name": "Gone"}, {"width": 100}, {"cfg_scale": "x"}, {"seed": -2}],
)
def test_what_no_request_could_have_is_no_default(values):
    with pytest.raises(RequestError) as caught:
        check_own(own("txt2img", "", **values), catalog(PLAIN))
    assert caught.value.field == "own_defaults"


def test_what_a_request_could_have_is_a_default():
    for entry in (own("txt2img", "", seed=-1, steps=8.0), own("", "gone", eta=None, width=256)):
        check_own(entry, catalog(PLAIN))


def test_what_is_missing_is_refused_unless_a_request_says_otherwise():
    assert completed().missing == "refuse"
    assert [completed(missing=said).missing for said in ("warn", "Go without", "refuse")] == [
        *("warn", "warn", "refuse"),
    ]
    with pytest.raises(RequestError, match=r"^missing 'never': use 'refuse', 'warn'$") as refused:
        completed(missing="never")
    assert refused.value.field == "missing"


# --- Options of samplers that are given by name ---------------------------------------------------


def test_eta_is_an_option_that_is_given_as_a_field_is():
    """By its name or among the extras, which count more; a task without it takes it as any field it does not show."""
    for values in ({"eta": 1}, {"extras": {"eta": 1}}, {"eta": 0.5, "extras": {"eta": 1}}):
        request = completed(**values)
        assert dict(request.extras) == {"eta": 1.0} and type(request.extras["eta"]) is float
        assert request == completed(extras={"eta": 1.0}, seed=request.seed)
        check(request, catalog())
    assert "eta" not in completed("pan", eta=0.5).extras
    assert refusal("pan", eta=2) == "eta 2: use 0 to 1"
    assert "eta" not in GenerationRequest.__dataclass_fields__
    assert refusal(extras={"eta": 2}) == refusal(eta=2) == "eta 2: use 0 to 1"


def test_a_default_of_eta_counts_as_a_fields_does():
    card = replace(OWN, defaults={**OWN.defaults, "eta": 0.25})
    layers = (own("txt2img", "", eta=0.5), own("", "Own", eta=1))
    for chosen, usual, settings in (
        (PLAIN, 0.75, Settings(defaults={"eta": 0.75})),
        (PLAIN, 0.5, Settings(defaults={"eta": 0.75}, own_defaults=layers)),
        (card, 0.25, Settings(own_defaults=layers[:1])),
        (card, 1.0, Settings(own_defaults=layers)),
    ):
        values = {"model": chosen.name}
        request = complete("txt2img", values, catalog(chosen), settings)
        assert request.extras["eta"] == usual
        assert defaults_of("txt2img", chosen, catalog(chosen), settings)["eta"] == usual
        given = complete("txt2img", {**values, "eta": 0}, catalog(chosen), settings)
        assert given.extras["eta"] == 0.0
    wrong = replace(OWN, defaults={"eta": 7})
    assert "easel.json, defaults: eta 7" in refusal(
        error=ModelFileError, cards=(wrong,), model="own"
    )
    with pytest.raises(RequestError, match=r"^eta 7: use 0 to 1$"):
        check_own(own("txt2img", "", eta=7), catalog(PLAIN))
