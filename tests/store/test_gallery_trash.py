"""The trash: files go there, come back, and are deleted in time."""

from __future__ import annotations

import os
import sqlite3
import time

import pytest

from tests.store.pictures import gallery_at, picture
from webui.errors import EaselError
from webui.store.gallery import UnknownPicture, trash
from webui.types import Search


def names(gallery, **asked) -> list[str]:
    return sorted(one.name for one in gallery.search(Search(**asked)).pictures)


def put(gallery, path, prompt="a cat") -> int:
    picture(path, prompt)
    gallery.scan()
    return gallery.at(path).id


def test_a_picture_goes_to_the_trash_and_back(gallery, outputs):
    path = outputs / "day" / "a.png"
    number = put(gallery, path)
    content = path.read_bytes()
    gallery.favour([number], True)
    assert gallery.trash([number]) == [number]
    assert not path.exists() and (outputs / ".trash" / "day" / "a.png").read_bytes() == content
    assert names(gallery) == [] and names(gallery, trash=True) == ["day/a.png"]
    kept = gallery.get(number)
    assert kept.trashed_s == pytest.approx(time.time(), abs=60) and kept.favourite
    assert gallery.thumbnail(number).is_file()  # it is shown there, too
    gallery.scan()
    assert gallery.get(number) == kept
    assert gallery.restore([number]) == [number]
    assert path.read_bytes() == content and not (outputs / ".trash").exists()
    back = gallery.get(number)
    assert back.trashed_s is None and back.favourite and names(gallery, trash=True) == []


def test_each_is_moved_once(gallery, outputs):
    number = put(gallery, outputs / "a.png")
    assert gallery.restore([number]) == []
    assert gallery.trash([number, number]) == [number]
    assert gallery.trash([number]) == []
    with pytest.raises(UnknownPicture):
        gallery.trash([12345])


def test_nothing_is_written_over(gallery, outputs):
    """Three pictures of one name, one after the other in the trash, and all back."""
    numbers = []
    for prompt in ("one", "two", "three"):
        numbers.append(put(gallery, outputs / "a.png", prompt))
        gallery.trash(numbers[-1:])
    assert len(set(numbers)) == 3 and len(list((outputs / ".trash").iterdir())) == 3
    gallery.restore(numbers)
    assert names(gallery) == ["a (2).png", "a (3).png", "a.png"]
    assert {gallery.get(n).prompt for n in numbers} == {"one", "two", "three"}
    gallery.scan()
    assert len(names(gallery)) == 3


def test_the_trash_is_emptied_for_good(gallery, outputs):
    numbers = [put(gallery, outputs / f"{name}.png", name) for name in "abc"]
    gallery.trash(numbers[:2])
    assert gallery.empty_trash() == 2 and gallery.empty_trash() == 0
    assert [path.name for path in outputs.iterdir()] == ["c.png"]
    with pytest.raises(UnknownPicture):
        gallery.restore(numbers[:1])
    assert names(gallery, trash=True) == [] and names(gallery) == ["c.png"]


@pytest.mark.parametrize(("days", "left"), [(30, ["new.png"]), (0, ["new.png", "old.png"])])
def test_what_has_lain_there_long_enough_is_deleted(tmp_path, outputs, days, left):
    gallery = gallery_at(tmp_path, trash_days=days)
    old, new = (put(gallery, outputs / f"{name}.png", name) for name in ("old", "new"))
    gallery.trash([old, new])
    with gallery._index.changing() as connection:
        long_ago = time.time() - 31 * 24 * 3600
        connection.execute("UPDATE pictures SET left_s = ? WHERE id = ?", (long_ago, old))
    gallery.tidy()
    assert names(gallery, trash=True) == left
    assert sorted(path.name for path in (outputs / ".trash").iterdir()) == left
    gallery.close()


def test_files_that_others_put_into_the_trash_or_take_out_are_noticed(gallery, outputs):
    number = put(gallery, outputs / "day" / "a.png")
    (outputs / ".trash").mkdir()
    (outputs / "day" / "a.png").rename(outputs / ".trash" / "a.png")
    gallery.scan()
    assert names(gallery) == [] and gallery.get(number).trashed_s is not None
    assert gallery.restore([number]) == [number]
    assert (outputs / "day" / "a.png").is_file()
    gallery.trash([number])
    (outputs / ".trash" / "day" / "a.png").rename(outputs / "b.png")
    gallery.scan()
    assert names(gallery) == ["b.png"] and gallery.get(number).trashed_s is None


def test_a_new_index_finds_the_trash(tmp_path, outputs):
    gallery = gallery_at(tmp_path)
    gallery.trash([put(gallery, outputs / "day" / "a.png")])
    gallery.close()
    for path in (tmp_path / "kept").glob("gallery.db*"):
        path.unlink()
    gallery = gallery_at(tmp_path)
    gallery.scan()
    ((one),) = gallery.search(Search(trash=True)).pictures
    assert one.name == "day/a.png" and gallery.restore([one.id]) == [one.id]
    assert (outputs / "day" / "a.png").is_file()
    gallery.close()


def test_a_disk_that_refuses_is_told_in_a_sentence(gallery, outputs, monkeypatch):
    number = put(gallery, outputs / "a.png")

    def refusing(source, target):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(trash.os, "replace", refusing)
    with pytest.raises(EaselError, match="cannot be moved: Permission denied"):
        gallery.trash([number])
    assert names(gallery) == ["a.png"] and os.listdir(outputs / ".trash") == []


@pytest.mark.parametrize("to_trash", [True, False])
def test_files_go_back_where_the_index_cannot_be_written(gallery, outputs, to_trash):
    """As on a full disk: a file is where the gallery says that it is."""
    numbers = [put(gallery, outputs / "day" / f"{name}.png", name) for name in "ab"]
    if not to_trash:
        gallery.trash(numbers)
    before = sorted(path for path in outputs.rglob("*.png"))
    with sqlite3.connect(next(outputs.parent.rglob("gallery.db"))) as other:
        other.execute(
            f"CREATE TRIGGER full BEFORE UPDATE ON pictures WHEN old.id = {numbers[1]} "
            "BEGIN SELECT RAISE(FAIL, 'database or disk is full'); END"
        )
        other.commit()
        with pytest.raises(EaselError, match="full"):
            (gallery.trash if to_trash else gallery.restore)(numbers)
        assert sorted(outputs.rglob("*.png")) == before
        assert len(names(gallery, trash=not to_trash)) == 2
        other.execute("DROP TRIGGER full")
    assert (gallery.trash if to_trash else gallery.restore)(numbers) == numbers


def test_the_trash_of_a_link_is_not_used(gallery, outputs, tmp_path):
    number = put(gallery, outputs / "a.png")
    (tmp_path / "elsewhere").mkdir()
    (outputs / ".trash").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(EaselError, match="link"):
        gallery.trash([number])
    assert names(gallery) == ["a.png"] and not list((tmp_path / "elsewhere").iterdir())


def test_a_file_that_is_gone_is_not_moved(gallery, outputs):
    number = put(gallery, outputs / "a.png")
    (outputs / "a.png").unlink()
    assert gallery.trash([number]) == []
