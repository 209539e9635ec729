"""Stretches of a file arrive whole and in order, and a file that changes meanwhile is a sentence."""

import os
import threading

import pytest
import torch
from safetensors.torch import save_file

from webui.catalog.formats.header import read_header
from webui.engine import async_reader
from webui.engine.async_reader import Span, pieces
from webui.errors import ModelFileError


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.setattr(async_reader, "PIECE", 64)
    path = tmp_path / "some.safetensors"
    save_file({"a": torch.arange(3000, dtype=torch.int16)}, path)
    return read_header(path)


def yes(of, found):
    return True


def test_stretches_arrive_in_order_and_whole(file):
    content = file.path.read_bytes()
    into = torch.zeros(1000, dtype=torch.uint8)
    wanted = [
        Span(100, 331, None, "lent"),
        Span(7, 7, None, "empty"),
        Span(50, 1050, into, "put"),
        Span(3000, 3001, None, "one"),
    ]
    found = {"lent": b"", "put": b"", "one": b""}
    for piece in pieces(file, wanted, yes):
        assert piece.at == len(found[piece.of])
        found[piece.of] += piece.bytes.numpy().tobytes()
    assert found == {"lent": content[100:331], "put": content[50:1050], "one": content[3000:3001]}
    assert into.numpy().tobytes() == content[50:1050]


def test_what_is_lent_is_a_few_pieces_of_memory(file):
    places = {piece.bytes.data_ptr() for piece in pieces(file, [Span(0, 6000, None, 0)], yes)}
    assert 1 <= len(places) <= async_reader.AHEAD + 1


def test_every_piece_is_looked_at_beside_the_one_who_asks(file):
    threads = set()

    def sound(of, found):
        threads.add(threading.get_ident())
        return bool(found[0] % 2)

    wanted = [Span(8 + n, 9 + n, None, n) for n in range(50)]
    for piece in pieces(file, wanted, sound):
        assert piece.sound == bool(piece.bytes[0] % 2)
    assert threading.get_ident() not in threads


@pytest.mark.parametrize("size", [0, 100, 6000, 9999])
def test_a_file_that_has_changed_is_told(file, size):
    os.truncate(file.path, size)
    with pytest.raises(ModelFileError, match=r"some\.safetensors: has changed while it was loaded"):
        list(pieces(file, [Span(0, 6000, None, 0)], yes))


def test_a_file_that_is_cut_while_it_is_read_is_told(file):
    arriving = pieces(file, [Span(0, 6000, None, 0)], yes)
    next(arriving)
    os.truncate(file.path, 3000)
    with pytest.raises(ModelFileError, match="has changed while it was loaded"):
        list(arriving)


def test_a_file_that_is_gone_is_told(file):
    file.path.unlink()
    with pytest.raises(ModelFileError, match=r"some\.safetensors: cannot be read"):
        list(pieces(file, [Span(0, 100, None, 0)], yes))


def test_whoever_stops_asking_leaves_no_thread_and_no_open_file(file):
    opened = set(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else set()
    arriving = pieces(file, [Span(0, 6000, None, 0)], yes)
    next(arriving)
    arriving.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("easel-read")]
    if opened:
        assert set(os.listdir("/proc/self/fd")) <= opened
