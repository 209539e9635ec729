"""pytest finds the kit in each of the ways in which it may be asked to, in a process of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEST = "def test_the_fixtures_are_there(easel_model, easel_engine): pass\n"


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """pytest in `folder`, which has none of our settings. Fixtures are found, and not set up."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(folder)])}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-W",
        "error",
        "-p",
        "no:cacheprovider",
        "--setup-plan",
        ".",
    ]
    return subprocess.run(
        [*command, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )  # fmt: skip


@pytest.fixture
def installed(tmp_path):
    """What pip writes of the entry points in pyproject.toml."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    section = re.search(r"\[project\.entry-points\.pytest11\]\n(.*?)\n\n", text, re.DOTALL)
    assert section is not None
    info = tmp_path / "easel_studio-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: easel-studio\nVersion: 0.1.0\n")
    (info / "entry_points.txt").write_text("[pytest11]\n" + section[1].replace('"', "") + "\n")


def test_by_the_module_of_a_test_and_by_the_entry_point_at_once(tmp_path, installed):
    source = 'from webui.testing import check_extension\npytest_plugins = ["webui.testing"]\n'
    (tmp_path / "test_both.py").write_text(source + TEST)
    done = run(tmp_path)
    assert done.returncode == 0 and "easel_engine" in done.stdout, done.stdout + done.stderr


def test_by_the_entry_point_alone_and_not_without(tmp_path, installed):
    (tmp_path / "test_alone.py").write_text(TEST)
    assert run(tmp_path).returncode == 0
    assert "fixture 'easel_model' not found" in run(tmp_path, "-p", "no:easel_testkit").stdout
