"""A file that a task made is saved as pictures are: under a reserved name, whole or not at all, settings beside it."""

from dataclasses import replace
from functools import partial

import pytest

from tests.engine.conftest import request
from tests.test_metadata import finished
from webui.cli.jobs import check_output, destinations
from webui.errors import RequestError
from webui.http.views import media_type_of
from webui.images import save
from webui.metadata import parse
from webui.naming import Saving
from webui.store.jobs import JobStore
from webui.types import File
from webui.types.persistence import StoredJob

MADE = File(".tar.gz", b"content", "application/gzip")


def test_a_file_is_saved_with_its_settings_beside_it(tmp_path):
    saved = save(replace(finished(), picture=MADE), tmp_path)
    assert saved.path.read_bytes() == b"content" and saved.path.name.endswith(".tar.gz")
    assert not saved.is_picture and media_type_of(saved) == "application/gzip"
    beside = saved.path.with_name(saved.path.name + ".txt")
    assert beside.read_text(encoding="utf-8") == saved.parameters + "\n"
    assert parse(saved.parameters)["Media type"] == "application/gzip"
    assert sorted(saved.path.parent.iterdir()) == [saved.path, beside]


def test_a_large_file_is_copied_from_its_folder(tmp_path):
    source = tmp_path / "made"
    source.write_bytes(b"0123456789" * 300_000)
    saved = save(replace(finished(), picture=File(".bin", source)), tmp_path / "outputs")
    assert saved.path.read_bytes() == source.read_bytes()


def test_somebodys_text_of_that_name_stays(tmp_path):
    saving = Saving(pattern="[seed]")
    (tmp_path / "5.tar.gz.txt").write_text("mine")
    saved = save(replace(finished(), picture=MADE, seed=5), tmp_path, saving=saving)
    assert saved.path.name == "5-1.tar.gz"
    assert (tmp_path / "5-1.tar.gz.txt").read_text() == saved.parameters + "\n"
    assert (tmp_path / "5.tar.gz.txt").read_text() == "mine"


@pytest.mark.parametrize("pattern", ["[seed]", "[number]-[seed]", "[date]/[number]"])
def test_two_files_get_two_names(tmp_path, pattern):
    saving = Saving(pattern=pattern)
    made = replace(finished(), picture=MADE, seed=5)
    names = {save(made, tmp_path, saving=saving).path.name for _ in range(3)}
    assert len(names) == 3 and all(name.endswith(".tar.gz") for name in names)


def test_a_file_that_was_published_before_a_kill_is_finished(tmp_path):
    """Nobody lived to write down that it is there: it is known by what was sealed, with its settings."""
    store = JobStore(tmp_path / "kept")
    asked = request(task="txt2img")
    store.accept(StoredJob("job", asked, "", 0, "running", 1.0), None)
    made = replace(finished(), picture=MADE, job="job", index=0)
    reserve = partial(store.reserve, "job", 0, seed=made.seed)
    saved = save(
        made, tmp_path / "outputs", None, reserve, sealed=lambda path, d: reserve(path, sealed=d)
    )
    (kept,) = store.unfinished()
    assert kept.pictures == {0: replace(saved, notes=kept.pictures[0].notes)}
    store.close()


def test_who_gives_it_a_name_gives_it_its_ending(tmp_path):
    check_output(tmp_path / "mine.tar.gz", ".tar.gz")
    check_output(tmp_path / "mine", ".tar.gz")
    with pytest.raises(RequestError, match=r"use mine\.tar\.gz"):
        check_output(tmp_path / "mine.exe", ".tar.gz")
    with pytest.raises(RequestError, match="PNG, JPEG or WebP"):
        check_output(tmp_path / "mine.tar.gz")
    target = tmp_path / "mine.tar.gz"
    assert destinations(target, [tmp_path / "1.tar.gz"]) == [target]
