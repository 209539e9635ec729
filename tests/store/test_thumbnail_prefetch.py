"""Thumbnails are there before anybody asks, and nobody waits because of that."""

from __future__ import annotations

import threading

import pytest

from tests.store.pictures import picture, until
from webui import images
from webui.store.gallery import Gallery, scanning, thumbnail_prefetch
from webui.types import SavedPicture, Search


class Pen:
    """Draws, and notes what; waits until `going`."""

    def __init__(self) -> None:
        self.drawn: list[str] = []
        self.begun = threading.Event()
        self.going = threading.Event()
        self.going.set()

    def __call__(self, path):
        self.begun.set()
        assert self.going.wait(60)
        self.drawn.append(path.name)
        return images.thumbnail(path)


@pytest.fixture
def pen():
    return Pen()


@pytest.fixture
def gallery(tmp_path, pen, monkeypatch):
    for module, name in (
        (thumbnail_prefetch, "LOOK_S"),
        (thumbnail_prefetch, "WAIT_S"),
        (scanning, "PAUSE_S"),
    ):
        monkeypatch.setattr(module, name, 0.01)
    (tmp_path / "outputs").mkdir()
    made = Gallery(tmp_path / "kept", tmp_path / "outputs", pen)
    yield made
    pen.going.set()
    made.close()


def test_the_newest_are_drawn_first_each_once(gallery, tmp_path, pen):
    for number in range(6):
        picture(tmp_path / "outputs" / f"{number}.png", str(number), at=1000 + number)
    gallery.scan()
    gallery.watch()
    kept = tmp_path / "kept"
    until(lambda: len(list(kept.rglob("*.webp"))) == 6, "all are drawn and kept")
    assert pen.drawn == [f"{number}.png" for number in reversed(range(6))]
    for one in gallery.search(Search()).pictures:
        assert gallery.thumbnail(one.id).is_file()
    picture(tmp_path / "outputs" / "new.png", "new")  # by another program
    until(lambda: "new.png" in pen.drawn, "the new one is drawn")
    assert len(pen.drawn) == 7


def test_no_more_are_drawn_than_the_newest(gallery, tmp_path, pen, monkeypatch):
    monkeypatch.setattr("webui.store.gallery.gallery.NEWEST", 2)
    for number in range(5):
        picture(tmp_path / "outputs" / f"{number}.png", str(number), at=1000 + number)
    gallery.scan()
    gallery.watch()
    until(lambda: len(pen.drawn) == 2, "two are drawn")
    gallery._prefetch.stop()
    assert pen.drawn == ["4.png", "3.png"]


def test_it_rests_while_pictures_are_made(gallery, tmp_path, pen):
    asked, busy = threading.Event(), threading.Event()
    busy.set()

    def working() -> bool:
        asked.set()
        return busy.is_set()

    picture(tmp_path / "outputs" / "old.png", "old", at=1000)
    gallery.scan()
    gallery.watch(working)
    assert asked.wait(60)
    path = picture(tmp_path / "outputs" / "made.png", "made", at=2000)
    gallery.add(SavedPicture(path, 1, 32, 16, ""), "txt2img", "", "job")
    until(lambda: pen.drawn, "one that was just made is drawn all the same")
    assert pen.drawn == ["made.png"]
    busy.clear()
    until(lambda: len(pen.drawn) == 2, "the other one is drawn then")


def test_a_damaged_picture_holds_up_no_other(gallery, tmp_path, pen):
    path = picture(tmp_path / "outputs" / "bad.png", "bad", size=(640, 640), at=2000)
    content = path.read_bytes()
    spoilt = content[:-40] + bytes(28) + content[-12:]  # its pixels, not its frame
    path.write_bytes(spoilt)
    picture(tmp_path / "outputs" / "good.png", "good", at=1000)
    gallery.scan()
    gallery.watch()
    until(lambda: "good.png" in pen.drawn, "the good one is drawn")
    assert pen.drawn.count("bad.png") == 1


def test_it_stops_after_the_one_that_is_being_drawn(gallery, tmp_path, pen):
    for number in range(20):
        picture(tmp_path / "outputs" / f"{number}.png", str(number))
    gallery.scan()
    pen.going.clear()
    gallery.watch()
    closing = threading.Thread(target=gallery._prefetch.stop)  # as `close` does first
    assert pen.begun.wait(60)
    closing.start()
    until(gallery._prefetch._stop.is_set, "it is told to stop")
    pen.going.set()
    closing.join(60)
    assert not closing.is_alive() and len(pen.drawn) == 1
