"""Opening what people send and saving what was made, with real files, threads and processes."""

from __future__ import annotations

import io
import os
import random
import re
import struct
import subprocess
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date

import pytest
from PIL import Image, ImageChops, ImageStat
from PIL.PngImagePlugin import PngInfo

from tests.test_metadata import finished
from webui.errors import EaselError, RequestError
from webui.images import PIXELS_MAX, converted, open_mask, open_picture, save
from webui.metadata import infotext, parse, read, texts_of
from webui.naming import Saving
from webui.store.requests import dump, load
from webui.types import Animation

# --- Opening ------------------------------------------------------------------------------------


def encoded(picture: Image.Image, format: str = "PNG", **how) -> bytes:
    file = io.BytesIO()
    picture.save(file, format, **how)
    return file.getvalue()


def gradient() -> Image.Image:
    return Image.merge(
        "RGB", [Image.linear_gradient("L").rotate(a).resize((40, 30)) for a in (0, 90, 45)]
    )


@pytest.mark.parametrize("format", ["PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_files_bytes_and_pictures_open_alike(tmp_path, format):
    picture = gradient().quantize(64).convert("RGB")  # few colours, so that GIF is lossless too
    how = {"lossless": True} if format == "WEBP" else {}
    data = encoded(picture, format, **how)
    path = tmp_path / "picture"
    path.write_bytes(data)
    for source in (data, path, picture):
        opened = open_picture(source, "image")
        assert (opened.mode, opened.tobytes()) == ("RGB", picture.tobytes())


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "YCbCr", "HSV", "LAB", "I", "F", "I;16"])
def test_every_mode_becomes_rgb_of_its_size(mode):
    opened = open_picture(Image.new(mode, (9, 7)), "image")
    assert (opened.mode, opened.size) == ("RGB", (9, 7))


def test_sixteen_bit_grey_is_scaled():
    grey = Image.new("I;16", (8, 8), 0x8000)
    assert open_picture(encoded(grey), "image").getpixel((0, 0)) == (128, 128, 128)
    assert open_picture(encoded(grey, "TIFF"), "image").getpixel((0, 0)) == (128, 128, 128)
    assert open_mask(encoded(grey), "mask").getpixel((0, 0)) == 128


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_stand_upright(orientation):
    upright = gradient()
    turn = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = upright.transpose(turn[orientation]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    opened = open_picture(encoded(stored, exif=exif), "image")
    assert (opened.size, opened.tobytes()) == (upright.size, upright.tobytes())


def test_transparency_is_laid_on_white():
    picture = Image.new("RGBA", (2, 1), (255, 0, 0, 255))
    picture.putpixel((1, 0), (0, 0, 0, 0))
    for source in (encoded(picture), encoded(picture, "WEBP", lossless=True), picture):
        opened = open_picture(source, "image")
        assert [opened.getpixel((x, 0)) for x in (0, 1)] == [(255, 0, 0), (255, 255, 255)]
    palette = Image.new("P", (1, 1), 3)
    palette.info["transparency"] = 3
    assert open_picture(palette, "image").getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG"])
def test_an_animation_is_its_first_frame(format):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime")]
    how = {"lossless": True} if format == "WEBP" else {}
    data = encoded(frames[0], format, save_all=True, append_images=frames[1:], **how)
    assert Image.open(io.BytesIO(data)).n_frames == 2
    assert open_picture(data, "image").getpixel((0, 0)) == (255, 0, 0)


def refusal(source: object) -> str:
    with pytest.raises(RequestError) as caught:
        open_picture(source, "image")  # type: ignore[arg-type]
    assert caught.value.field == "image"
    assert "\n" not in str(caught.value)
    return str(caught.value)


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds next to nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return (
        b"\x89PNG\r\n\x1a\n"
        + head
        + chunk(b"IDAT", zlib.compress(b"\0" * 100))
        + chunk(b"IEND", b"")
    )


def test_what_is_no_picture_is_refused(tmp_path):
    text = tmp_path / "notes.txt"
    text.write_text("not a picture")
    for source in (
        b"",
        b"not a picture",
        text,
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
    ):
        assert refusal(source) == "image: this is not a whole picture; use PNG, JPEG or WebP"
    for path in (tmp_path / "none.png", tmp_path):
        assert refusal(path) == "image: this file is not there or may not be read"
    refusal(tmp_path / ("long" * 100))
    for source in ("/etc/hostname", None, 3, {"path": "x"}):
        assert refusal(source) == "image: give a picture"


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("size", [(8001, 8000), (10_000, 10_000), (100_000, 100_000)])
def test_huge_pictures_are_refused_by_their_header(size):
    assert size[0] * size[1] > PIXELS_MAX
    assert "at most 64 megapixels" in refusal(png_header(*size))


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP"])
def test_truncated_pictures_are_refused(format):
    data = encoded(gradient(), format)
    for part in (0.1, 0.5, 0.8):
        assert refusal(data[: int(len(data) * part)]).startswith(
            "image: this is not a whole picture"
        )


@pytest.mark.filterwarnings("ignore")  # Pillow's opinions of broken files
@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP", "AVIF"])
def test_damaged_pictures_open_or_are_refused(format):
    Image.init()
    if format not in Image.SAVE:
        pytest.skip(f"this Pillow cannot write {format}")
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(gradient(), format, **({"exif": exif} if format not in ("BMP", "GIF") else {}))
    dice = random.Random(0)
    for _ in range(60):
        broken = bytearray(data)
        for _ in range(dice.choice((1, 4, 20))):
            broken[dice.randrange(len(broken))] = dice.randrange(256)
        try:
            assert open_picture(bytes(broken), "image").mode == "RGB"
        except RequestError as error:
            assert error.field == "image"


# --- Masks --------------------------------------------------------------------------------------


def test_a_masks_brightness_counts_where_it_is_opaque():
    grey = Image.new("L", (2, 1), 0)
    grey.putpixel((1, 0), 200)
    for mode in ("L", "RGB", "RGBA", "LA"):
        mask = open_mask(encoded(grey.convert(mode)), "mask")
        assert (mask.mode, mask.tobytes()) == ("L", bytes([0, 200]))


@pytest.mark.parametrize("colour", [(0, 0, 0, 255), (255, 255, 255, 255), (200, 30, 30, 255)])
def test_paint_of_any_colour_on_a_transparent_canvas_is_the_mask(colour):
    canvas = Image.new("RGBA", (2, 1), (0, 0, 0, 0))
    canvas.putpixel((1, 0), colour)
    assert open_mask(encoded(canvas), "mask").tobytes() == bytes([0, 255])


def canvas(ground: tuple[int, ...], *boxes: tuple[tuple[int, ...], tuple[int, ...]]) -> Image.Image:
    picture = Image.new("RGBA", (40, 40), ground)
    for colour, box in boxes:
        picture.paste(colour, box)
    return picture


CORNER, BLACK, WHITE = (0, 0, 20, 20), (0, 0, 0, 255), (255, 255, 255, 255)
MASKS = {
    "black and white, one pixel not quite opaque": canvas(
        BLACK, (WHITE, CORNER), ((0, 0, 0, 254), (39, 39, 40, 40))
    ),
    "black and white, one pixel clear": canvas(
        BLACK, (WHITE, CORNER), ((0,) * 4, (39, 39, 40, 40))
    ),
    "black and half white": canvas(BLACK, ((255, 255, 255, 128), CORNER)),
    "half black and white": canvas((0, 0, 0, 100), (WHITE, CORNER)),
    "black and white, the rest clear": canvas(
        BLACK,
        (WHITE, CORNER),
        ((0, 0, 0, 0), (0, 30, 40, 40)),
        ((255, 255, 255, 0), (30, 0, 40, 30)),
    ),
    "black and white, evenly half clear": canvas((0, 0, 0, 140), ((255, 255, 255, 140), CORNER)),
    "white on a clear canvas": canvas((0,) * 4, (WHITE, CORNER)),
    "white on a clear white canvas": canvas((255, 255, 255, 0), (WHITE, CORNER)),
    "black on a clear canvas": canvas((0,) * 4, (BLACK, CORNER)),
    "black on a clear white canvas": canvas((255, 255, 255, 0), (BLACK, CORNER)),
    "red on a clear canvas": canvas((0,) * 4, ((200, 30, 30, 255), CORNER)),
    "red and yellow on a clear canvas": canvas(
        (0,) * 4, ((200, 30, 30, 255), CORNER), ((250, 250, 30, 255), (0, 0, 20, 9))
    ),
    "black with a clear white hole": canvas(BLACK, ((255, 255, 255, 0), CORNER)),
    "blue and yellow, one pixel clear": canvas(
        (0, 0, 160, 255), ((250, 250, 30, 255), CORNER), ((0,) * 4, (39, 39, 40, 40))
    ),
}


@pytest.mark.parametrize("what", MASKS)
def test_a_mask_repaints_what_it_shows(what):
    """A quarter each, the corner at the left and top."""
    for source in (encoded(MASKS[what]), encoded(MASKS[what], "WEBP", lossless=True, exact=True)):
        mask = open_mask(source, "mask")
        repainted = mask.point(lambda level: 255 * (level >= 128))
        assert repainted.getbbox() == CORNER and repainted.histogram()[255] == 400


def test_black_paint_on_most_of_a_clear_canvas_is_the_mask():
    mask = open_mask(canvas((0,) * 4, (BLACK, (0, 0, 40, 30))), "mask")
    assert mask.histogram()[255] == 1200 and mask.getbbox() == (0, 0, 40, 30)


@pytest.mark.parametrize("colour", [(0, 0, 0), (0, 0, 200), (120, 120, 120)])
@pytest.mark.parametrize("stray", [(0, 0, 0, 254), (9, 9, 9, 128), (0, 0, 0, 0)])
def test_a_dark_mask_with_a_stray_pixel_repaints_nothing(colour, stray):
    dark = canvas((*colour, 255), (stray, (39, 39, 40, 40)))
    assert max(open_mask(encoded(dark), "mask").getextrema()) < 128


@pytest.mark.parametrize("white", [True, False])
def test_a_palette_whose_black_or_white_is_clear_repaints_the_white(white):
    palette = (
        canvas(BLACK, (WHITE, CORNER)).convert("L").convert("P", palette=Image.Palette.ADAPTIVE)
    )
    clear = palette.getpixel((0, 0) if white else (39, 39))
    mask = open_mask(encoded(palette, transparency=clear), "mask")
    assert mask.point(lambda level: 255 * (level >= 128)).getbbox() == CORNER


def test_a_broken_mask_names_its_field():
    with pytest.raises(RequestError) as caught:
        open_mask(b"no", "mask")
    assert caught.value.field == "mask"


# --- Saving -------------------------------------------------------------------------------------


@pytest.mark.parametrize("prompt", ["a cat", "ünïcode", "猫\nand 🐈"])
def test_a_saved_picture_has_its_pixels_its_text_and_its_place(tmp_path, prompt):
    made = finished(prompt=prompt)
    saved = save(made, tmp_path)
    assert saved.path.parent == tmp_path / date.today().isoformat()
    assert saved.path.name == "00000-965400086.png"
    assert (saved.seed, saved.width, saved.height) == (965400086, 64, 64)
    with Image.open(saved.path) as picture:
        assert read(picture) == saved.parameters == infotext(made)
        assert picture.tobytes() == made.picture.tobytes()


def animation(format: str, loop: bool = True) -> Animation:
    """Four frames, each a gradient of its own colour, so that none is like another."""
    shades = Image.linear_gradient("L").resize((48, 40))
    flat = Image.new("L", shades.size, 60)
    frames = [
        Image.merge("RGB", [shades if i == c else flat for c in range(3)]) for i in range(3)
    ] + [Image.merge("RGB", [shades] * 3)]
    return Animation(tuple(frames), frame_ms=120, loop=loop, format=format)


@pytest.mark.parametrize("prompt", ["a cat", "猫\nand 🐈", "long " * 200])
@pytest.mark.parametrize("format", ["webp", "gif"])
def test_an_animation_has_its_frames_its_pace_and_its_text(tmp_path, format, prompt):
    made = replace(finished(prompt=prompt), picture=animation(format))
    saved = save(made, tmp_path)
    assert saved.path.name == f"00000-965400086.{format}"
    assert (saved.width, saved.height) == (48, 40)
    with Image.open(saved.path) as opened:
        assert (opened.format, opened.n_frames) == (format.upper(), 4)
        assert read(opened) == saved.parameters == infotext(made)
        for i, frame in enumerate(made.picture.frames):
            opened.seek(i)
            opened.load()
            assert opened.info["duration"] == 120
            apart = ImageChops.difference(opened.convert("RGB"), frame)
            assert max(ImageStat.Stat(apart).mean) < 4  # of 255
    assert [path.name for path in saved.path.parent.iterdir()] == [saved.path.name]


@pytest.mark.parametrize(("format", "once"), [("webp", 1), ("gif", None)])
def test_an_animation_goes_round_or_not(tmp_path, format, once):
    for loop, expected in ((True, 0), (False, once)):
        saved = save(replace(finished(), picture=animation(format, loop)), tmp_path)
        with Image.open(saved.path) as opened:
            assert opened.info.get("loop") == expected


def test_animations_and_pictures_share_their_numbers(tmp_path):
    kinds = [animation("webp"), finished().picture, animation("gif")]
    names = [save(replace(finished(), picture=made), tmp_path).path.name for made in kinds]
    assert [(name[:5], name[-4:]) for name in names] == [
        ("00000", "webp"),
        ("00001", ".png"),
        ("00002", ".gif"),
    ]


def test_text_chunks_are_what_the_png_standard_wants(tmp_path):
    assert b"tEXtparameters\0\xfc, " in save(finished(prompt="\xfc, x"), tmp_path).path.read_bytes()
    raw = save(finished(prompt="猫, x"), tmp_path).path.read_bytes()
    assert b"iTXtparameters\0\0\0\0\0" + "猫, x".encode() in raw


def test_numbers_go_on_behind_the_highest(tmp_path):
    folder = tmp_path / date.today().isoformat()
    folder.mkdir()
    for name in ("00007-3.png", "00012-4-kept.png", ".00020.part", "notes.txt", "x-99999.png"):
        (folder / name).touch()
    assert [save(finished(), tmp_path).path.name[:5] for _ in range(2)] == ["00021", "00022"]


def test_a_number_taken_after_the_look_is_passed_over(tmp_path, monkeypatch):
    # Other savers, frozen between our look at the folder and our reservation.
    folder = tmp_path / date.today().isoformat()
    folder.mkdir()
    (folder / ".00000.part").touch()
    (folder / "00001-5.png").touch()
    monkeypatch.setattr("webui.reserving._numbers", lambda folder, pattern: [])
    assert save(finished(), tmp_path).path.name[:5] == "00002"
    assert sorted(os.listdir(folder))[0] == ".00000.part"  # still theirs
    assert (folder / "00001-5.png").stat().st_size == 0


SAVER = """
import sys
from pathlib import Path
from tests.test_metadata import finished
from webui.images import save
for _ in range(int(sys.argv[2])):
    save(finished(), Path(sys.argv[1]))
"""


def test_threads_and_processes_never_share_a_number(tmp_path):
    each, processes, threads = 12, 2, 4
    running = [
        subprocess.Popen([sys.executable, "-c", SAVER, str(tmp_path), str(each)])
        for _ in range(processes)
    ]
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda _: save(finished(), tmp_path), range(each * threads)))
    assert [process.wait(60) for process in running] == [0] * processes
    names = sorted(os.listdir(tmp_path / date.today().isoformat()))
    total = each * (processes + threads)
    assert len(names) == total  # none overwritten, no temporary file left
    assert len({name[:5] for name in names}) == total
    assert all(re.fullmatch(r"\d{5}-965400086\.png", name) for name in names)


def test_a_folder_that_cannot_be_made_is_said_in_a_sentence(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(EaselError, match=r"the picture cannot be saved in .*file"):
        save(finished(), tmp_path / "file")


def test_a_picture_that_cannot_be_written_leaves_nothing(tmp_path):
    class Full(Image.Image):
        def save(self, file: io.BufferedWriter, *args: object, **how: object) -> None:
            file.write(b"half")
            raise OSError(28, "No space left on device")

    made = replace(finished(), picture=Full())
    with pytest.raises(EaselError, match="No space left on device"):
        save(made, tmp_path)
    assert os.listdir(tmp_path / date.today().isoformat()) == []


def test_a_path_may_hold_any_character(tmp_path):
    assert save(finished(), tmp_path / "bïlder und 猫").path.is_file()


# --- Texts that travel with pictures --------------------------------------------------------------

SETTINGS = "a cat\nSteps: 4, Sampler: Euler, Seed: 5, Size: 64x64, Model: m, Version: v1.6.0"
MODES = [
    "1",
    "L",
    "LA",
    "P",
    "PA",
    "RGB",
    "RGBA",
    "RGBA clear",
    "P tRNS",
    "P tRNS bytes",
    "I;16",
    "RGB tRNS",
]


def painted(mode: str) -> tuple[Image.Image, dict]:
    """A picture of a mode, and how it is saved as PNG."""
    match mode.split():
        case ["RGBA", "clear"]:
            return Image.new("RGBA", (9, 7), (10, 20, 30, 0)), {}
        case ["P", "tRNS", *more]:
            how = b"\0" * 4 if more else 3
            return gradient().quantize(8), {"transparency": how}
        case ["RGB", "tRNS"]:
            return gradient(), {"transparency": (1, 2, 3)}
        case [plain]:
            return Image.new(plain.replace("PA", "LA"), (9, 7)), {}
    raise AssertionError(mode)


def texted(mode: str, text: str) -> bytes:
    picture, how = painted(mode)
    chunks = PngInfo()
    chunks.add_text("parameters", text)
    return encoded(picture, pnginfo=chunks, **how)


@pytest.mark.parametrize("text", [SETTINGS, '{"3": {"class_type": "x"}}'])
@pytest.mark.parametrize("mode", MODES)
def test_upscaling_keeps_the_texts_of_every_kind_of_picture(tmp_path, mode, text):
    source = open_picture(texted(mode, text), "image")
    assert source.mode == "RGB"
    made = finished(prompt="", task="upscale", image=source)
    request = load(dump(made.request, tmp_path / "kept"), tmp_path / "kept")  # over a restart too
    made = replace(made, request=request, sampled=False, model=None)
    saved = save(made, tmp_path / "outputs")
    with Image.open(saved.path) as written:
        found = written.text["parameters"]
    assert saved.parameters == found
    if text == SETTINGS:
        assert parse(text).items() <= parse(found).items()
    else:
        assert found == text


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@pytest.mark.parametrize("format", ["JPEG", "WEBP", "GIF", "turned", "AVIF", "TIFF"])
def test_upscaling_keeps_the_settings_of_every_format(tmp_path, format, mode):
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = b"UNICODE\0" + SETTINGS.encode("utf-16-be")
    if format == "turned":
        exif[0x0112] = 6
    how = {"comment": SETTINGS.encode()} if format == "GIF" else {"exif": exif.tobytes()}
    how = {"tiffinfo": {270: SETTINGS}} if format == "TIFF" else how
    picture = Image.new("RGB" if format in ("JPEG", "turned") else mode, (9, 7), "teal")
    if mode == "RGBA" and picture.mode == "RGBA":
        picture.putpixel((1, 1), (1, 2, 3, 0))
    source = open_picture(encoded(picture, format.replace("turned", "JPEG"), **how), "image")
    made = finished(prompt="", task="upscale", image=source)
    request = load(dump(made.request, tmp_path / "kept"), tmp_path / "kept")
    saved = save(replace(made, request=request, sampled=False, model=None), tmp_path / "outputs")
    assert parse(SETTINGS).items() <= parse(saved.parameters).items()


@pytest.mark.parametrize("format", ["png", "jpeg"])
def test_a_comment_stays_one(tmp_path, format):
    source = open_picture(encoded(gradient(), "JPEG", comment="© Ann".encode()), "image")
    made = finished(prompt="", task="upscale", image=source)
    made = replace(made, sampled=False, model=None)
    saved = save(made, tmp_path, saving=Saving(format=format))
    with Image.open(saved.path) as opened:
        assert texts_of(opened) == {"comment": "© Ann", "parameters": saved.parameters}
    assert parse(saved.parameters)["Prompt"] == ""
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(encoded(gradient(), "JPEG", comment="© Ann".encode()))
    with Image.open(io.BytesIO(converted(photo, "webp", 90, ""))) as opened:
        assert texts_of(opened) == {"comment": "© Ann"}


def test_a_converted_picture_keeps_texts_that_are_no_settings(tmp_path):
    path = tmp_path / "a.png"
    chunks = PngInfo()
    chunks.add_text("workflow", '{"nodes": []}')
    chunks.add_text("parameters", '{"3": {}}')
    path.write_bytes(encoded(gradient(), pnginfo=chunks))
    with Image.open(io.BytesIO(converted(path, "png", 90, ""))) as opened:
        assert opened.text == {"workflow": '{"nodes": []}', "parameters": '{"3": {}}'}
    with Image.open(io.BytesIO(converted(path, "webp", 90, ""))) as opened:
        assert read(opened) == '{"3": {}}'
