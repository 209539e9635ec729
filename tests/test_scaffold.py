"""`ext new NAME`: what it writes is an extension that works and passes its own test, wherever it lies."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from webui.errors import RequestError
from webui.scaffold import new
from webui.testing import load_extension

ROOT = Path(__file__).parents[1]


def test_it_writes_an_extension_that_loads(tmp_path):
    path = new("soft_corners", tmp_path / "mine")
    assert path == tmp_path / "mine" / "soft_corners"
    assert {file.name for file in path.iterdir()} == {"__init__.py", "test_soft_corners.py", "README.md"}  # fmt: skip
    loaded = load_extension(path, tmp_path)
    assert [step.name for step in loaded.own("postprocessors")] == ["soft_corners"]
    assert [control.label for control in loaded.controls()] == ["Soft corners amount"]


def test_its_own_test_passes_by_the_command_in_it(tmp_path):
    """In a process of its own, as its author runs it."""
    path = new("soft_corners", tmp_path)
    command = "python launch.py test " + str(path)
    assert command in (path / "test_soft_corners.py").read_text(encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "launch.py", "test", str(path), "-p", "no:cacheprovider"],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0 and "3 passed" in done.stdout, done.stdout + done.stderr
    assert "warning" not in done.stdout


def test_its_code_is_clean(tmp_path):
    path = new("soft_corners", tmp_path)
    for file in path.glob("*.py"):  # the path in it may be of any length
        file.write_text(file.read_text(encoding="utf-8").replace(str(path), "PATH"))
    rules = ["--isolated", "--line-length", "100", "--no-cache"]
    for command in (["check", "--select", "E,F,I,UP,B,RUF"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, *rules, str(tmp_path)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("Soft-Corners", "'soft_corners' would do"),
        ("2fast", "'fast' would do"),
        ("soft_", "'soft' would do"),
        ("", "a letter first$"),
        ("ñandú", "letters"),
        ("class", "Python has it"),
        ("random", "'random_for_easel' would do"),
        ("../up", "'up' would do"),
        ("film_grain", "film_grain.*already; choose another"),
    ],
)
def test_a_name_that_will_not_do_is_refused_with_one_that_will(tmp_path, name, sentence):
    with pytest.raises(RequestError, match=sentence):
        new(name, tmp_path / "mine")
    assert not (tmp_path / "mine").exists()


@pytest.mark.parametrize("taken", ["mine.py", "mine/notes.txt"])
def test_nothing_is_written_over(tmp_path, taken):
    file = tmp_path / taken
    file.parent.mkdir(exist_ok=True)
    file.write_text("dear to me")
    with pytest.raises(RequestError, match=r"there is .* already"):
        new("mine", tmp_path)
    assert file.read_text() == "dear to me"
    assert list(tmp_path.rglob("*.py")) == ([file] if taken.endswith(".py") else [])


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RequestError, match="cannot be written: Not a directory"):
        new("mine", tmp_path / "file")
