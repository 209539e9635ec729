"""What picture files say of themselves."""

from __future__ import annotations

import os
import zlib

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from tests.store.pictures import picture
from webui import metadata
from webui.store.gallery.files import Broken, day_of, facts

TEXT = "a cat, 猫\nNegative prompt: dogs\nSteps: 4, Sampler: Euler a, CFG scale: 7, Seed: 12"


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "avif"])
def test_every_kind_is_read_as_the_page_reads_it(tmp_path, suffix):
    path = picture(tmp_path / f"a.{suffix}", "a cat, 猫", negative="dogs", size=(40, 24))
    found = facts(path)
    with Image.open(path) as opened:
        assert found.parameters == (metadata.read(opened) or "")
    assert (found.width, found.height, found.size) == (40, 24, path.stat().st_size)
    assert (found.prompt, found.seed, found.sampler) == ("a cat, 猫", 12, "Euler a")


def test_a_gif_has_its_settings_in_a_comment(tmp_path):
    Image.new("P", (8, 8)).save(tmp_path / "a.gif", comment=TEXT.encode())
    assert facts(tmp_path / "a.gif").prompt == "a cat, 猫"


def test_settings_behind_the_pixels_are_found(tmp_path):
    """As tools write them that add to a file: the text chunk moves to the end."""
    path = picture(tmp_path / "a.png", "a cat")
    content = path.read_bytes()
    at = content.index(b"tEXt") - 4
    length = int.from_bytes(content[at : at + 4], "big") + 12
    text, rest = content[at : at + length], content[:at] + content[at + length :]
    path.write_bytes(rest[:-12] + text + rest[-12:])
    assert facts(path).prompt == "a cat"


def test_a_plain_picture_has_no_settings(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    found = facts(tmp_path / "a.png")
    assert (found.parameters, found.task, found.model, found.seed) == ("", "", "", None)


def test_a_turned_photo_is_as_wide_as_it_is_shown(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 20)).save(tmp_path / "a.jpg", exif=exif)
    found = facts(tmp_path / "a.jpg")
    assert (found.width, found.height) == (20, 40)


@pytest.mark.parametrize(
    ("line", "task"),
    [
        ("Steps: 4, Sampler: a, CFG scale: 7", "txt2img"),
        ("Steps: 4, Sampler: a, CFG scale: 7, Denoising strength: 0.5", "img2img"),
        ("Steps: 4, Sampler: a, Denoising strength: 0.5, Hires upscale: 2", "txt2img"),
        ("Steps: 4, Sampler: a, Denoising strength: 0.5, Mask blur: 4", "inpaint"),
        ("Task: upscale, Size: 8x8, Version: x", "upscale"),
        ("no settings", ""),
    ],
)
def test_the_task_follows_from_the_settings(tmp_path, line, task):
    chunks = PngInfo()
    chunks.add_text("parameters", f"a cat\n{line}")
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png", pnginfo=chunks)
    assert facts(tmp_path / "a.png").task == task
    assert facts(tmp_path / "a.png", "morph").task == "morph"


@pytest.mark.parametrize("seed", ["9" * 19, "9" * 400, "x", "", "-5.5", "٣"])
def test_a_seed_that_is_no_number_of_ours_is_none(tmp_path, seed):
    chunks = PngInfo()
    chunks.add_text("parameters", f"a\nSteps: 4, Sampler: b, Seed: {seed}")
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png", pnginfo=chunks)
    assert facts(tmp_path / "a.png").seed is None


def test_the_mark_is_the_contents_and_the_stamp_the_files(tmp_path):
    a = facts(picture(tmp_path / "a.png", at=1000))
    moved = facts((tmp_path / "a.png").rename(tmp_path / "b.png"))
    assert (moved.mark, moved.stamp) == (a.mark, a.stamp)
    os.utime(tmp_path / "b.png", (2000, 2000))
    touched = facts(tmp_path / "b.png")
    assert touched.mark == a.mark and touched.stamp != a.stamp
    other = facts(picture(tmp_path / "c.png", colour=(255, 1, 0), at=1000))
    assert other.mark != a.mark and other.stamp != a.stamp


@pytest.mark.parametrize("suffix", ["png", "webp"])
@pytest.mark.parametrize("left", [0, 3, 20, 60, -5, -13])
def test_a_cut_file_is_broken(tmp_path, suffix, left):
    path = picture(tmp_path / f"a.{suffix}", size=(64, 64))
    content = path.read_bytes()
    path.write_bytes(content[:left])
    with pytest.raises(Broken):
        facts(path)


def test_no_file_is_read_as_something_else(tmp_path):
    """Its kind is taken from its content, and of kinds that are not ours nothing is tried."""
    Image.new("RGB", (8, 8)).save(tmp_path / "a.eps")
    (tmp_path / "a.eps").rename(tmp_path / "a.png")
    with pytest.raises(Broken):
        facts(tmp_path / "a.png")
    Image.new("RGB", (8, 8)).save(tmp_path / "b.jpg")
    (tmp_path / "b.jpg").rename(tmp_path / "b.png")
    assert facts(tmp_path / "b.png").width == 8


def test_text_that_no_database_holds_is_made_plain(tmp_path):
    chunks = PngInfo()
    chunks.add_itxt("parameters", "a\0cat\nSteps: 4, Sampler: b, Seed: 5")
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png", pnginfo=chunks)
    assert "\0" not in facts(tmp_path / "a.png").parameters


def test_a_time_that_no_calendar_has_is_no_day():
    assert day_of(1e30) == "" and day_of(float("inf")) == ""


@pytest.mark.parametrize(
    ("text", "prompt", "parameters"),
    [
        ('{"3": {"class_type": "KSampler"}}', "", False),
        ('{"prompt": "a cat", "seed": 5, "steps": 3}', "a cat", True),
        ("a cat\r\nSteps: 3, Seed: 5, Size: 8x8\r\n\r\n", "a cat", True),
        ("a cat\nSteps: 3, Seed: 5, Size: 8x8\nTemplate: a {cat|dog}", "a cat", True),
        ("Postprocess upscale by: 4, Postprocess upscaler: x", "", True),
        ("a cat", "a cat", True),
    ],
)
def test_only_prompts_become_prompts(tmp_path, text, prompt, parameters):
    chunks = PngInfo()
    chunks.add_text("parameters", text)
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png", pnginfo=chunks)
    found = facts(tmp_path / "a.png")
    assert (found.prompt, found.negative_prompt) == (prompt, "")
    assert bool(found.parameters) is parameters
    assert found.seed == (5 if "5" in text else None)


def test_a_comment_is_no_prompt(tmp_path):
    for name in ("a.jpg", "a.gif"):
        Image.new("RGB", (8, 8)).save(
            tmp_path / name, comment=b"CREATOR: gd-jpeg v1.0, quality = 90"
        )
        found = facts(tmp_path / name)
        assert (found.prompt, found.parameters) == ("", "")


def test_a_picture_with_long_texts_or_a_large_profile_is_listed(tmp_path):
    from tests.test_opening import MB, chunk, with_chunks, words

    settings = chunk(b"tEXt", b"parameters\0a cat\nSteps: 4, Seed: 7, Size: 8x8")
    profile = chunk(b"iCCP", b"mine\0\0" + zlib.compress(bytes(3 * MB)))
    for number, beside in enumerate((words(3 * MB), words(20 * MB), profile)):
        for behind in (False, True):
            path = tmp_path / f"{number}{behind}.png"
            path.write_bytes(with_chunks(beside, settings, behind=behind))
            told = facts(path)
            assert (told.width, told.prompt, told.seed) == (24, "a cat", 7)


@pytest.mark.parametrize("suffix", [".jpg", ".gif"])
def test_a_picture_that_is_cut_is_broken_and_one_with_something_behind_it_is_not(tmp_path, suffix):
    whole = tmp_path / f"whole{suffix}"
    noise = Image.effect_noise((64, 64), 80).convert("RGB")
    noise.save(whole)
    content = whole.read_bytes()
    for added in (b"\0" * 9, b"a film behind it " * 999):
        whole.write_bytes(content + added)
        assert facts(whole).width == 64
    cut = tmp_path / f"cut{suffix}"
    for part in (0.5, 0.9):
        cut.write_bytes(content[: int(len(content) * part)])
        with pytest.raises(Broken):
            facts(cut)
