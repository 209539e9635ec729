"""The job store: what it was told is there after a kill, and a picture is neither lost nor made twice."""

import hashlib
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from pathlib import Path

import pytest
from PIL import Image, PngImagePlugin

from tests.engine.conftest import request
from webui.errors import EaselError, RequestError
from webui.sentences import Called, Sentence, with_keys
from webui.store import requests
from webui.store.database import MIGRATIONS, Database
from webui.store.jobs import JobStore
from webui.types import SavedPicture, SubmissionKey
from webui.types.persistence import StoredJob

ROOT = Path(__file__).parent.parent.parent


def job(name: str, **values) -> StoredJob:
    given = {"owner": "me", "priority": 0, "state": "queued", "created_s": 5.5}
    return StoredJob(name, request(prompt=name), **{**given, **values})


def fields_of(kept: StoredJob) -> dict[str, object]:
    return {field.name: getattr(kept, field.name) for field in fields(StoredJob)}


@pytest.fixture
def store(tmp_path):
    store = JobStore(tmp_path)
    yield store
    store.close()


def picture(path: Path, text: str = "a cat") -> Path:
    chunks = PngImagePlugin.PngInfo()
    chunks.add_text("parameters", text)
    Image.new("RGB", (8, 4), "red").save(path, pnginfo=chunks)
    return path


def test_what_is_given_up_of_a_job_is_kept_and_which_pictures_were_begun(tmp_path, store):
    for name in ("open", "over"):
        store.accept(job(name), None)
    store.replies("open", 3).read({})
    store.replies("open", 12).read({})
    store.changed("open", "paused", skipped=(4, 0))
    store.changed("over", "done", interrupted=True, skipped=(10,))
    (open_,) = store.unfinished()
    assert (open_.interrupted, open_.skipped, open_.begun) == (False, {0, 4}, {3, 12})
    (over,) = store.ended(10)
    assert (over.interrupted, over.skipped) == (True, {10})


def test_a_job_is_on_disk_before_accept_returns(tmp_path):
    """By a process that is killed right afterwards."""
    code = (
        "import os, sys; from pathlib import Path; from tests.store.test_jobs import *\n"
        "JobStore(Path(sys.argv[1])).accept(job('one', state='running', priority=3), None)\n"
        "os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT)
    assert done.returncode == -9
    store = JobStore(tmp_path)
    (found,) = store.unfinished()
    store.close()
    assert found == job("one", state="running", priority=3)


def test_unfinished_jobs_come_in_their_order_and_ended_ones_do_not(store):
    for name in "dcba":
        store.accept(job(name), None)
    store.changed("c", "done")
    store.changed("b", "paused", priority=7)
    assert [(found.id, found.state) for found in store.unfinished()] == [
        ("d", "queued"),
        ("b", "paused"),
        ("a", "queued"),
    ]
    assert store.unfinished()[1].priority == 7


def test_a_repeated_key_is_the_same_job(store):
    assert store.accept(job("one"), SubmissionKey("abc", "a body")) == "one"
    assert store.accept(job("two"), SubmissionKey("abc", "a body")) == "one"
    assert store.accept(job("three"), None) == "three"
    assert [found.id for found in store.unfinished()] == ["one", "three"]


def test_a_key_with_another_body_is_refused_after_a_restart_too(tmp_path):
    store = JobStore(tmp_path)
    store.accept(job("one"), SubmissionKey("abc", "a body"))
    for _ in range(2):
        with pytest.raises(RequestError, match="came with another request before") as caught:
            store.accept(job("two"), SubmissionKey("abc", "another"))
        assert caught.value.field == "Idempotency-Key"
        store.close()
        store = JobStore(tmp_path)
    assert store.accept(job("three"), SubmissionKey("abc", "a body")) == "one"
    assert [found.id for found in store.unfinished()] == ["one"]
    store.close()


def test_keys_of_an_older_database_give_their_jobs(tmp_path):
    """What came with them is not known any more, so nothing is refused."""
    older = Database(tmp_path / "easel.db", MIGRATIONS[:3])
    with older.changing() as connection:
        connection.execute(
            "INSERT INTO jobs (id, number, key, request, state, created_s) VALUES ('one', 1, 'abc', ?, 'queued', 1)",
            (requests.dump(request(), tmp_path / "pictures"),),
        )
    older.close()
    store = JobStore(tmp_path)
    assert store.accept(job("two"), SubmissionKey("abc", "any body")) == "one"
    store.close()
    assert (tmp_path / "easel.db.version-3").is_file()


def test_a_saved_picture_is_known(store, tmp_path):
    store.accept(job("one"), None)
    path = picture(tmp_path / "1.png")
    assert store.reserved("one", 0) is None
    store.reserve("one", 0, path, 7)
    store.saved("one", 0, SavedPicture(path, 7, 8, 4, "a cat"))
    assert store.reserved("one", 0) == path
    assert store.unfinished()[0].pictures == {0: SavedPicture(path, 7, 8, 4, "a cat")}
    path.unlink()  # the user moved it: it was made all the same
    assert list(store.unfinished()[0].pictures) == [0]


def test_a_reserved_name_is_a_picture_only_where_the_file_is_whole(store, tmp_path):
    store.accept(job("one"), None)
    missing, torn = tmp_path / "0.png", tmp_path / "1.png"
    torn.write_bytes(picture(tmp_path / "x.png").read_bytes()[:20])
    for index, path in enumerate((missing, torn, tmp_path / "2.png")):
        store.reserve("one", index, path, index)
    picture(tmp_path / "2.png", "its text")
    found = store.unfinished()[0].pictures
    assert found == {2: SavedPicture(tmp_path / "2.png", 2, 8, 4, "its text", 2)}
    assert store.reserved("one", 0) == missing


def test_what_is_told_on_a_picture_is_known_after_a_restart(store, tmp_path):
    store.accept(job("one"), None)
    text = 'a cat\nSteps: 4, Seed: 7, Size: 8x4, Notes: "left out: x\\nleft out: y"'
    for index in range(2):
        store.reserve("one", index, picture(tmp_path / f"{index}.png", text), 7)
    store.saved("one", 0, SavedPicture(tmp_path / "0.png", 7, 8, 4, text))
    (tmp_path / "0.png").unlink()
    told = [one.notes for one in store.unfinished()[0].pictures.values()]
    assert told == [("left out: x", "left out: y")] * 2


def test_another_file_at_a_reserved_name_is_not_the_picture(store, tmp_path):
    """What is about to lie there was sealed; before that nothing at the name is ours."""
    store.accept(job("one", state="running"), None)
    for index in range(3):
        picture(tmp_path / f"{index}.png", "theirs")
    ours = picture(tmp_path / "ours.png", "ours")
    sealed = hashlib.sha256(ours.read_bytes()).hexdigest()
    store.reserve("one", 0, tmp_path / "0.png", 1, "")
    store.reserve("one", 1, tmp_path / "1.png", 1, sealed)
    store.reserve("one", 2, tmp_path / "ours.png", 1, "")
    store.reserve("one", 2, tmp_path / "ours.png", 1, sealed)
    (tmp_path / ".00000.part").hardlink_to(ours)  # killed between its two names
    (tmp_path / ".00007.part").touch()
    assert list(store.unfinished()[0].pictures) == [2]
    assert store.reserved("one", 0) == tmp_path / "0.png"
    assert {path.name for path in tmp_path.glob(".*.part")} == {".00007.part"}
    assert (tmp_path / "0.png").read_bytes() == (tmp_path / "1.png").read_bytes()


def test_any_file_at_a_reserved_name_leaves_the_start_alone(store, tmp_path):
    store.accept(job("one", state="running"), None)
    for index, content in enumerate((b"", b"words", b"GIF89a", b"\x89PNG\r\n\x1a\n" + bytes(90))):
        (tmp_path / f"{index}.png").write_bytes(content)
        store.reserve("one", index, tmp_path / f"{index}.png", 1)
    (tmp_path / "folder.png").mkdir()
    store.reserve("one", 4, tmp_path / "folder.png", 1, "00")
    assert store.unfinished()[0].pictures == {}


def test_the_names_of_a_folder_are_known_when_its_files_are_gone(store, tmp_path):
    store.accept(job("one"), None)
    for index, name in enumerate(("a/1.png", "a/2 ü.png", "a/b/3.png", "a b/4.png", "5.png")):
        store.reserve("one", index, tmp_path / name, 1)
    assert sorted(store.names_in(tmp_path / "a")) == ["1.png", "2 ü.png"]
    assert store.names_in(tmp_path) == ["5.png"] and store.names_in(tmp_path / "x") == []


def test_pictures_of_an_older_database_are_what_they_were(tmp_path):
    """Reserved names of before, of which nobody knows what was to lie there, count where a picture lies."""
    path = tmp_path / "easel.db"
    older = Database(path, MIGRATIONS[:2])
    with older.changing() as connection:
        text = requests.dump(request(), tmp_path / "pictures")
        connection.execute(
            "INSERT INTO jobs (id, number, request, state, created_s) VALUES ('one', 1, ?, 'running', 1)",
            (text,),
        )
        for index in range(3):
            connection.execute(
                "INSERT INTO pictures (job, place, path, seed) VALUES ('one', ?, ?, 5)",
                (index, str(tmp_path / f"{index}.png")),
            )
        told = "a cat\nSteps: 4, Seed: 5, Size: 8x4, Notes: left out"
        connection.execute(
            "UPDATE pictures SET width = 8, height = 4, hash = 'x', infotext = ? WHERE place = 0",
            (told,),
        )
    older.close()
    picture(tmp_path / "1.png", told)
    store = JobStore(tmp_path)
    found = store.unfinished()[0].pictures
    assert {index: one.notes for index, one in found.items()} == {
        0: ("left out",),
        1: ("left out",),
    }
    assert store.reserved("one", 2) == tmp_path / "2.png"
    store.close()


def test_a_request_that_can_no_longer_be_read_fails_alone(store):
    store.accept(job("one"), None)
    store.accept(job("two"), None)
    with store._database.changing() as connection:
        connection.execute("UPDATE jobs SET request = '{\"version\": 99}' WHERE id = 'one'")
    assert [found.id for found in store.unfinished()] == ["two"]
    (row,) = store._database.rows("SELECT state, error FROM jobs WHERE id = 'one'")
    assert row["state"] == "failed" and "version 99" in row["error"]


def test_a_disk_that_says_no_is_a_sentence(store, tmp_path):
    store._database.rows("PRAGMA max_page_count = 8")
    with pytest.raises(EaselError, match=r"cannot be written: .*full") as caught:
        for n in range(1000):
            store.accept(job(f"job {n}" * 50), None)
    assert isinstance(caught.value.__cause__, OSError)
    assert len(store.unfinished()) == n  # each one that was accepted is there


def test_ended_jobs_are_remembered_without_their_pictures(store, tmp_path):
    given = Image.new("RGB", (8, 8))
    for name in "abc":
        kept = job(name)
        store.accept(
            StoredJob(**{**fields_of(kept), "request": replace(kept.request, image=given)}), None
        )
        store.changed(
            name, "failed" if name == "b" else "done", error="no" if name == "b" else None
        )
    store.accept(job("open"), None)
    store.tidy()
    found = store.ended(2)
    assert [(one.id, one.state, one.error) for one in found] == [
        ("b", "failed", "no"),
        ("c", "done", None),
    ]
    assert found[0].request.prompt == "b" and found[0].request.image is None


def test_an_error_keeps_its_key_and_one_without_is_its_text(store):
    why = Sentence("{name}: {why}", name=Called("image", "Picture"), why=Sentence("no"))
    for name, error in (("keyed", why), ("plain", "of a stranger")):
        store.accept(job(name), None)
        store.changed(name, "failed", error=error)
    keyed, plain = store.ended(2)
    assert keyed.error == "image: no" and with_keys(keyed.error) == with_keys(why)
    assert plain.error == with_keys(plain.error) == "of a stranger"


def test_tidying_leaves_what_open_jobs_need(store, tmp_path):
    kept = job("one")
    with_picture = replace(kept.request, image=Image.new("RGB", (8, 8)))
    store.accept(StoredJob(**{**fields_of(kept), "request": with_picture}), None)
    for name in ("one", "gone"):
        log = store.replies(name, 0)
        log.read({})
        log.close()
    (tmp_path / "pictures" / ("0" * 64 + ".png")).touch()
    store.tidy()
    assert [path.name for path in (tmp_path / "replies").iterdir()] == ["one-0.log"]
    assert len(list((tmp_path / "pictures").iterdir())) == 1
    assert store.unfinished()[0].request.image.size == (8, 8)


def test_tidying_leaves_what_a_job_that_is_just_accepted_needs(store, tmp_path, monkeypatch):
    """As at every start: the picture of the first request lies on disk before the job is written down."""
    dump, tidying = requests.dump, []

    def dumped(asked, pictures):
        text = dump(asked, pictures)
        tidying.append(threading.Thread(target=store.tidy))
        tidying[0].start()
        tidying[0].join(0.2)  # it waits, or it has removed the picture by then
        return text

    monkeypatch.setattr(requests, "dump", dumped)
    kept = job("one")
    with_picture = replace(kept.request, image=Image.new("RGB", (8, 8)))
    store.accept(StoredJob(**{**fields_of(kept), "request": with_picture}), None)
    tidying[0].join()
    assert store.unfinished()[0].request.image.size == (8, 8)


def test_a_picture_that_nobody_may_have_heard_of_is_told_again(store, tmp_path):
    store.accept(job("one"), None)
    for index in (0, 1, 2):
        path = picture(tmp_path / f"{index}.png")
        store.reserve("one", index, path, index)
        if index < 2:
            store.saved("one", index, SavedPicture(path, index, 8, 4, "a cat"))
    store.heard("one", 0)
    store.changed("one", "done")
    ((name, index, owner, saved, asked),) = store.unheard()
    assert (name, index, owner, saved.seed, asked.prompt) == ("one", 1, "me", 1, "one")


def test_one_key_at_the_same_time_is_one_job(store):
    """Six threads, one key: all are given one id."""
    for round_ in range(20):
        with ThreadPoolExecutor(6) as threads:
            names = [f"{round_}-{n}" for n in range(6)]
            key = SubmissionKey(f"key {round_}", "")
            ids = set(threads.map(lambda name: store.accept(job(name), key), names))  # noqa: B023
        assert len(ids) == 1
    assert len(store.unfinished()) == 20


def test_a_file_is_its_job_s_from_the_moment_its_name_is_kept(store, tmp_path):
    store.accept(job("one", owner="ann"), None)
    store.reserve("one", 0, tmp_path / "a.png", 1)
    assert store.whose(tmp_path / "a.png") == ("one", "ann")
    assert store.whose(tmp_path / "b.png") is None


def test_what_is_old_goes_and_favourites_stay(store, tmp_path):
    for name in ("old", "favourite", "new"):
        store.accept(job(name), None)
        path = picture(tmp_path / f"{name}.png")
        store.reserve(name, 0, path, 1)
        store.saved(name, 0, SavedPicture(path, 1, 8, 4, ""))
        store.changed(name, "done")
    with store._database.changing() as connection:
        connection.execute("UPDATE jobs SET ended_s = 5 WHERE id != 'new'")
    store.tidy()
    assert len(store.ended(9)) == 3 and len(list(tmp_path.glob("*.png"))) == 3
    store.tidy(jobs_days=1, outputs_days=1, favourite=lambda path: path.stem == "favourite")
    assert [one.id for one in store.ended(9)] == ["favourite", "new"]
    assert {path.stem for path in tmp_path.glob("*.png")} == {"favourite", "new"}


def test_of_what_is_old_only_the_picture_itself_goes(store, tmp_path):
    """Not another file that has its name by now."""
    for name in ("ours", "theirs"):
        store.accept(job(name), None)
        path = picture(tmp_path / f"{name}.png")
        store.reserve(name, 0, path, 1)
        store.saved(name, 0, SavedPicture(path, 1, 8, 4, ""))
        store.changed(name, "done")
    with store._database.changing() as connection:
        connection.execute("UPDATE jobs SET ended_s = 5")
    picture(tmp_path / "theirs.png", "another")
    store.tidy(outputs_days=1)
    assert [path.name for path in tmp_path.glob("*.png")] == ["theirs.png"]


def test_a_stray_file_among_the_logs_holds_nothing_up(tmp_path):
    store = JobStore(tmp_path)
    (tmp_path / "replies").mkdir()
    (tmp_path / "replies" / ".DS_Store").write_bytes(b"stray")
    store.tidy()
    assert list((tmp_path / "replies").iterdir()) == []
    store.close()
