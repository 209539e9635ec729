"""What is found in folders and among installed distributions, before anything of it is run."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint

import pytest

from tests.plugins.conftest import status
from webui.plugins.finding import find, installed


def names(folders, entries=(), **options):
    found, losers = find(folders, entries, bundled=(), api_version="1.0", **options)
    return [one.name for one in found], losers


def test_the_order_is_folders_then_names_then_entry_points(tmp_path, write):
    first, second = tmp_path / "first", tmp_path / "second"
    for name in ("b", "a", "c/__init__"):
        write(name, "", first)
    write("aa", "", second)
    entries = [EntryPoint("z", "nowhere.z", "x"), EntryPoint("e", "nowhere.e", "x")]
    assert names([first, second], entries) == (["a", "b", "c", "aa", "e", "z"], [])


def test_what_is_no_extension_is_left_alone(folder, write):
    write("good", "")
    write("_private", "")
    write(".hidden", "")
    write("put_away.off/__init__", "")
    write("__pycache__/x", "")
    (folder / "notes.txt").write_text("x")
    (folder / "data").mkdir()
    assert names([folder, folder / "not there"]) == (["good"], [])


def test_a_folder_of_python_without_init_is_told(folder, write):
    write("cloned/hooks", "")
    (one,), _ = find([folder], (), bundled=(), api_version="1.0")
    assert one.problem == "there is no __init__.py in the folder"


def test_of_two_with_one_name_the_first_wins_and_both_sources_are_told(tmp_path, write, load):
    first, second = tmp_path / "first", tmp_path / "second"
    sources = [write("twin", "WHICH = 1", into) for into in (first, second)]
    (one,) = load(first, second).statuses()
    assert one.source == str(sources[0])
    assert f"another extension of this name is left out: {sources[1]}" in one.problems


def test_one_folder_given_twice_is_searched_once(folder, write):
    write("good", "")
    assert names([folder, folder / ".." / folder.name]) == (["good"], [])


def test_facts_are_read_without_running_anything(folder, write):
    write(
        "facts",
        '''
        """Makes `everything` blue.

        And more."""
        TITLE = "Blue"
        __version__ = "2.1"
        raise SystemExit("nobody may run this")
        ''',
    )
    (one,), _ = find([folder], (), bundled=("facts",), api_version="1.0")
    assert (one.version, one.about, one.bundled) == ("2.1", "Makes everything blue.", True)
    assert one.title == "Blue"


def test_the_page_that_says_how_it_is_used_is_found(tmp_path, write):
    write("ours", "", tmp_path / "extensions")
    pages = tmp_path / "docs" / "extensions"
    pages.mkdir(parents=True)
    (pages / "ours.md").write_text("# Ours")
    (pages / "mine.md").write_text("# Not mine")
    mine = tmp_path / "more" / "mine"
    mine.mkdir(parents=True)
    (mine / "__init__.py").write_text("")
    (mine / "README.md").write_text("# Mine")
    write("bare", "", tmp_path / "more")
    folders = [tmp_path / "extensions", tmp_path / "more"]
    found, _ = find(folders, (), bundled=("ours",), api_version="1.0")
    assert {one.name: one.guide for one in found} == {
        "ours": pages / "ours.md",
        "mine": mine / "README.md",
        "bare": None,
    }


def test_only_the_first_folder_has_bundled_ones(tmp_path, write):
    write("ours", "", tmp_path / "first")
    write("theirs", "", tmp_path / "second")
    both = [tmp_path / "first", tmp_path / "second"]
    found, _ = find(both, (), bundled=("ours", "theirs"), api_version="1.0")
    assert [one.bundled for one in found] == [True, False]


@pytest.mark.parametrize(
    ("needs", "version", "says"),
    [
        (">=1.0,<2", "1.0", ""),
        (">=1.0,<2", "1.10", ""),
        (">=1.2", "1.10", ""),
        (">=2", "1.0", "it needs version >=2 of Easel's API; this is 1.0"),
        ("<2", "2.0", "it needs version <2 of Easel's API; this is 2.0"),
        ("one", "1.0", "NEEDS_API = 'one' is no version specifier"),
    ],
)
def test_the_api_that_is_needed(folder, write, needs, version, says):
    write("needy", f"NEEDS_API = {needs!r}")
    (one,), _ = find([folder], (), bundled=(), api_version=version)
    assert one.problem.startswith(says) and bool(one.problem) == bool(says)


def test_an_installed_distribution_is_found_by_its_entry_point(tmp_path, monkeypatch, load):
    """A real distribution as pip leaves it: a module and its metadata."""
    (tmp_path / "tint.py").write_text(
        '"""Not this line."""\nfrom webui.api import hookimpl\n'
        'NEEDS_API = ">=1"\n@hookimpl\ndef startup():\n    pass\n'
    )
    facts = tmp_path / "easel_tint-0.3.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: easel-tint\nVersion: 0.3\nSummary: Tints pictures\n"
    )
    (facts / "entry_points.txt").write_text("[easel.extensions]\ntint = tint\n")
    monkeypatch.syspath_prepend(tmp_path)
    (entry,) = [one for one in installed() if one.name == "tint"]
    tint = status(load(entries=[entry]), "tint")
    assert (tint.state, tint.version, tint.hooks) == ("on", "0.3", ("startup",))
    assert (tint.source, tint.about) == ("distribution easel-tint", "Tints pictures")
    monkeypatch.delitem(sys.modules, "tint")


def test_an_entry_point_that_leads_nowhere_is_told(load):
    lost = status(load(entries=[EntryPoint("lost", "no_such_module:x", "x")]), "lost")
    assert lost.state == "failed"
    assert "ModuleNotFoundError" in lost.problems[0]
