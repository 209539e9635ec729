"""`generate` and `doctor` through the command line, on the real engine and a tiny random model."""

from __future__ import annotations

import io
import re
import threading
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from PIL import Image

from tests.networks import tiny_folder
from webui import metadata
from webui.app import compose, main
from webui.catalog.checkpoints import list_models
from webui.cli import forms, generate, read_request
from webui.cli.jobs import CANCELLED, ProgressLine, check_output, copied, destinations
from webui.engine.samplers import SAMPLERS
from webui.engine.schedules import SCHEDULES
from webui.engine.tasks import TASKS
from webui.engine.upscalers import UPSCALERS
from webui.errors import RequestError
from webui.registry import Catalog, Registry
from webui.settings import Settings
from webui.types import Choice, Group, Number, Picture, Switch, Task, Text


@pytest.fixture(scope="module")
def models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("models")
    tiny_folder(root / "Stable-diffusion" / "tiny")
    return root


@pytest.fixture
def easel(models_dir, tmp_path, capsys):
    """Runs a command line in its own data folder; gives exit code, stdout lines and stderr."""

    def run(*argv: str) -> tuple[int, list[str], str]:
        common = ["--models-dir", str(models_dir), "--data-dir", str(tmp_path), "--device", "cpu"]
        code = main([*common, *argv])
        printed = capsys.readouterr()
        return code, printed.out.splitlines(), printed.err

    return run


SMALL = ("--model", "tiny", "--width", "64", "--height", "64", "--steps", "2")


def test_generate_saves_and_prints_the_paths(easel, tmp_path):
    code, paths, err = easel("generate", "a red cat", *SMALL, "--seed", "7", "--batch-size", "2")
    assert code == 0, err
    assert len(paths) == 2 and "Traceback" not in err
    for path, seed in zip(paths, ("7", "8"), strict=True):
        assert Path(path).is_relative_to(tmp_path / "outputs")
        with Image.open(path) as picture:
            assert picture.size == (64, 64)
            fields = metadata.parse(metadata.read(picture))
        assert fields["Seed"] == seed and fields["Steps"] == "2"
    assert "done in" in err


def test_output_is_a_copy_to_the_byte(easel, tmp_path):
    target = tmp_path / "new folder" / "cat.png"
    code, paths, err = easel("generate", "cat", *SMALL, "--seed", "7", "-o", str(target))
    assert (code, paths) == (0, [str(target)]), err
    (saved,) = (tmp_path / "outputs").rglob("*.png")
    assert target.read_bytes() == saved.read_bytes()
    assert list(target.parent.iterdir()) == [target]  # no temporary file is left


def test_output_replaces_no_file(tmp_path, capsys):
    picture, target = tmp_path / "made.png", tmp_path / "to" / "cat.png"
    picture.write_bytes(b"the new one")
    target.parent.mkdir()
    target.write_bytes(b"somebody's")
    made = [copied(picture, target) for _ in range(3)]
    assert [path.name for path in made] == ["cat-1.png", "cat-2.png", "cat-3.png"]
    assert target.read_bytes() == b"somebody's" and made[2].read_bytes() == b"the new one"
    assert sorted(target.parent.iterdir()) == sorted([target, *made])


def test_a_picture_makes_it_img2img(easel, tmp_path):
    Image.new("RGB", (64, 64), "red").save(tmp_path / "in.png")
    code, paths, err = easel(
        "generate",
        "cat",
        *SMALL,
        "--image",
        str(tmp_path / "in.png"),
        "--denoising-strength",
        "0.5",
    )
    assert code == 0, err
    with Image.open(paths[0]) as picture:
        assert "Denoising strength: 0.5" in picture.text["parameters"]


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (("--width", "513"), "width 513: use a multiple of 8 (512 or 520)"),
        (("--steps", "many"), "steps 'many'"),
        (("--cfg-scale", "nan"), "cfg_scale"),
        (("--sampler", "euler b"), "did you mean 'Euler"),
        (("--model", "tinny"), "did you mean 'tiny'"),
        (("--task", "txt2imgg"), "did you mean 'txt2img'"),
        (("--image", "nowhere.png"), "nowhere.png"),
        (("--mask", "mask.png"), "--task"),
        (("--stepz", "3"), "--stepz"),
        (("-o", "cat.bmp"), "cat.png"),
        (("--dtype", "int3"), "int3"),
        (("--device", "toaster"), "toaster"),
        (("--port", "x"), "--port"),
    ],
)
def test_what_is_wrong_is_one_sentence(easel, tmp_path, argv, sentence):
    code, out, err = easel("generate", "a cat", "--model", "tiny", *argv)
    assert code == 2 and out == []
    assert sentence in err and err.count("\n") == 1
    assert not (tmp_path / "outputs").exists()


def test_doctor_says_what_is_used_and_why(easel):
    code, lines, _ = easel("doctor")
    told = dict(line.split(maxsplit=1) for line in lines if not line.startswith("Model "))
    assert code == 0
    assert told["Device"].startswith("cpu: ")
    assert told["Dtype"].split(":")[0] in ("float32", "bfloat16")
    assert told["Attention"].startswith("sdpa: ")
    assert any(line.split()[:2] == ["Model", "tiny:"] for line in lines)


# --- extensions' controls, and a task that nobody wrote yet ---------------------------------------

USUAL = ("txt2img", "img2img")

HATCH = Task(
    "hatch",
    "Hatch",
    make=lambda request, studio: iter(()),
    controls=(
        Picture(name="image", label="Picture"),
        Picture(name="pattern", label="Pattern"),
        Number(name="angle", label="Angle", minimum=0, maximum=90),
        Choice(name="ink", label="Ink", choices=(("black", 0), ("Sepia", 1))),
    ),
)


PATTERN = Picture(name="pattern", label="Pattern")
GUIDED = Group(
    "Guide",
    (
        PATTERN,
        Number(name="film_grain", label="Film grain", minimum=0, maximum=1, default=0.0),
        Switch(name="frame", label="Frame", default=True),
        Choice(name="by", label="By", source="upscalers", default="Lanczos"),
        Text(name="template", label="Template", hidden=True),
        Text(name="output", label="Output", default=""),
        Text(name="port", label="Port", default=""),
    ),
)


@pytest.fixture
def catalog(models_dir):
    """Text to image and image to image with an extension's group, and a task that nobody wrote yet."""
    tasks = {
        **{t.name: replace(t, controls=(*t.controls, GUIDED)) for t in map(TASKS.get, USUAL)},
        "hatch": HATCH,
    }
    return Catalog(
        Registry("task", tasks.items()),
        Registry("sampler_name", SAMPLERS.items()),
        Registry("scheduler", SCHEDULES.items()),
        partial(list_models, (models_dir,)),
        Registry("upscaler", UPSCALERS.items()),
    )


def asked(catalog, *words):
    return read_request(["a cat", *words], catalog, Settings())[0]


def test_every_extra_is_an_option(catalog, tmp_path):
    Image.new("RGB", (8, 8), "teal").save(tmp_path / "p.png")
    words = ["--film-grain", "0.2", "--no-frame", "--by", "nearest"]
    request = asked(catalog, *words, "--pattern", str(tmp_path / "p.png"))
    assert request.task == "txt2img"  # a picture of an extension's chooses no task
    assert request.extras["pattern"].getpixel((0, 0)) == (0, 128, 128)
    found = {name: request.extras[name] for name in ("film_grain", "frame", "by", "template")}
    assert found == {"film_grain": 0.2, "frame": False, "by": "Nearest", "template": None}


def test_the_tasks_own_picture_chooses_it_whatever_extras_there_are(catalog, tmp_path):
    Image.new("RGB", (8, 8), "teal").save(tmp_path / "p.png")
    image = ["--image", str(tmp_path / "p.png")]
    assert asked(catalog, *image).task == "img2img"
    assert asked(catalog, *image, "--pattern", image[1]).task == "img2img"
    hatch = asked(catalog, *image, "--pattern", image[1], "--angle", "45", "--ink", "sepia")
    assert (hatch.task, hatch.extras["angle"], hatch.extras["ink"]) == ("hatch", 45.0, 1)
    named = asked(catalog, *image, "--pattern", image[1], "--task", "hatch", "--eta", "0.5")
    assert "eta" not in named.extras  # as any field that a task does not show


def test_options_of_our_own_are_not_taken_away(catalog, tmp_path):
    words = ["--extra-output", "o", "--extra-port", "p", "-o", str(tmp_path / "a.png")]
    request, output = read_request(["a cat", *words], catalog, Settings())
    assert (request.extras["output"], request.extras["port"]) == ("o", "p")
    assert output == tmp_path / "a.png"


def test_help_names_every_option_but_hidden_ones(catalog):
    text = forms.generate_parser(catalog).format_help()
    assert "hatch" in text and "--film-grain 0..1" in text and "--frame, --no-frame" in text
    assert "template" not in text.lower()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--film-grain", "2"], "film_grain 2: use 0 to 1"),
        (["--film-grain", "much"], "film_grain 'much': give a number from 0 to 1"),
        (["--by", "Lanzcos"], "by 'Lanzcos' is not known; did you mean 'Lanczos'?"),
        (["--pattern", "none.png"], "pattern: there is no file none.png"),
        (["--angle", "45", "--task", "txt2img"], "extras: 'angle' is no control of txt2img"),
    ],
)
def test_wrong_extras_are_one_sentence(catalog, words, says):
    with pytest.raises(RequestError, match=re.escape(says)):
        asked(catalog, *words)


# --- cancelling -----------------------------------------------------------------------------------


def test_stop_cancels_the_job_and_exits_like_a_shell(models_dir, tmp_path, capsys):
    settings = Settings.at(tmp_path, models_dirs=(models_dir,), device="cpu")
    made = compose(settings)
    request, output = read_request(["cat", *SMALL, "--steps", "150"], made.catalog, settings)
    stop = threading.Event()
    stop.set()
    made.engine.start()
    try:
        assert generate(made.engine, request, output, stop) == CANCELLED
    finally:
        made.engine.stop()
    assert capsys.readouterr().out == ""


# --- the progress line ----------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_has_one_line_and_no_rest_of_a_longer_one():
    stream = Terminal()
    line = ProgressLine(stream)
    for text in ("Loading PyTorch", "step 1 of 2", "step 2 of 2, 3 s left"):
        line.show(text)
    line.end("done")
    screen: list[str] = []
    for part in stream.getvalue().removesuffix("\n").split("\r"):
        screen[: len(part)] = part
    assert "".join(screen).rstrip() == "done"
    assert stream.getvalue().count("\n") == 1


def test_a_file_gets_few_lines_and_the_end():
    stream = io.StringIO()
    line = ProgressLine(stream)
    for step in range(1000):
        line.show(f"step {step}")
    line.end("done")
    assert stream.getvalue().splitlines()[-1] == "done"
    assert len(stream.getvalue().splitlines()) < 100


def test_a_copy_is_of_the_pictures_kind():
    moving = [Path("00001-7.webp")]
    assert destinations(Path("a.png"), moving) == [Path("a.webp")]
    assert destinations(Path("a.webp"), moving) == [Path("a.webp")]
    assert destinations(Path("a"), moving) == [Path("a")]


def test_output_names(tmp_path):
    paths = [Path("00001-7.png"), Path("00002-8.png")]
    assert destinations(tmp_path, paths) == [tmp_path / p.name for p in paths]
    assert destinations(tmp_path / "a.png", paths[:1]) == [tmp_path / "a.png"]
    assert [p.name for p in destinations(tmp_path / "a.png", paths)] == ["a-1.png", "a-2.png"]
    (tmp_path / "file").touch()
    with pytest.raises(RequestError, match="-o"):
        check_output(tmp_path / "file" / "a.png")
