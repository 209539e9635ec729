"""A data folder that the version before wrote is opened, migrated after a copy, and nothing of anybody is lost.

`folder_before.zip` was written by that version's own code, and is never written again by today's: jobs that wait, that
are paused, half made, done and failed, of two owners, with keys; a favourite, and a picture in the trash.
"""

import sqlite3
import zipfile
from pathlib import Path

import pytest

from tests.engine.conftest import request
from webui.store.database import MIGRATIONS
from webui.store.gallery import Gallery
from webui.store.jobs import JobStore
from webui.types import SubmissionKey
from webui.types.persistence import StoredJob


@pytest.fixture
def folder(tmp_path):
    with zipfile.ZipFile(Path(__file__).with_name("folder_before.zip")) as written:
        written.extractall(tmp_path)
    with sqlite3.connect(tmp_path / ".easel" / "easel.db") as database:
        database.execute("UPDATE pictures SET path = replace(path, '/before', ?)", (str(tmp_path),))
    database.close()
    return tmp_path


def test_jobs_with_their_owners_keys_and_pictures_are_there(folder):
    store = JobStore(folder / ".easel")
    kept = {job.id: job for job in store.unfinished()}
    told = [(job.id, job.state, job.owner, job.priority) for job in kept.values()]
    assert told == [
        ("waiting", "queued", "bob", 2),
        ("paused", "paused", "ann", 0),
        ("half", "running", "bob", 0),
    ]
    assert kept["waiting"].request.image.getpixel((0, 0)) == (255, 0, 0)
    assert {place: p.path for place, p in kept["half"].pictures.items()} == {
        0: folder / "outputs" / "half.png"
    }
    ended = {job.id: job for job in store.ended(10)}
    assert [(e.state, e.owner) for e in ended.values()] == [("done", "ann"), ("failed", "")]
    assert len(ended["done"].pictures) == 2 and ended["failed"].error == "no such model"
    again = StoredJob("new", request(), "ann", 0, "queued", 9.0)
    assert store.accept(again, SubmissionKey("key-done", "whatever")) == "done"
    assert store.accept(again, None) == "new"
    store.close()


def test_what_was_recorded_by_other_code_is_left_with_a_word(folder):
    store = JobStore(folder / ".easel")
    log = store.replies("half", 1)
    assert log.path.is_file() and log.read({"version": "today"}) is None
    log.close()
    store.close()


def test_a_copy_of_the_database_as_it_was_is_kept(folder):
    before = sqlite3.connect(folder / ".easel" / "easel.db")
    jobs = before.execute("SELECT * FROM jobs").fetchall()
    (version,) = before.execute("PRAGMA user_version").fetchone()
    before.close()
    JobStore(folder / ".easel").close()
    copy = sqlite3.connect(folder / ".easel" / f"easel.db.version-{version}")
    assert version < len(MIGRATIONS) and copy.execute("SELECT * FROM jobs").fetchall() == jobs
    copy.close()


def test_favourites_and_the_trash_are_what_they_were(folder):
    store = JobStore(folder / ".easel")
    gallery = Gallery(
        folder / ".easel", folder / "outputs", lambda path: b"", trash_days=0, whose=store.whose
    )
    gallery.scan()
    assert gallery.is_favourite(folder / "outputs" / "half.png")
    assert not gallery.is_favourite(folder / "outputs" / "0.png")
    assert gallery.empty_trash() == 1 and not (folder / "outputs" / ".trash" / "1.png").exists()
    assert (folder / "outputs" / "0.png").is_file()
    gallery.close()
    store.close()
