"""Thumbnails: made once each, in a folder that does not grow for ever."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.store.pictures import until
from webui.errors import EaselError, RequestError
from webui.store.thumbnails import WORKERS, Thumbnails


class Pen:
    """Draws `size` bytes, and counts."""

    def __init__(self, size: int = 100) -> None:
        self.size = size
        self.drawn: list[str] = []
        self.at_once = 0
        self.most = 0
        self._lock = threading.Lock()

    def __call__(self, path):
        with self._lock:
            self.drawn.append(path.name)
            self.at_once += 1
            self.most = max(self.most, self.at_once)
        time.sleep(0.01)
        with self._lock:
            self.at_once -= 1
        if "broken" in path.name:
            raise RequestError("the picture is damaged")
        return path.name.encode().ljust(self.size)


def stamp(number: int) -> str:
    return f"{number:016x}"


def test_each_is_drawn_once_by_few_threads(tmp_path):
    pen = Pen()
    small = Thumbnails(tmp_path / "small", pen)
    with ThreadPoolExecutor(8) as threads:
        asked = [(tmp_path / f"{n % 10}.png", stamp(n % 10)) for n in range(40)]
        paths = list(threads.map(lambda one: small.of(*one), asked))
    assert sorted(pen.drawn) == [f"{n}.png" for n in range(10)] and pen.most <= WORKERS
    assert [path.read_bytes().strip().decode() for path in paths] == [a.name for a, _ in asked]
    small.close()
    again = Thumbnails(tmp_path / "small", pen)
    assert again.of(*asked[3]) == paths[3] and len(pen.drawn) == 10
    again.close()


def test_what_cannot_be_drawn_is_tried_once(tmp_path):
    pen = Pen()
    small = Thumbnails(tmp_path / "small", pen)
    (tmp_path / "broken.png").touch()
    for _ in range(3):
        with pytest.raises(EaselError, match="damaged"):
            small.of(tmp_path / "broken.png", stamp(1))
    assert pen.drawn == ["broken.png"]
    assert small.of(tmp_path / "fine.png", stamp(2)).is_file()
    small.close()
    with pytest.raises(EaselError, match="stopping"):
        small.of(tmp_path / "late.png", stamp(3))


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "small").write_text("a file")
    small = Thumbnails(tmp_path / "small", Pen())
    with pytest.raises(EaselError, match="cannot be written"):
        small.of(tmp_path / "a.png", stamp(1))
    small.close()


def test_those_of_no_picture_go_when_they_are_not_new(tmp_path):
    small = Thumbnails(tmp_path / "small", Pen())
    paths = [small.of(tmp_path / f"{n}.png", stamp(n)) for n in range(4)]
    for path in paths[:3]:
        os.utime(path, (1000, 1000))
    half = paths[0].with_name(".half.part")
    half.touch()
    small.tidy({stamp(0)})
    assert [path.exists() for path in paths] == [True, False, False, True] and half.exists()
    os.utime(half, (1000, 1000))
    small.tidy({stamp(0)})
    assert not half.exists()
    small.close()


def test_the_oldest_go_where_there_is_no_room(tmp_path):
    small = Thumbnails(tmp_path / "small", Pen(1000), limit_bytes=10_500)
    paths = []
    for number in range(30):
        paths.append(small.of(tmp_path / f"{number}.png", stamp(number)))
        if paths[-1].exists():
            os.utime(paths[-1], (1000 + number, 1000 + number))
        assert sum(p.stat().st_size for p in (tmp_path / "small").rglob("*.webp")) <= 10_500
    assert all(path.exists() for path in paths[-8:-1]) and not paths[0].exists()
    small.close()


def test_a_picture_that_was_away_for_a_moment_is_tried_again(tmp_path):
    """It may have been moved while it was drawn: its stamp is the same at its new place."""
    pen = Pen()
    small = Thumbnails(tmp_path / "small", pen)
    assert not small.ahead(tmp_path / "broken.png", stamp(1))
    assert small.of(tmp_path / "fine.png", stamp(1)).is_file()
    small.close()


def test_one_that_will_be_asked_for_is_drawn_without_a_wait(tmp_path):
    pen = Pen()
    small = Thumbnails(tmp_path / "small", pen)
    (tmp_path / "broken.png").touch()
    small.soon(tmp_path / "a.png", stamp(1))
    small.soon(tmp_path / "broken.png", stamp(2))
    assert small.is_asked
    until(lambda: not small.is_asked, "both are done")
    small.of(tmp_path / "a.png", stamp(1))
    assert sorted(pen.drawn) == ["a.png", "broken.png"]
    small.close()
    small.soon(tmp_path / "late.png", stamp(3))  # says nothing
    assert len(pen.drawn) == 2


def test_who_asks_does_not_wait_for_the_one_drawn_ahead(tmp_path):
    """That thread goes behind everything else on the machine, so on a busy one it may take its time."""
    first, going = threading.Event(), threading.Event()

    def draw(path):
        if threading.current_thread().name == "slow":
            going.set()
            assert first.wait(60)
        return b"x"

    small = Thumbnails(tmp_path / "small", draw)
    slow = threading.Thread(target=small.ahead, args=(tmp_path / "a.png", stamp(1)), name="slow")
    slow.start()
    assert going.wait(60)
    assert small.of(tmp_path / "a.png", stamp(1)).read_bytes() == b"x"
    first.set()
    slow.join()
    assert [path.name for path in (tmp_path / "small").rglob("*.*")] == [f"{stamp(1)}.webp"]
    small.close()


def test_there_is_room_up_to_half_of_what_may_be(tmp_path):
    small = Thumbnails(tmp_path / "small", Pen(1000), limit_bytes=10_000)
    for number in range(6):
        assert small.has_room == (number < 5)
        small.of(tmp_path / f"{number}.png", stamp(number))
    small.close()
