"""Hashes are SHA-256; the thread hashes what is used first, waits while there is work, and stops at once."""

from __future__ import annotations

import hashlib
import os
import threading

import pytest

from tests.catalog.formats.files import checkpoint
from webui.catalog.checkpoints import ModelList
from webui.catalog.formats import hashing
from webui.catalog.formats.hashing import Hasher, sha256_of
from webui.errors import ModelFileError
from webui.store.models import ModelIndex


@pytest.fixture
def index(tmp_path):
    made = ModelIndex(tmp_path)
    yield made
    made.close()


@pytest.fixture
def listed(tmp_path, index):
    for number, name in enumerate("abc"):
        path = tmp_path / "Stable-diffusion" / f"{name}.safetensors"
        checkpoint(path, metadata={"modelspec.title": name})  # so that no two are the same
        os.utime(path, (1_000_000 + number, 1_000_000 + number))
    return ModelList([tmp_path], index)


def test_the_hash_is_that_of_the_whole_file(tmp_path, monkeypatch):
    monkeypatch.setattr(hashing, "BLOCK", 1000)
    path, heard = checkpoint(tmp_path / "a.safetensors"), []
    assert (
        sha256_of(path, lambda *told: heard.append(told))
        == hashlib.sha256(path.read_bytes()).hexdigest()
    )
    assert heard[-1] == (path.stat().st_size,) * 2 and len(heard) > 2
    with pytest.raises(ModelFileError, match="cannot be read"):
        sha256_of(tmp_path / "gone")


def wait_for(condition) -> None:
    for _ in range(1000):
        if condition():
            return
        threading.Event().wait(0.02)
    raise AssertionError("it did not happen")


def test_every_listed_model_gets_its_hash(listed, index):
    hasher = Hasher(listed, index)
    hasher.start()
    wait_for(lambda: all(card.sha256 for card in listed()))
    hasher.stop()
    for card in listed():
        assert card.sha256 == hashlib.sha256(card.path.read_bytes()).hexdigest()
        assert card.hash == card.sha256[:10]


def test_the_used_come_first_then_the_newest(listed, index):
    hasher = Hasher(listed, index, last_used=index.last_used)
    assert [card.name[0] for card in hasher.pending()] == ["c", "b", "a"]
    index.used(listed()[0])
    assert [card.name[0] for card in hasher.pending()] == ["a", "c", "b"]


def test_it_waits_while_there_is_work(listed, index, monkeypatch):
    monkeypatch.setattr(hashing, "BUSY_WAIT_S", 0.01)
    busy, asked = threading.Event(), threading.Event()
    busy.set()

    def working() -> bool:
        asked.set()
        return busy.is_set()

    hasher = Hasher(listed, index, working)
    hasher.start()
    assert asked.wait(20)
    assert not any(card.sha256 for card in listed())
    busy.clear()
    wait_for(lambda: all(card.sha256 for card in listed()))
    hasher.stop()


def test_it_stops_in_the_middle_of_a_file(listed, index):
    hasher = Hasher(listed, index, lambda: True)
    hasher.start()
    hasher.stop()
    assert not any(thread.name == "hashing" for thread in threading.enumerate())


def test_a_file_that_is_gone_does_not_end_it(tmp_path, listed, index):
    cards = listed()
    cards[0].path.unlink()
    hasher = Hasher(
        lambda: [card for card in cards if not index.sha256(str(card.path), stamp(card))], index
    )
    hasher.start()
    wait_for(lambda: all(card.sha256 for card in listed()) and len(listed()) == 2)
    hasher.stop()


def stamp(card) -> str:
    return hashing.stamp_of(card.path) if card.path.exists() else ""
