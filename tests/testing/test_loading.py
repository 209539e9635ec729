"""One extension loaded as the app does, those beside it left alone, and what is wrong with it told."""

from __future__ import annotations

import textwrap

import pytest

from extensions import film_grain
from webui.testing import load_extension

SAMPLER = """
    "Steps by half."
    from webui.api import Number, Group, Sampler, hookimpl

    def half(x, sigmas, noise):
        yield x, sigmas[0]
        return x

    @hookimpl
    def register_samplers():
        return [Sampler("Half", half)]

    @hookimpl
    def register_controls():
        return [Group("Half", (Number(name="half", label="Half", minimum=0, maximum=1, default=0.5),))]
"""


TASK = """
    from webui.api import Task, hookimpl

    @hookimpl
    def register_tasks():
        return [Task("serve", "Serve", lambda request, studio: None)]
"""


@pytest.fixture
def write(tmp_path):
    def make(name, source):
        path = tmp_path / "extensions" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(source), encoding="utf-8")
        return path

    return make


def test_a_file_is_loaded_and_its_neighbours_are_not(write, tmp_path):
    write("neighbour", "raise RuntimeError('nobody asked')")
    loaded = load_extension(write("half", SAMPLER), tmp_path)
    assert (loaded.name, loaded.status.state, loaded.status.about) == ("half", "on", "Steps by half.")  # fmt: skip
    assert [sampler.name for sampler in loaded.own("samplers")] == ["Half"]
    assert [control.name for control in loaded.controls()] == ["half"]
    assert {"Euler", "Half"} <= set(loaded.parts.samplers)
    assert not loaded.own("tasks") and not loaded.own("conditioners")


def test_a_module_and_a_folder_will_do(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "__init__.py").write_text(textwrap.dedent(SAMPLER), encoding="utf-8")
    assert load_extension(film_grain, tmp_path).own("postprocessors")[0].name == "film grain"
    assert load_extension(folder, tmp_path).name == "mine"
    assert load_extension(folder / "__init__.py", tmp_path).name == "mine"


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("def f(:", "line 1"),
        ("x = 1", "mark one with @hookimpl"),
        (SAMPLER.replace("register_samplers", "register_sampler"), "there is no hook"),
        (SAMPLER.replace('"Half", half', '"Euler", half'), "taken by 'Euler' .built-in"),
        ("NEEDS_API = '>=99'", "needs version >=99"),
        (TASK, "taken by a command or endpoint of Easel"),
    ],
)
def test_what_is_wrong_is_told_unless_nobody_minds(write, tmp_path, source, sentence):
    path = write("wrong", source)
    with pytest.raises(AssertionError, match=f"extension 'wrong': .*{sentence}"):
        load_extension(path, tmp_path)
    assert load_extension(path, tmp_path, strict=False).status.problems


def test_what_is_no_extension_is_told(tmp_path):
    (tmp_path / "extensions").mkdir()
    for name in ("nothing.py", "_private.py", "a.b.py"):
        if name != "nothing.py":
            (tmp_path / "extensions" / name).write_text("")
        with pytest.raises(AssertionError, match="is no extension: name a"):
            load_extension(tmp_path / "extensions" / name, tmp_path)
