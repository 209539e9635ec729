"""The log of replies: whole records come back, a torn tail is cut at any byte, another header discards it."""

import errno
import os
import random

import pytest

from webui.store.replies import Archive, ReplyLog, Room
from webui.types.persistence import Record

HEADER = {"request": "abc", "sampler": "Euler"}
RECORDS = [
    Record(
        {"kind": "Denoise", "sigma": 14.6, "x": "0f"},
        (("float32", (2, 3), b"\1" * 24),),
        {"tensor": 0, "cpu": True},
    ),
    Record({"kind": "Encode"}, (("float32", (4,), b"\2" * 16), ("uint8", (), b"\n"))),
    Record({"kind": "Decode"}, ()),
]


def written(path, records=RECORDS):
    log = ReplyLog(path)
    assert log.read(HEADER) == []
    for record in records:
        log.append(record)
    log.close()


def test_records_come_back_in_order(tmp_path):
    path = tmp_path / "job" / "0.log"
    written(path)
    log = ReplyLog(path)
    assert log.read(HEADER) == RECORDS
    log.close()


def test_a_tail_torn_at_any_byte_is_cut_and_written_on(tmp_path):
    whole = tmp_path / "whole"
    written(whole)
    content = whole.read_bytes()
    starts = [len(content)]
    for n in range(len(RECORDS)):
        path = tmp_path / "part"
        written(path, RECORDS[:n])
        starts.append(path.stat().st_size)
        path.unlink()
    first = min(starts)
    for length in range(first, len(content)):
        path = tmp_path / "torn"
        path.write_bytes(content[:length])
        log = ReplyLog(path)
        kept = sum(start <= length for start in starts) - 1
        assert log.read(HEADER) == RECORDS[:kept]
        for record in RECORDS[kept:]:
            log.append(record)
        log.close()
        assert path.read_bytes() == content


def test_a_flipped_bit_ends_the_log_there(tmp_path):
    path = tmp_path / "log"
    dice = random.Random(3)
    for _ in range(100):
        written(path)
        content = bytearray(path.read_bytes())
        at = dice.randrange(len(content))
        content[at] ^= 1 << dice.randrange(8)
        path.write_bytes(content)
        log = ReplyLog(path)
        found = log.read(HEADER) or []
        log.remove()
        assert found == RECORDS[: len(found)] and len(found) < len(RECORDS)


@pytest.mark.parametrize("header", [{"request": "abc", "sampler": "Heun"}, {}])
def test_another_header_discards_the_log(tmp_path, header):
    path = tmp_path / "log"
    written(path)
    log = ReplyLog(path)
    assert log.read(header) is None
    log.append(RECORDS[0])
    log.close()
    again = ReplyLog(path)
    assert again.read(header) == RECORDS[:1]
    again.remove()
    assert not path.exists()


def test_a_file_of_another_kind_is_no_log(tmp_path):
    path = tmp_path / "log"
    path.write_bytes(b"hello")
    log = ReplyLog(path)
    assert log.read(HEADER) is None
    log.close()


def test_all_logs_together_take_no_more_than_their_room(tmp_path):
    room = Room(700)
    one, two = ReplyLog(tmp_path / "1", room), ReplyLog(tmp_path / "2", room)
    one.read(HEADER)
    two.read(HEADER)
    with pytest.raises(OSError, match="may take"):
        while True:
            one.append(RECORDS[0])
    one.remove()
    for _ in range(2):
        two.append(RECORDS[0])  # the room of the first is free again
    two.close()
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 700
    again = ReplyLog(tmp_path / "2", room)
    assert len(again.read(HEADER)) == 2
    again.remove()
    room.take(700)  # nothing was counted twice or lost


def test_logs_of_saved_pictures_are_kept_within_a_size_the_oldest_go_first(tmp_path):
    room, archive = Room(10_000), Archive(tmp_path / "steps", 1_000)
    for number in range(8):
        log = ReplyLog(tmp_path / f"{number}.log", room, archive)
        log.read(HEADER)
        log.append(RECORDS[0])
        log.keep()
        os.utime(archive.folder / f"{number}.log", ns=(number, number))
        archive.prune()
    kept = sorted(path.name for path in archive.folder.iterdir())
    size = sum(path.stat().st_size for path in archive.folder.iterdir())
    assert 2 <= len(kept) < 8 and kept == [f"{n}.log" for n in range(8 - len(kept), 8)]
    assert size <= 1_000 < size + (archive.folder / "7.log").stat().st_size
    assert archive.read("7.log") == (HEADER, RECORDS[:1]) and archive.read("0.log") is None
    room.take(10_000)  # they take no room of pictures that are being made
    too_large = ReplyLog(tmp_path / "large.log", None, Archive(tmp_path / "steps", 10))
    too_large.read(HEADER)
    too_large.keep()
    assert not (archive.folder / "large.log").exists() and not too_large.path.exists()


def test_without_an_archive_a_log_goes_when_its_picture_is_saved(tmp_path):
    log = ReplyLog(tmp_path / "1.log")
    log.read(HEADER)
    log.keep()
    assert not log.path.exists()


def test_what_a_full_disk_did_not_take_is_not_counted(tmp_path, monkeypatch):
    room = Room(1000)
    log = ReplyLog(tmp_path / "a.log", room)
    log.read({})

    class Full:
        def __getattr__(self, name):
            return getattr(log_file, name)

        def write(self, content):
            raise OSError(errno.ENOSPC, "full")

    log_file = log._file
    monkeypatch.setattr(log, "_file", Full())
    with pytest.raises(OSError, match="full"):
        log.append(Record({"kind": "Denoise"}, (("uint8", (500,), bytes(500)),)))
    log.remove()
    room.take(1000)
