"""The code of docs/writing-extensions.md, saved under the names that it gives: it loads, and works."""

from __future__ import annotations

import re

import pytest

from tests.engine.samplers.gaussian import calls, geometric, order
from webui.settings import ROOT
from webui.testing import check_extension, load_extension

PAGE = (ROOT / "docs" / "writing-extensions.md").read_text(encoding="utf-8")
LESSONS = dict(re.findall(r"^Save as `(\w+)\.py`:\n\n```python\n(.*?)```", PAGE, re.DOTALL | re.MULTILINE))  # fmt: skip


@pytest.fixture
def saved(tmp_path):
    """Saves a lesson as the page says."""

    def save(name):
        path = tmp_path / f"{name}.py"
        path.write_text(LESSONS[name], encoding="utf-8")
        return path

    return save


def test_there_are_three_lessons():
    assert list(LESSONS) == ["ralston", "passepartout", "contact_sheet"]


@pytest.mark.parametrize("name", LESSONS)
def test_a_lesson_keeps_its_promises(saved, name):
    check_extension(saved(name))


def test_the_sampler_is_of_second_order(saved, tmp_path):
    (sampler,) = load_extension(saved("ralston"), tmp_path).own("samplers")
    names: dict[str, object] = {}
    exec(LESSONS["ralston"], names)
    assert 1.9 < order(names["ralston"], lambda n: geometric(n + 1), 128) < 2.1
    assert sampler.schedule == "karras" and calls(names["ralston"], 10) == 19


def test_the_contact_sheet_shows_the_next_seeds(easel_engine, saved):
    bench = easel_engine(saved("contact_sheet"))
    sheet = bench.picture("contact_sheet", seed=5, extras={"sheet_columns": 2})
    assert sheet.size == (128, 128)
    for i in range(4):
        place = (i % 2 * 64, i // 2 * 64)
        tile = sheet.crop((*place, place[0] + 64, place[1] + 64))
        assert tile == bench.picture(seed=5 + i)


def test_the_test_on_the_page_passes(easel_engine, tmp_path):
    (source,) = re.findall(r"```python\n(from pathlib.*?)```", PAGE, re.DOTALL)
    names: dict[str, object] = {"__file__": str(tmp_path / "test_it.py")}
    exec(source, names)
    path = names["EXTENSION"]
    path.parent.mkdir()
    path.write_text(LESSONS["passepartout"], encoding="utf-8")
    names["test_it_keeps_its_promises"]()
    names["test_the_frame_is_as_wide_as_asked"](easel_engine)


def test_the_sentences_on_the_page_are_what_is_said(easel_engine, tmp_path):
    """The two examples of what goes wrong, made to go wrong."""
    shown = re.findall(r"^    ((?:there is no|sampler ').*)$", PAGE, re.MULTILINE)
    path = tmp_path / "ralston.py"
    misspelt = LESSONS["ralston"].replace("def register_samplers", "def register_sampler")
    path.write_text(misspelt, encoding="utf-8")
    said = list(load_extension(path, tmp_path, strict=False).status.problems[:1])

    path = tmp_path / "again" / "ralston.py"
    path.parent.mkdir()
    path.write_text(LESSONS["ralston"].replace("slope / 4", "slop / 4"), encoding="utf-8")
    bench = easel_engine(path)
    status = bench.run(bench.request(sampler_name="Ralston"))
    assert status.state == "failed" and "extension 'ralston', sampler 'Ralston'" in status.error
    said += bench.extensions.statuses()[0].problems
    assert shown == said


def test_the_keys_that_are_named_are_read(tmp_path):
    """`__version__`, the docstring, and NEEDS_API as the page has them."""
    (versions,) = re.findall(r"```python\n(__version__.*?)```", PAGE, re.DOTALL)
    (tmp_path / "mine.py").write_text(versions + LESSONS["ralston"].split('"""\n', 1)[1])
    status = load_extension(tmp_path / "mine.py", tmp_path).status
    assert (status.version, status.problems) == ("1.0", ())
