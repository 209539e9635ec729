"""The example of every hook is an extension: loaded as the app does, it does what it says.

Each test's name has its hook's name in it; tests/test_hook_docs.py asks for that.
"""

from __future__ import annotations

import inspect
import textwrap
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageOps

from webui import hookspecs
from webui.settings import ROOT
from webui.testing import example_request, load_extension, record
from webui.testing.examples import PARTS, tiny_runner
from webui.types import Denoised


def hooks():
    """Every hook, in the order of the file."""
    marked = [v for v in vars(hookspecs).values() if hasattr(v, f"{hookspecs.PROJECT}_spec")]
    return {function.__name__: function for function in marked}


def example(name: str) -> str:
    """The code in a hook's docstring: all from its first line that is set in."""
    documentation = inspect.getdoc(hooks()[name]) or ""
    prose, _, code = documentation.partition("\n\n    ")
    assert prose and code, f"{name} has no example"
    return textwrap.dedent("    " + code) + "\n"


@pytest.fixture
def written(tmp_path):
    """Writes a hook's example as an extension of the hook's name."""

    def write(name):
        path = tmp_path / "extensions" / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(example(name), encoding="utf-8")
        return path

    return write


@pytest.fixture
def loaded(written, tmp_path):
    return lambda name: load_extension(written(name), tmp_path)


@pytest.mark.parametrize("name", hooks())
def test_every_example_is_an_extension_without_problems(loaded, name):
    assert name in loaded(name).status.hooks


@pytest.mark.parametrize("name", hooks())
def test_a_hook_cannot_be_called_by_mistake(name):
    with pytest.raises(NotImplementedError):
        hooks()[name](*inspect.signature(hooks()[name]).parameters)


# --- Asked once -----------------------------------------------------------------------------------


def test_register_samplers_example(easel_engine, written):
    bench = easel_engine(written("register_samplers"))
    euler = bench.picture(sampler_name="Euler", scheduler="karras")
    assert bench.picture(sampler_name="Euler again", scheduler="karras") == euler


def test_register_schedules_example(easel_engine, written):
    bench = easel_engine(written("register_schedules"))
    schedule = bench.extensions.parts.schedules["straight"]
    assert schedule.make(4, 1.0, 7.0, []) == [7.0, 5.0, 3.0, 1.0, 0.0]
    assert bench.picture(scheduler="Straight") != bench.picture(scheduler="karras")


def test_register_conditioners_example(easel_engine, written):
    bench, plain = easel_engine(written("register_conditioners")), easel_engine()
    assert bench.picture(cfg_scale=7) == plain.picture(cfg_scale=7)
    assert bench.picture(cfg_scale=7, extras={"weaker": 0.5}) != plain.picture(cfg_scale=7)


def test_register_postprocessors_example(easel_engine, written):
    bench = easel_engine(written("register_postprocessors"))
    assert bench.picture(extras={"mirror": True}) == ImageOps.mirror(bench.picture())


def test_register_upscalers_example(easel_engine, written):
    bench = easel_engine(written("register_upscalers"), ROOT / "extensions" / "upscale.py")
    larger = bench.picture(extras={"upscaler": "blocks", "upscale_by": 2})
    small = np.asarray(bench.picture())
    assert np.array_equal(np.asarray(larger), small.repeat(2, axis=0).repeat(2, axis=1))


def test_register_tasks_example(easel_engine, written):
    bench = easel_engine(written("register_tasks"))
    assert bench.picture("upside_down") == bench.picture("txt2img").rotate(180)


def test_register_controls_example(easel_engine, written):
    bench = easel_engine(written("register_controls"))
    assert bench.request(extras={"my_strength": 1}).extras["my_strength"] == 1.0
    picture = Image.new("RGB", (64, 64))
    assert "my_strength" not in bench.request("img2img", image=picture).extras


# --- While requests are worked on -----------------------------------------------------------------


def test_change_request_example(easel_engine, written):
    bench = easel_engine(written("change_request"))
    prompts = [
        bench.run(bench.request(prompt=prompt)).request.prompt for prompt in ("a cat", "a unicorn")
    ]
    assert prompts == ["a cat", "a unicorn, rainbow"]


def test_wrap_denoise_example(loaded):
    (wrapper,) = loaded("wrap_denoise").parts.wrappers
    known = record(
        PARTS.tasks["txt2img"].make(
            asked := example_request(PARTS.tasks["txt2img"], prompt="a soft cat"), studio(asked)
        ),
        tiny_runner(),
    )
    calls = known.predictions
    assert calls[0].sigma > 1 > calls[-1].sigma
    assert wrapper.wrap(calls[0], asked) is None
    assert wrapper.wrap(calls[-1], replace(asked, prompt="a cat")) is None
    run = wrapper.wrap(calls[-1], asked)
    assert run.send(None) is calls[-1]
    with pytest.raises(StopIteration) as stop:
        run.send(Denoised(calls[-1].x))
    assert (stop.value.value.denoised == calls[-1].x * 0.98).all()


def studio(asked):
    from webui.testing.cases import studio_of

    return studio_of(PARTS, asked)


def test_image_saved_example(easel_engine, written):
    bench = easel_engine(written("image_saved"))
    (picture,) = bench.run(bench.request()).pictures
    bench.close()
    assert picture.path.with_suffix(".txt").read_text(encoding="utf-8") == picture.parameters


# --- Start and end --------------------------------------------------------------------------------


def test_startup_example(loaded, tmp_path):
    one = loaded("startup")
    assert not (tmp_path / "notes").exists()
    one.extensions.start()
    one.extensions.stop()
    assert (tmp_path / "notes").is_dir()
    one.expect_no_problems()


def test_shutdown_example(loaded, capsys):
    one = loaded("shutdown")
    one.extensions.start()
    assert "see you" not in capsys.readouterr().out
    one.extensions.stop()
    assert capsys.readouterr().out == "see you\n"
