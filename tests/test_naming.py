"""File name patterns: what they give is a path that every file system takes, below the outputs folder."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from tests.test_metadata import finished
from webui.errors import RequestError
from webui.images import save
from webui.metadata import infotext, read
from webui.naming import PATTERN, TOKENS, Facts, Pattern, Saving

FACTS = Facts(
    made=time.strptime("2026-11-20 13:05:09", "%Y-%m-%d %H:%M:%S"),
    seed=42,
    task="txt2img",
    model="sd/v1-5",
    sampler="DPM++ 2M",
    scheduler="karras",
    steps=20,
    cfg=7.5,
    width=512,
    height=768,
    prompt="a cat, (oil: 1.2)",
    job="abc",
    index=0,
)


def named(text: str, number: int = 3, **values: object) -> str:
    pattern, facts = Pattern(text), replace(FACTS, **values)
    return "/".join((*pattern.folders(facts), pattern.stem(facts, number)))


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        (PATTERN, "2026-11-20/00003-42"),
        ("[model]/[datetime<%Y-%m>]/[number]", "v1-5/2026-11/00003"),
        ("[datetime]", "20261120130509"),
        ("[task]-[sampler]-[scheduler]-[steps]-[cfg]", "txt2img-DPM++ 2M-karras-20-7.5"),
        ("[width]x[height] [index] [job]", "512x768 1 abc"),
        ("[prompt]", "a cat, (oil_ 1.2)"),
        ("[Prompt_Words]", "a cat oil 1 2"),
        (r"mine\[seed]", "mine/42"),
        ("[datetime<%Y/%m>]", "2026_11"),
    ],
)
def test_tokens_say_what_they_mean(pattern, name):
    assert named(pattern) == name


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("anime/v2.safetensors", "v2"),
        ("a/b/Deep.Thought.ckpt", "Deep.Thought"),
        ("sub\\\\one.SafeTensors", "one"),
        ("v1.5", "v1.5"),
        ("sd/v1-5/", "v1-5"),
        ("starter", "starter"),
        (".safetensors", "_"),
    ],
)
def test_a_model_is_called_by_its_own_name(model, name):
    assert named("[model]", model=model) == name


def test_a_name_fits_whatever_its_pieces_are():
    """Each short in characters and long in bytes, so that cutting one is not enough."""
    for pattern in ("[prompt]" * 25, "👍" * 200, "[prompt]👍👍" * 16 + "[number]"):
        name = named(pattern, prompt="👍" * 8)
        assert 0 < len(name.encode()) <= 200


def test_every_token_is_known_to_the_pattern():
    for token in TOKENS:
        assert named(f"[{token}]")


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ("", "give a pattern"),
        ("x" * 201, "give a pattern"),
        ("[sede]", r"\[sede\] is not known; there are \[date\]"),
        ("[seed<3>]", r"\[seed\] takes nothing"),
        ("[datetime<%Q>]", "%Q is not known"),
        ("[datetime<100%>]", "% is not known"),
        ("[seed", "a bracket stands alone"),
        ("/[seed]", "has no name"),
        ("a/../[seed]", "has no name"),
        ("[seed]/", "has no name"),
        ("[number]/[seed]", "belongs into the file's name"),
        (".trash/[seed]", "the gallery's own"),
        ("a/" * 8 + "b", "at most 7 folders"),
    ],
)
def test_what_is_no_pattern_is_refused_with_a_sentence(pattern, says):
    with pytest.raises(RequestError, match=says) as caught:
        Pattern(pattern)
    assert caught.value.field == "file_pattern"


@pytest.mark.parametrize(
    "text",
    [
        *("..", ".", "../../etc/passwd", "/etc/passwd", "C:\\Windows", "\\\\host\\share", " "),
        *("con", "NUL.txt", "lpt1", "COM¹", "a.", "a ", "...", "~", "-rf", ".hidden", "a\0b"),
        *("x\ny", "é" * 500, "猫" * 500, "\ud800", "\u202egnp.exe", "a:b", "*?<>|\"'", "🐈" * 300),
    ],
)
@pytest.mark.parametrize("pattern", ["[prompt]", "[prompt]/[model]-[number]", "[model]/[prompt]"])
def test_whatever_a_prompt_holds_the_name_is_one_below_the_folder(tmp_path, pattern, text):
    parts = named(pattern, prompt=text, model=text).split("/")
    path = tmp_path.joinpath(*parts)
    assert tmp_path in path.resolve().parents and len(parts) == pattern.count("/") + 1
    for part in parts:
        assert part == part.strip() and not part.startswith(".") and not part.endswith(".")
        assert 0 < len(part.encode()) <= 200
        assert part.split(".")[0].lower() not in ("con", "nul", "lpt1", "com¹")
        assert not set(part) & set('\\/:*?"<>|\0\n\u202e')
    if "[number]" in pattern:
        assert parts[-1].endswith("-00003")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_name(f"{path.name}-99.webp").touch()


# --- Saving by a pattern ---------------------------------------------------------------------------


def test_without_a_number_names_get_one_of_their_own(tmp_path):
    saving = Saving(pattern="[seed]")
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: save(finished(), tmp_path, saving=saving), range(12)))
    stems = {picture.path.stem for picture in made}
    assert stems == {"965400086", *(f"965400086-{i}" for i in range(1, 12))}
    assert len(list(tmp_path.iterdir())) == 12  # and nothing is left beside them


def test_names_are_taken_in_any_case_and_with_any_ending(tmp_path):
    (tmp_path / "A Cat.webp").touch()
    saved = save(finished(prompt="a cat"), tmp_path, saving=Saving(pattern="[prompt]"))
    assert saved.path.name == "a cat-1.png"


def test_numbers_go_on_wherever_they_stand_in_the_name(tmp_path):
    saving = Saving(pattern="[model]-[number] [seed]")
    names = [save(finished(), tmp_path, saving=saving).path.name for _ in range(3)]
    model = names[0].split("-00000")[0]
    assert names == [f"{model}-0000{i} 965400086.png" for i in range(3)]


@pytest.mark.parametrize("pattern", [PATTERN, "[seed]", "[prompt_words]/[number]"])
@pytest.mark.parametrize("now", [PATTERN, "[job]"])
def test_a_picture_that_had_a_name_before_a_crash_keeps_it(tmp_path, pattern, now):
    """The process ends after the name was told; another start has another pattern."""

    class Killed(Exception):
        pass

    told: list[Path] = []

    def die(path: Path) -> None:
        told.append(path)
        raise Killed

    with pytest.raises(Killed):
        save(finished(), tmp_path, reserve=die, saving=Saving(pattern=pattern))
    saved = save(finished(), tmp_path, reserved=told[0], saving=Saving(pattern=now))
    assert saved.path == told[0] and saved.path.is_file()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [saved.path]


@pytest.mark.parametrize(
    ("saving", "suffix", "apart"),
    [
        (Saving(format="jpeg", quality=95), "jpg", 6),
        (Saving(format="webp", quality=90), "webp", 12),
        (Saving(format="webp", lossless=True), "webp", 0),
        (Saving(png_level=9), "png", 0),
    ],
)
@pytest.mark.parametrize("prompt", ["a cat", "ünïcode 猫\nand 🐈"])
def test_every_format_keeps_the_settings(tmp_path, saving, suffix, apart, prompt):
    made = finished(prompt=prompt)
    saved = save(made, tmp_path, saving=saving)
    assert saved.path.suffix == f".{suffix}"
    with Image.open(saved.path) as picture:
        assert read(picture) == infotext(made)
        pairs = zip(picture.convert("RGB").tobytes(), made.picture.tobytes(), strict=True)
        assert max(abs(a - b) for a, b in pairs) <= apart


def test_settings_that_a_jpeg_cannot_hold_make_it_a_png(tmp_path):
    made = finished(prompt="long words " * 1800, negative_prompt="and more " * 2000)
    saved = save(made, tmp_path, saving=Saving(format="jpeg"))
    assert saved.path.suffix == ".png"
    with Image.open(saved.path) as picture:
        assert read(picture) == infotext(made)
