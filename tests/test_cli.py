"""`generate` and `doctor` through the command line, on the real engine and a tiny random model."""

from __future__ import annotations

import io
import threading
from pathlib import Path

import pytest
from PIL import Image

from tests.networks import tiny_folder
from webui import cli, metadata
from webui.app import compose, main
from webui.errors import RequestError
from webui.settings import Settings
from webui.types import Choice, Control, Number, Picture, Task


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
        (("-o", "cat.gif"), "cat.png"),
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


# --- a task that nobody wrote yet -----------------------------------------------------------------

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


def test_a_new_task_has_its_options_by_itself(models_dir):
    made = compose(Settings(models_dirs=(models_dir,)))
    catalog = type(made.catalog)(
        tasks=type(made.catalog.tasks)("task", [*made.catalog.tasks.items(), ("hatch", HATCH)]),
        samplers=made.catalog.samplers,
        schedules=made.catalog.schedules,
        list_models=made.catalog.list_models,
    )
    words = ["a cat", "--pattern", "p.png", "--image", "i.png", "--angle", "45", "--ink", "sepia"]
    given = vars(cli.generate_parser(catalog).parse_args(words))
    assert cli.chosen_task(catalog, given) is HATCH
    known: dict[str, Control] = {c.name: c for c, _ in cli.controls(catalog.tasks.values())}
    assert cli.typed(known["angle"], given["angle"]) == 45
    assert cli.typed(known["ink"], given["ink"]) == 1
    assert "hatch" in cli.generate_parser(catalog).format_help()


# --- cancelling -----------------------------------------------------------------------------------


def test_stop_cancels_the_job_and_exits_like_a_shell(models_dir, tmp_path, capsys):
    settings = Settings.at(tmp_path, models_dirs=(models_dir,), device="cpu")
    made = compose(settings)
    request, output = cli.read_request(["cat", *SMALL, "--steps", "150"], made.catalog, settings)
    stop = threading.Event()
    stop.set()
    made.engine.start()
    try:
        assert cli.generate(made.engine, request, output, stop) == cli.CANCELLED
    finally:
        made.engine.stop()
    assert capsys.readouterr().out == ""


# --- the progress line ----------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_has_one_line_and_no_rest_of_a_longer_one():
    stream = Terminal()
    line = cli.ProgressLine(stream)
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
    line = cli.ProgressLine(stream)
    for step in range(1000):
        line.show(f"step {step}")
    line.end("done")
    assert stream.getvalue().splitlines()[-1] == "done"
    assert len(stream.getvalue().splitlines()) < 100


def test_output_names(tmp_path):
    paths = [Path("00001-7.png"), Path("00002-8.png")]
    assert cli.destinations(tmp_path, paths) == [tmp_path / p.name for p in paths]
    assert cli.destinations(tmp_path / "a.png", paths[:1]) == [tmp_path / "a.png"]
    assert [p.name for p in cli.destinations(tmp_path / "a.png", paths)] == ["a-1.png", "a-2.png"]
    (tmp_path / "file").touch()
    with pytest.raises(RequestError, match="-o"):
        cli.check_output(tmp_path / "file" / "a.png")
