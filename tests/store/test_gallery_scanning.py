"""What others do to the files under the outputs folder is noticed."""

from __future__ import annotations

import logging
import os
import shutil
import time

import pytest

from tests.store.pictures import gallery_at, picture, until
from webui.store.gallery import scanning
from webui.types import SavedPicture, Search


def names(gallery, **asked) -> list[str]:
    return sorted(one.name for one in gallery.search(Search(**asked)).pictures)


def look(gallery) -> None:
    """As the thread does every few seconds."""
    gallery._scanner.look()


def test_added_changed_and_deleted_files_are_noticed(gallery, outputs):
    picture(outputs / "a.png", "first")
    look(gallery)
    assert names(gallery) == ["a.png"]
    picture(outputs / "new" / "deep" / "b.webp", "second")
    look(gallery)
    assert names(gallery) == ["a.png", "new/deep/b.webp"]
    before = gallery.at(outputs / "a.png")
    picture(outputs / "a.png", "other", colour="blue", at=5)
    gallery.scan()
    after = gallery.at(outputs / "a.png")
    assert after.prompt == "other" and after.stamp != before.stamp and after.id == before.id
    assert names(gallery, words="first") == []
    shutil.rmtree(outputs / "new")
    look(gallery)
    assert names(gallery) == ["a.png"]
    shutil.rmtree(outputs)
    look(gallery)
    assert names(gallery) == []


def test_nothing_changes_where_nothing_did(gallery, outputs):
    for number in range(5):
        picture(outputs / "day" / f"{number}.png", str(number), at=1000)
    gallery.scan()
    before = gallery.version, gallery.search(Search())
    for _ in range(3):
        gallery.scan()
        look(gallery)
    assert (gallery.version, gallery.search(Search())) == before


def test_folders_that_rest_are_not_listed_again(gallery, outputs, monkeypatch):
    for name in ("a", "b"):
        picture(outputs / name / "1.png", name, at=1000)
        os.utime(outputs / name, (1000, 1000))
    os.utime(outputs, (1000, 1000))
    look(gallery)
    listed = []
    real = os.scandir
    monkeypatch.setattr(
        scanning.os, "scandir", lambda path: (listed.append(path.name), real(path))[1]
    )
    look(gallery)
    assert listed == []
    picture(outputs / "b" / "2.png", "new")
    look(gallery)
    assert listed == ["b"] and names(gallery) == ["a/1.png", "b/1.png", "b/2.png"]


@pytest.mark.parametrize("seen_between", [False, True])
def test_a_moved_file_is_the_same_picture(gallery, outputs, seen_between):
    path = picture(outputs / "day" / "a.png", "a cat", at=1000)
    picture(outputs / "day" / "b.png", "a dog", at=1000)
    gallery.add(SavedPicture(path, 1, 32, 16, ""), "morph", "ann", "job1")
    gallery.scan()
    before = gallery.at(path)
    gallery.favour([before.id], True)
    (outputs / "best").mkdir()
    if seen_between:  # over another disk, say: it is away for a while
        away = outputs.parent / "away.png"
        shutil.move(path, away)
        gallery.scan()
        assert names(gallery) == ["day/b.png"]
        shutil.move(away, outputs / "best" / "renamed.png")
    else:
        path.rename(outputs / "best" / "renamed.png")
    look(gallery)
    after = gallery.at(outputs / "best" / "renamed.png")
    assert (after.id, after.favourite, after.owner, after.job, after.task) == (
        *(before.id, True, "ann", "job1", "morph"),
    )
    assert after.stamp == before.stamp  # so its thumbnail is still the right one
    assert names(gallery) == ["best/renamed.png", "day/b.png"]


def test_a_copy_is_another_picture(gallery, outputs):
    path = picture(outputs / "a.png")
    gallery.scan()
    gallery.favour([gallery.at(path).id], True)
    shutil.copy2(path, outputs / "b.png")
    gallery.scan()
    assert names(gallery) == ["a.png", "b.png"] and names(gallery, favourites=True) == ["a.png"]


def test_a_disk_that_was_away_brings_its_favourites_back(gallery, outputs):
    for name in "abc":
        picture(outputs / "day" / f"{name}.png", name, at=1000)
    gallery.scan()
    gallery.favour([gallery.at(outputs / "day" / "b.png").id], True)
    outputs.rename(outputs.parent / "unmounted")
    outputs.mkdir()
    gallery.scan()
    assert names(gallery) == []
    outputs.rmdir()
    (outputs.parent / "unmounted").rename(outputs)
    gallery.scan()
    assert len(names(gallery)) == 3 and names(gallery, favourites=True) == ["day/b.png"]


def test_a_folder_that_cannot_be_read_loses_nothing(gallery, outputs, monkeypatch, caplog):
    picture(outputs / "a" / "1.png", "x", at=1000)
    picture(outputs / "a" / "below" / "2.png", "y", at=1000)
    gallery.scan()
    real = os.scandir

    def failing(path):
        if path.name == "a":
            raise OSError(5, "Input/output error")
        return real(path)

    monkeypatch.setattr(scanning.os, "scandir", failing)
    with caplog.at_level(logging.WARNING):
        gallery.scan()
        gallery.scan()
    assert len(names(gallery)) == 2
    assert len([r for r in caplog.records if "Input/output error" in r.getMessage()]) == 1


def test_what_is_no_picture_is_left_out_and_told_of_once(gallery, outputs, caplog):
    whole = picture(outputs / "whole.png", size=(200, 200)).read_bytes()
    for name, content in (
        ("empty.png", b""),
        ("text.png", b"hello"),
        ("cut.png", whole[:-40]),
        ("half.part", whole),
        (".00001.part", whole),
        (".hidden.png", whole),
        ("notes.txt", b"hello"),
        ("large.png", whole[:16] + (60000).to_bytes(4, "big") * 2 + whole[24:]),
    ):
        (outputs / name).write_bytes(content)
        os.utime(outputs / name, (1000, 1000))
    (outputs / "folder.png").mkdir()
    with caplog.at_level(logging.WARNING):
        gallery.scan()
        gallery.scan()
    assert names(gallery) == ["whole.png"]
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 4
    for name in ("empty.png", "text.png", "cut.png", "large.png"):
        assert sum(name in line for line in told) == 1


def test_a_file_that_is_still_being_written_comes_when_it_is_whole(gallery, outputs, caplog):
    whole = picture(outputs.parent / "a.png").read_bytes()
    with open(outputs / "slow.png", "wb") as file:
        file.write(whole[:60])
        file.flush()
        look(gallery)
        assert names(gallery) == []
        file.write(whole[60:])
    look(gallery)  # the folder's time is what it was
    assert names(gallery) == ["slow.png"] and not caplog.records


def test_a_picture_that_is_spoilt_leaves_the_gallery(gallery, outputs):
    path = picture(outputs / "a.png", at=1000)
    gallery.scan()
    path.write_bytes(path.read_bytes()[:50])
    gallery.scan()
    assert names(gallery) == []


def test_files_of_jobs_are_theirs_even_in_a_new_index(tmp_path, outputs):
    jobs = {outputs / "a.png": ("job1", "ann")}
    gallery = gallery_at(tmp_path, whose=jobs.get)
    picture(outputs / "a.png", "x")
    picture(outputs / "b.png", "y")
    gallery.scan()
    assert [gallery.at(outputs / f"{name}.png").owner for name in "ab"] == ["ann", ""]
    gallery.close()


def test_the_thread_notices_by_itself_and_ends(tmp_path, outputs, monkeypatch):
    monkeypatch.setattr(scanning, "PAUSE_S", 0.02)
    gallery = gallery_at(tmp_path)
    gallery.watch(lambda: True)
    picture(outputs / "a.png")
    until(lambda: names(gallery) == ["a.png"], "the picture")
    (outputs / "a.png").unlink()
    until(lambda: names(gallery) == [], "its end")
    began = time.monotonic()
    gallery.close()
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("took_s", "worked_s", "rest_s"),
    [(0.1, 0.05, 3), (1, 0.5, 10), (10, 0.05, 10), (600, 300, 60)],
)
def test_rests_follow_the_work_and_not_the_clock(took_s, worked_s, rest_s):
    """A look of ten seconds that mostly waited for others is no reason to rest for minutes."""
    assert scanning.pause_s(took_s, worked_s) == pytest.approx(rest_s)


def test_a_fault_of_one_look_does_not_end_the_watch(tmp_path, outputs, monkeypatch, caplog):
    monkeypatch.setattr(scanning, "PAUSE_S", 0.02)
    gallery = gallery_at(tmp_path)
    real, failed = gallery._scanner._folder, []

    def failing(name, thorough):
        if not failed:
            failed.append(name)
            raise RuntimeError("once")
        return real(name, thorough)

    monkeypatch.setattr(gallery._scanner, "_folder", failing)
    picture(outputs / "a.png")
    gallery.watch()
    until(lambda: names(gallery) == ["a.png"], "the picture")
    gallery.close()
    assert "could not look" in caplog.text
