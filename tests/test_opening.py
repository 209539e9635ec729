"""Files whose pixels are whole open, whatever is beside them; bombs and what is no picture do not."""

from __future__ import annotations

import io
import struct
import zlib

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from webui import images
from webui.errors import RequestError
from webui.images import open_mask, open_picture, texts_in, thumbnail
from webui.metadata import read
from webui.opening import LEFT_OUT, open_file

PICTURE = Image.linear_gradient("L").resize((24, 16)).convert("RGB")


def encoded(format: str = "PNG", picture: Image.Image = PICTURE, **how) -> bytes:
    file = io.BytesIO()
    picture.save(file, format, **how)
    return file.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    crc = zlib.crc32(kind + body)
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", crc)


def with_chunks(*made: bytes, behind: bool = False) -> bytes:
    """A PNG with chunks of one's own before its pixels, or behind them."""
    png = encoded()
    at = png.index(b"IEND") - 4 if behind else png.index(b"IDAT") - 4
    return png[:at] + b"".join(made) + png[at:]


def words(length: int, kind: bytes = b"zTXt", name: bytes = b"workflow") -> bytes:
    text = (b"words " * (length // 6 + 1))[:length]
    packed = zlib.compress(text)
    body = {
        b"tEXt": name + b"\0" + text,
        b"zTXt": name + b"\0\0" + packed,
        b"iTXt": name + b"\0\1\0en\0title\0" + packed,
    }[kind]
    return chunk(kind, body)


MB = 2**20
ODD = {
    "a long zTXt": lambda: words(3 * MB),
    "a long iTXt": lambda: words(3 * MB, b"iTXt"),
    "a long tEXt": lambda: words(3 * MB, b"tEXt"),
    "texts without end": lambda: b"".join(words(MB, name=b"t%d" % i) for i in range(70)),
    "plain texts without end": lambda: b"".join(words(MB, b"tEXt", b"t%d" % i) for i in range(70)),
    "a bomb": lambda: words(40 * MB),
    "a large profile": lambda: chunk(b"iCCP", b"mine\0\0" + zlib.compress(bytes(3 * MB))),
    "a profile that is a bomb": lambda: chunk(b"iCCP", b"mine\0\0" + zlib.compress(bytes(40 * MB))),
    "a profile without a name": lambda: chunk(b"iCCP", b"x" * 40),
    "a damaged text": lambda: chunk(b"zTXt", b"workflow\0\0" + b"no zlib"),
    "a text without an end": lambda: chunk(b"zTXt", b"workflow"),
    "a wrong checksum": lambda: words(9)[:-4] + bytes(4),
    "sizes without sense": lambda: (
        chunk(b"pHYs", b"x") + chunk(b"gAMA", b"") + chunk(b"cHRM", b"yy")
    ),
    "EXIF without sense": lambda: chunk(b"eXIf", b"MM\0*" + bytes(range(200))),
    "much EXIF": lambda: chunk(b"eXIf", b"MM\0*\0\0\0\x08\0\0" + bytes(5 * MB)),
    "an animation without frames": lambda: chunk(b"acTL", b"\0\0\0\0"),
    "ten thousand chunks": lambda: chunk(b"teSt", b"") * 10_000,
}


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("behind", [False, True], ids=["before", "behind"])
@pytest.mark.parametrize("what", ODD)
def test_whole_pixels_open_whatever_lies_beside_them(tmp_path, what, behind):
    if behind and ("profile" in what or "without end" in what):
        pytest.skip("it lies before the pixels, or takes long enough once")
    data = with_chunks(ODD[what](), behind=behind)
    assert open_picture(data, "image").tobytes() == PICTURE.tobytes()
    (tmp_path / "odd.png").write_bytes(data)
    assert Image.open(io.BytesIO(thumbnail(tmp_path / "odd.png"))).size == PICTURE.size


@pytest.mark.parametrize("kind", [b"tEXt", b"zTXt", b"iTXt"])
@pytest.mark.parametrize("behind", [False, True], ids=["before", "behind"])
def test_a_long_text_is_read_all_the_same(kind, behind):
    data = with_chunks(words(3 * MB, kind), words(2 * MB, kind, b"parameters"), behind=behind)
    opened, size = texts_in(data, "image")
    assert size == PICTURE.size and len(read(opened)) == 2 * MB
    assert len(opened.text["workflow"]) == 3 * MB


def test_a_text_of_another_script_stays_itself():
    text = "猫, löwe"
    packed = zlib.compress(text.encode())
    data = with_chunks(
        chunk(b"iTXt", b"parameters\0\1\0de\0\xc3\xbc\0" + packed),
        chunk(b"zTXt", b"a\0\0" + zlib.compress(b"\xfc")),
    )
    opened = open_file(data)
    assert read(opened) == text and opened.text["a"] == "ü"
    assert (opened.text["parameters"].lang, opened.text["parameters"].tkey) == ("de", "ü")


def test_what_is_too_long_to_be_read_is_named():
    opened = open_file(with_chunks(words(17 * MB), words(9, name=b"note")))
    assert opened.info[LEFT_OUT] == ("workflow",) and opened.text["note"] == "words wor"


def test_a_profile_stays_with_the_picture(tmp_path):
    """But a PNG that nobody else could open is not made."""
    path = tmp_path / "a.png"
    for length, kept in ((8192, ("webp",)), (2048, ("webp", "png"))):
        profile = bytes(range(256)) * length
        path.write_bytes(with_chunks(chunk(b"iCCP", b"mine\0\0" + zlib.compress(profile))))
        for kind in ("png", "webp"):
            made = Image.open(io.BytesIO(images.converted(path, kind, 90, "a cat")))
            assert made.info.get("icc_profile") == (profile if kind in kept else None)


@pytest.mark.parametrize("length", [1000, 300_000, 30_000_000])
def test_a_long_comment_of_a_gif_costs_nothing(length):
    """Pillow takes it together in quadratic time: thirty megabytes would be an hour."""
    plain = encoded("GIF", comment=b"a comment")
    at = plain.index(b"!\xfe")
    blocks = b"".join(b"\xff" + b"x" * 255 for _ in range(length // 255))
    data = plain[:at] + b"!\xfe" + blocks + b"\0" + plain[at:]
    opened = open_picture(data, "image")
    assert opened.tobytes() == open_picture(plain, "image").tobytes()
    assert (LEFT_OUT in opened.info) == (length > 500_000)


@pytest.mark.parametrize("format", ["JPEG", "WEBP", "AVIF", "TIFF"])
def test_other_kinds_open_with_much_beside_them(format):
    Image.init()
    if format not in Image.SAVE:
        pytest.skip(f"this Pillow cannot write {format}")
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = b"ASCII\0\0\0" + b"words " * (
        10_000 if format == "JPEG" else 300_000
    )
    how = {"exif": exif.tobytes()}
    if format in ("JPEG", "WEBP", "AVIF"):
        how["icc_profile"] = bytes(3 * MB)
    data = encoded(format, **how)
    opened = open_picture(data, "image")
    assert opened.size == PICTURE.size and (format == "TIFF" or read(opened).startswith("words"))


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_a_damaged_exif_neither_refuses_a_picture_nor_loses_its_text():
    data = with_chunks(words(9, b"tEXt", b"parameters"), ODD["EXIF without sense"]())
    assert read(open_picture(data, "image")) == "words wor"


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "L", "P", "1", "I;16"])
def test_a_picture_keeps_its_text_in_every_mode(mode):
    info = PngInfo()
    info.add_text("parameters", "a cat\nSteps: 4")
    for given in (PICTURE.convert("L").convert(mode), Image.new(mode, (8, 8))):
        assert (
            read(open_picture(encoded(picture=given, pnginfo=info), "image")) == "a cat\nSteps: 4"
        )


# --- Greys of more than eight bits ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "top"), [("F", 1.0), ("F", 255.0), ("F", 65535.0), ("I", 255), ("I", 65535)]
)
def test_greys_of_any_range_are_scaled(mode, top):
    grey = Image.new(mode, (3, 1), 0)
    grey.putpixel((1, 0), top / 2 if mode == "F" else (top + 1) // 2)
    grey.putpixel((2, 0), top)
    for source in (encoded("TIFF", grey), grey):
        for levels in (open_picture(source, "image").convert("L"), open_mask(source, "mask")):
            assert [levels.getpixel((x, 0)) for x in range(3)] == [0, 128, 255]


@pytest.mark.parametrize(
    ("mode", "value", "level"), [("F", 1023.0, 255), ("I", 4095, 255), ("F", 16383.0, 255)]
)
def test_a_cameras_numbers_are_not_black(mode, value, level):
    assert open_picture(Image.new(mode, (2, 2), value), "image").getpixel((0, 0)) == (level,) * 3


def test_lights_above_white_leave_the_rest_as_it_is():
    grey = Image.new("F", (2, 1), 0.5)
    grey.putpixel((1, 0), 3.7)
    levels = open_picture(encoded("TIFF", grey), "image")
    assert [levels.getpixel((x, 0))[0] for x in range(2)] == [128, 255]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -5.0])
def test_floats_that_are_no_greys_are_refused(value):
    grey = Image.new("F", (2, 1), 0.5)
    grey.putpixel((1, 0), value)
    with pytest.raises(RequestError, match=r"^image: this picture has values"):
        open_picture(encoded("TIFF", grey), "image")
