"""The infotext, written and read; carriers as other programs make them."""

from __future__ import annotations

import io
import re
import struct
from dataclasses import replace

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from webui import __version__
from webui.engine.schedules import SCHEDULES
from webui.metadata import (
    SCHEDULE_LABELS,
    infotext,
    notes_in,
    parse,
    read,
    settings_of,
    texts_of,
    written,
)
from webui.types import Finished, GenerationRequest, Model

PICTURE = Image.new("RGB", (64, 64), "teal")


def finished(ran: str = "uniform", model: str = "starter", hash: str = "", **values) -> Finished:
    request = GenerationRequest(
        **{
            "task": "txt2img",
            "model": model,
            "sampler_name": "Euler a",
            "seed": 965400086,
            "steps": 20,
            "cfg_scale": 7.0,
            "width": 512,
            "height": 384,
            "prompt": "a cat",
            **values,
        }
    )
    card = Model(model, 4, False, (0.03, 14.6), hash=hash)
    own = PICTURE.copy()  # Pillow notes on a picture how it is saved: two threads may not share one
    return Finished("job", request, 0, request.seed, own, card, ran, 1.5)


def test_the_text_is_a1111s():
    made = finished(hash="6ce0161689", prompt="a cat,\nin oil", negative_prompt="blurry")
    assert infotext(made) == (
        "a cat,\nin oil\nNegative prompt: blurry\n"
        "Steps: 20, Sampler: Euler a, Schedule type: Automatic, CFG scale: 7.0, Seed: 965400086, "
        f"Size: 512x384, Model hash: 6ce0161689, Model: starter, RNG: CPU, Version: Easel {__version__}"
    )


def test_what_is_unknown_or_empty_is_left_out():
    text = infotext(finished(prompt=""))
    assert text.startswith("Steps: 20, ")
    assert "Model hash" not in text
    assert "None" not in text


def test_img2img_and_inpainting_add_their_values():
    image, mask = Image.new("RGB", (64, 64)), Image.new("L", (64, 64), 255)
    img2img = parse(infotext(finished(image=image, denoising_strength=0.4)))
    assert img2img["Denoising strength"] == "0.4"
    assert "Mask blur" not in img2img
    inpaint = finished(
        image=image,
        mask=mask,
        inpaint_full_res=True,
        inpainting_fill=2,
        inpainting_mask_invert=True,
    )
    keys = {
        "Denoising strength": "0.75",
        "Mask mode": "Inpaint not masked",
        "Mask blur": "4",
        "Masked content": "latent noise",
        "Inpaint area": "Only masked",
        "Masked area padding": "32",
    }
    found = parse(infotext(inpaint))
    assert {key: found[key] for key in keys} == keys


def test_a_task_tells_of_no_picture_setting_that_it_does_not_use():
    wide = Image.new("RGB", (200, 64))
    made = finished(task="sheet", image=wide, resize_mode=1)
    assert {"Denoising strength", "Resize mode"} <= parse(infotext(made)).keys()
    made = replace(made, controls=frozenset(("image", "prompt", "steps")))
    found = parse(infotext(made)).keys()
    assert {"Steps", "Sampler", "Seed"} <= found
    assert {"Denoising strength", "Resize mode", "Mask blur"}.isdisjoint(found)


def test_the_schedule_is_the_one_that_ran_except_for_a1111s_automatic():
    def label(asked: str, ran: str) -> str:
        return parse(infotext(finished(ran, scheduler=asked)))["Schedule type"]

    assert label("automatic", "karras") == "Karras"
    assert label("automatic", "uniform") == "Automatic"
    assert label("uniform", "uniform") == "Uniform"
    assert label("mine", "mine") == "mine"


def test_the_labels_are_the_menus():
    assert {name: schedule.label for name, schedule in SCHEDULES.items()} == SCHEDULE_LABELS


NASTY = [
    "",
    "a cat",
    "two\nlines, with: colons, and commas",
    "Steps: 20, Sampler: Euler, Seed: 3, Size: 1x1",
    "a\nSteps: 20, Sampler: Euler, Seed: 3, Size: 1x1",
    "Negative prompt: looks like it",
    "a\nNegative prompt: b\nNegative prompt: c",
    "  spaces at both ends  ",
    "\n\nnewlines at both ends\n\n",
    "carriage\r\nreturn",
    'quotes " and \\ backslashes "',
    "猫 🐈‍⬛ über naïve",
    "\u2028 line separator",
    "[from:to:0.5] (a:1.3) <lora:x:1>",
]


@pytest.mark.parametrize("negative", NASTY)
@pytest.mark.parametrize("prompt", NASTY)
def test_prompts_come_back_as_they_were(prompt, negative):
    found = parse(infotext(finished(prompt=prompt, negative_prompt=negative)))
    assert (found["Prompt"], found["Negative prompt"]) == (prompt, negative)
    assert found["Seed"] == "965400086"


@pytest.mark.parametrize(
    "name", ["a, b", "C:\\models\\x", ' "x" ', "two\nlines", "ünï", '"', "a b"]
)
def test_values_come_back_as_they_were(name):
    found = parse(infotext(finished(model=name)))
    assert (found["Model"], found["RNG"]) == (name, "CPU")


def test_a_text_written_by_a1111_is_read():
    found = parse(
        "masterpiece, cat\nNegative prompt: bad,\nworse\nSteps: 28, Sampler: DPM++ 2M, Schedule type: "
        'Karras, CFG scale: 7, Seed: 1, Size: 512x768, Model: x, Lora hashes: "a: 12, b: 34", '
        "Hires upscale: 2, Version: v1.10.1"
    )
    assert found["Prompt"] == "masterpiece, cat"
    assert found["Negative prompt"] == "bad,\nworse"
    assert found["Lora hashes"] == "a: 12, b: 34"
    assert (found["Size"], found["Hires upscale"], found["Version"]) == ("512x768", "2", "v1.10.1")


@pytest.mark.parametrize("text", ["", "just words", "a: b, c: d", "\n", "x\n: , : ,", '"'])
def test_any_other_text_is_all_prompt(text):
    assert parse(text) == {"Prompt": text, "Negative prompt": ""}


@pytest.mark.parametrize(
    "text", ["a" * 100_000, 'k: "' + "\\" * 99_999, "a " * 50_000 + ":", 'a: "\\", ' * 20_000]
)
def test_hostile_lines_end(text):
    # With backtracking from every start, one of these took a minute and a half.
    assert parse(text)["Negative prompt"] == ""


# --- Notes: what extensions did -------------------------------------------------------------------


def test_notes_stand_before_the_version_in_their_order():
    made = replace(finished(), notes={"Film grain": 0.2, "Denoise wrappers": "a, b", "Off": None})
    end = f', RNG: CPU, Film grain: 0.2, Denoise wrappers: "a, b", Version: Easel {__version__}'
    assert infotext(made).endswith(end)


LABELS = [
    "Notes",
    *("Film grain", "Strength (%)", "a, b", "a: b", "«Größe»", "-dash", "2x / 4x", " spaces "),
    *("", "(!)", "two\nlines", '"', "猫", "Steps", "Prompt", "Negative prompt", "Version", "Eta"),
]


@pytest.mark.parametrize("label", LABELS)
def test_any_label_is_read_back_and_takes_nobodys_place(label):
    plain = parse(infotext(finished(negative_prompt="n")))
    made = replace(finished(negative_prompt="n"), notes={label: "its, value"})
    found = parse(infotext(made))
    added = {key: value for key, value in found.items() if key not in plain}
    assert list(added.values()) == ["its, value"]
    assert {key: found[key] for key in plain} == plain


def test_an_option_that_was_a_field_has_its_key():
    made = replace(finished(), notes={"Eta": 0.5, "Strength (%)": 2})
    found = parse(infotext(made))
    assert (found["Eta"], found["Strength"]) == ("0.5", "2")


def test_labels_that_look_alike_are_told_apart():
    made = replace(finished(), notes={"Size (px)": 1, "Size [px]": 2, "Size px": 3})
    found = parse(infotext(made))
    assert [found[key] for key in ("Size px", "Size px 2", "Size px 3")] == ["1", "2", "3"]


@pytest.mark.parametrize("prompt", ["", "a cat"])
def test_a_picture_that_no_sampler_made_has_no_steps(prompt):
    made = replace(finished(prompt=prompt, task="enlarge"), model=None, sampled=False)
    assert parse(infotext(made)) == {
        **{"Prompt": prompt, "Negative prompt": "", "Task": "enlarge", "Size": "512x384"},
        "Version": f"Easel {__version__}",
    }


# --- Warnings: what is told on a picture ----------------------------------------------------------

SENTENCES = ["LoRA “a, b” is not here: left out", 'the "grain" failed; as it was', "Steps: 1, a\\n"]


def test_sentences_come_back_each_once_and_in_a_line():
    made = replace(finished(), warnings=(*SENTENCES, " two\nlines ", "", SENTENCES[0]))
    text = infotext(made)
    assert notes_in(text) == (*SENTENCES, "two lines")
    assert {k: v for k, v in parse(text).items() if k != "Notes"} == parse(infotext(finished()))
    assert notes_in(infotext(finished())) == notes_in("a cat") == notes_in("") == ()


def test_a_picture_made_of_another_keeps_what_is_told_on_that():
    source = PICTURE.copy()
    source.info["parameters"] = infotext(replace(finished(), warnings=("first", "both")))
    made = finished(prompt="", task="upscale", image=source)
    again = replace(made, model=None, sampled=False, warnings=("both", "second"))
    assert notes_in(infotext(again)) == ("first", "both", "second")
    assert notes_in(infotext(replace(again, warnings=()))) == ("first", "both")


@pytest.mark.parametrize("task", ["img2img", "inpaint"])
def test_words_that_had_no_part_in_a_picture_are_not_written_on_it(task):
    source = PICTURE.copy()
    source.info["parameters"] = text = infotext(finished(prompt="a red cat"))
    made = finished(prompt="a dog", negative_prompt="b", task=task, image=source)
    again = replace(made, model=None, sampled=False)  # at strength 0
    assert parse(infotext(again)) == parse(text)


# --- Carriers -----------------------------------------------------------------------------------

TEXTS = ["a", "plain", "ünïcode", "猫, 犬", "a\nb\nSteps: 1, Seed: 2, Size: 3x4"]


def opened(format: str, **how) -> Image.Image:
    file = io.BytesIO()
    PICTURE.save(file, format, **how)
    return Image.open(io.BytesIO(file.getvalue()))


def user_comment(comment: bytes) -> bytes:
    """EXIF with nothing but a UserComment: a TIFF header, an IFD that points to the EXIF IFD, and that."""

    def directory(tag: int, kind: int, count: int, value: int) -> bytes:
        return struct.pack("<HHHIII", 1, tag, kind, count, value, 0)

    head = b"Exif\0\0II*\0" + struct.pack("<I", 8)  # offsets count from the second I
    pointer, text = directory(0x8769, 4, 1, 26), directory(0x9286, 7, len(comment), 44)
    return head + pointer + text + comment


@pytest.mark.parametrize("text", TEXTS)
def test_png_chunks_before_and_behind_the_pixels(text):
    chunks = PngInfo()
    chunks.add_text("parameters", text)
    assert read(opened("PNG", pnginfo=chunks)) == text
    behind = PngInfo()
    behind.add_itxt("parameters", text)
    behind.chunks[0] = (*behind.chunks[0][:2], True)  # Pillow's "after IDAT"
    assert read(opened("PNG", pnginfo=behind)) == text


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("encoding", ["utf-16-be", "utf-16-le"])
@pytest.mark.parametrize("format", ["JPEG", "WEBP", "PNG"])
def test_exif_user_comment_in_either_byte_order(format, encoding, text):
    exif = user_comment(b"UNICODE\0" + text.encode(encoding))
    assert read(opened(format, exif=exif)) == text


def test_exif_user_comment_in_ascii_and_gif_comment():
    exif = user_comment(b"ASCII\0\0\0plain")
    assert read(opened("JPEG", exif=exif)) == "plain"
    assert read(opened("GIF", comment=b"plain")) == "plain"


@pytest.mark.parametrize("text", [*TEXTS[:4], "猫", "a 猫\nSteps: 4, Seed: 2, Size: 8x8"])
@pytest.mark.parametrize(
    "coded",
    [
        lambda text: b"UNICODE\0" + text.encode("utf-16"),
        lambda text: b"UNICODE\0\xfe\xff" + text.encode("utf-16-be"),
        lambda text: b"UNICODE\0\xef\xbb\xbf" + text.encode(),
        lambda text: b"Unicode\0" + (text + ", b").encode("utf-16-le"),
        lambda text: b"UNICODE\0" + (text + ", b").encode(),
        lambda text: b"UNICODE\0" + (text + ", b\0\0").encode(),
        lambda text: b"ASCII\0\0\0" + text.encode(),
        lambda text: b"\0" * 8 + b"\xef\xbb\xbf" + text.encode(),
        lambda text: (text + ", b").encode().ljust(9),
    ],
    ids=range(9),
)
def test_a_comment_is_read_however_it_is_coded(coded, text):
    said = read(opened("JPEG", exif=user_comment(coded(text))))
    assert said.rstrip() in (text, text + ", b")


def test_a_japanese_comment_is_read():
    assert (
        read(opened("JPEG", exif=user_comment(b"JIS\0\0\0\0\0" + "猫, a".encode("iso2022_jp"))))
        == "猫, a"
    )


SETTINGS = "a löwe\nSteps: 4, Sampler: Euler, Seed: 7, Size: 8x8"


@pytest.mark.parametrize(
    ("tag", "value", "read_back"),
    [
        (0x9286, b"UNICODE\0" + SETTINGS.encode("utf-16-be"), SETTINGS),  # in the first directory
        (0x9286, b"UNICODE\0" + SETTINGS.encode(), SETTINGS),
        (0x9C9C, SETTINGS.encode("utf-16-le") + b"\0\0", SETTINGS),
        (0x010E, SETTINGS.encode(), SETTINGS),
        (0x9C9C, "my holiday".encode("utf-16-le"), None),
        (0x010E, "OLYMPUS DIGITAL CAMERA", None),
    ],
)
@pytest.mark.parametrize("format", ["JPEG", "WEBP", "PNG"])
def test_a_comment_in_another_place_of_exif_is_found_where_it_is_settings(
    format, tag, value, read_back
):
    exif = Image.Exif()
    exif[tag] = value
    assert (read(opened(format, exif=exif)) or None) == read_back


def test_an_empty_user_comment_hides_no_other():
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = b"ASCII\0\0\0" + b" " * 40
    exif[0x010E] = "a cat\nSteps: 4, Seed: 7, Size: 8x8"
    assert read(opened("JPEG", exif=exif)).startswith("a cat")
    assert read(opened("JPEG", exif=user_comment(b"\0" * 20), comment=b"a comment")) == "a comment"


def test_a_picture_without_text_has_none():
    assert read(PICTURE) is None
    assert read(opened("PNG")) is None
    assert read(opened("JPEG")) is None


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize(
    "exif",
    [b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\x7f", b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x87\x69"],
)
def test_damaged_exif_counts_as_none(exif):
    assert read(opened("JPEG", exif=exif)) is None


def test_the_picture_at_an_index_has_its_own_seed():
    made = replace(finished(), seed=965400088, index=2)
    assert re.search(r"Seed: (\d+)", infotext(made))[1] == "965400088"


# --- What a picture's texts are -------------------------------------------------------------------

SETTINGS = "a cat\nSteps: 4, Sampler: Euler, Seed: 5, Size: 64x64, Version: v1.6.0"
FOOOCUS = '{"prompt": "a cat", "negative_prompt": "", "seed": 5, "steps": 30}'
GRAPH = '{"3": {"class_type": "KSampler"}}'
CAMERA = "CREATOR: gd-jpeg v1.0 (using IJG JPEG v62), quality = 90"


def png(**texts: str) -> Image.Image:
    chunks = PngInfo()
    for name, text in texts.items():
        chunks.add_text(name, text)
    return opened("PNG", pnginfo=chunks)


def in_exif(text: str, format: str = "JPEG") -> Image.Image:
    return opened(format, exif=user_comment(b"UNICODE\0" + text.encode("utf-16-be")))


def test_settings_are_told_from_comments_and_json() -> None:
    for text in (SETTINGS, FOOOCUS):
        for image in (
            png(parameters=text),
            in_exif(text),
            in_exif(text, "WEBP"),
            in_exif(text, "PNG"),
        ):
            assert settings_of(image) == text
            assert texts_of(image) == {"parameters": text}
    assert settings_of(png(parameters="a cat")) == "a cat"
    assert settings_of(png(parameters=GRAPH)) is None
    assert texts_of(png(parameters=GRAPH)) == {"parameters": GRAPH}
    for text in (CAMERA, GRAPH, "Lens: 50, f: 1.8, iso: 100", "a cat"):
        for image in (
            in_exif(text),
            in_exif(text, "WEBP"),
            opened("GIF", comment=text.encode()),
            opened("JPEG", comment=text.encode()),
        ):
            assert settings_of(image) is None
            assert texts_of(image) == {"comment": text}


def upscaled(source: Image.Image) -> Finished:
    """As the upscale task leaves a picture, with its notes."""
    made = finished(prompt="", task="upscale", image=source)
    large = source.convert("RGB").resize((128, 96))
    return replace(made, picture=large, model=None, sampled=False, notes={"Upscaler": "Lanczos, 2"})


def test_settings_stay_with_an_upscaled_picture_beside_its_other_texts() -> None:
    texts = written(upscaled(png(parameters=SETTINGS, workflow=GRAPH, Software="x")))
    assert (texts["workflow"], texts["Software"]) == (GRAPH, "x")
    found = parse(texts["parameters"])
    assert parse(SETTINGS).items() <= found.items() and found["Upscaler"] == "Lanczos, 2"


@pytest.mark.parametrize("text", [GRAPH, FOOOCUS, '{"cut": "off'])
def test_what_is_not_understood_stays_as_it_stands(text: str) -> None:
    texts = written(upscaled(png(parameters=text)))
    assert texts["parameters"] == text
    assert parse(texts["extras"])["Size"] == "128x96"
    texts = written(upscaled(in_exif(CAMERA)))
    assert texts["comment"] == CAMERA
    assert parse(texts["parameters"])["Prompt"] == ""


@pytest.mark.parametrize(
    "text",
    [
        SETTINGS.replace("\n", "\r\n") + "\r\n\r\n",
        SETTINGS + "\nTemplate: a {cat|dog}\n\nNegative Template: no, [x",
        SETTINGS + ', Civitai resources: [{"modelName":"Big, Size: XL"}], odd, Foo: [a, Foo: b]',
        SETTINGS + "\nUsed embeddings: bad [12]",
        "a cat\nNegative prompt: negative: \nSteps: 4, Seed: 5, Size: 64x64, App: SD.Next",
        "Postprocess upscale by: 4, Postprocess upscaler: R-ESRGAN 4x+",
        "only words",
        'a\nSteps: 4, Seed: 5, Name: "half \\ud800 a letter", Size: 8x8',
    ],
)
def test_settings_of_any_form_are_kept_by_upscaling(text: str) -> None:
    made = upscaled(png(parameters=text))
    before, found = parse(text), parse(written(made)["parameters"])
    kept = {key: value.encode("utf-8", "replace").decode() for key, value in before.items()}
    assert kept.items() <= found.items()
    assert ("Steps" in before) or (found["Size"], found["Task"]) == ("128x96", "upscale")
    assert (
        parse(written(upscaled(png(parameters=written(made)["parameters"])))["parameters"]) == found
    )


def test_a_graph_in_exif_stays_with_an_upscaled_picture() -> None:
    exif = Image.Exif()
    exif[0x010F] = f"workflow:{GRAPH}"
    exif[0x0110] = f"prompt:{GRAPH}"
    texts = written(upscaled(opened("WEBP", exif=exif)))
    assert (texts["workflow"], texts["prompt"]) == (GRAPH, GRAPH)


def test_a_picture_upscaled_twice_says_its_size() -> None:
    once = upscaled(png())
    assert parse(infotext(once))["Size"] == "128x96"
    again = upscaled(png(parameters=infotext(once)))
    again = replace(again, picture=Image.new("RGB", (4, 4)))
    assert parse(infotext(again))["Size"] == "4x4"
