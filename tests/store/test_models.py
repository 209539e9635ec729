"""The model index remembers over starts, forgets what a changed file makes wrong, and survives damage."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from webui.errors import EaselError
from webui.store.database import InUse
from webui.store.models import FILE, ModelIndex
from webui.types import ModelCard, ModelNotes

CARD = ModelCard("m", Path("m.safetensors"), fingerprint="f" * 32)


@pytest.fixture
def index(tmp_path):
    made = ModelIndex(tmp_path)
    yield made
    made.close()


def test_everything_is_there_after_a_restart(tmp_path):
    index = ModelIndex(tmp_path)
    index.keep_headers({"/a": ("1", "{}"), "/b": ("2", "[]")})
    index.keep_sha256("/a", "1", "0" * 64)
    index.remember_prediction(CARD, "v_prediction")
    notes = ModelNotes(
        "soft", vae="v", preferred_weight=0.5, defaults={"steps": 3}, prompts=("a", "b")
    )
    index.keep_notes("g", notes)
    index.used(CARD)
    used = index.last_used(CARD.fingerprint)
    index.close()

    index = ModelIndex(tmp_path)
    assert index.headers() == {"/a": ("1", "{}"), "/b": ("2", "[]")}
    assert (index.sha256("/a", "1"), index.sha256("/a", "2"), index.sha256("/b", "2")) == (
        "0" * 64,
        "",
        "",
    )
    assert index.prediction(CARD) == "v_prediction"
    assert index.notes("g") == notes and index.notes("h") is None
    assert index.last_used(CARD.fingerprint) == used > 0
    index.close()


def test_a_new_version_of_a_file_loses_the_hash_of_the_old(tmp_path):
    index = ModelIndex(tmp_path)
    index.keep_sha256("/a", "1", "0" * 64)
    index.keep_headers({"/a": ("2", "{}")})
    index.keep_headers({"/b": ("1", "{}")})
    index.keep_sha256("/b", "2", "1" * 64)
    index.close()
    again = ModelIndex(tmp_path)
    assert again.sha256("/a", "1") == "" and again.headers() == {"/a": ("2", "{}")}
    assert again.sha256("/b", "2") == "1" * 64
    again.close()


def test_what_the_user_says_wins_over_a_probe(index):
    index.remember_prediction(CARD, "epsilon")
    index.keep_notes(CARD.fingerprint, ModelNotes(prediction="v_prediction"))
    assert index.prediction(CARD) == "v_prediction"
    index.keep_notes(CARD.fingerprint, ModelNotes())
    assert index.prediction(CARD) == "epsilon"


def test_what_is_no_prediction_is_refused(index):
    with pytest.raises(ValueError, match="flow"):
        index.remember_prediction(CARD, "flow")
    with pytest.raises(EaselError, match="use epsilon, v_prediction, sample"):
        index.keep_notes("g", ModelNotes(prediction="flow"))


def test_a_full_disk_keeps_nobody_from_working(index, monkeypatch, caplog):
    def full():
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(index._database, "changing", full)
    index.keep_headers({"/a": ("1", "{}")})
    index.keep_sha256("/a", "1", "0" * 64)
    index.remember_prediction(CARD, "epsilon")
    index.used(CARD)
    assert (index.sha256("/a", "1"), index.prediction(CARD)) == ("0" * 64, "epsilon")
    assert "disk is full" in caplog.text
    with pytest.raises(EaselError, match="disk is full"):  # the user's words: they must be told
        index.keep_notes("g", ModelNotes("x"))
    assert index.notes("g") is None


def test_a_thread_that_is_late_writes_nothing_and_harms_nothing(tmp_path, caplog):
    index = ModelIndex(tmp_path)
    index.close()
    index.keep_headers({"/a": ("1", "{}")})
    index.used(CARD)
    assert caplog.text == ""


def test_the_version_grows_with_what_a_list_would_show(index):
    seen = [index.version]
    for change in (
        lambda: index.keep_sha256("/a", "1", "0" * 64),
        lambda: index.remember_prediction(CARD, "epsilon"),
        lambda: index.keep_notes("g", ModelNotes("x")),
    ):
        change()
        seen.append(index.version)
    assert seen == sorted(set(seen))
    index.keep_headers({"/a": ("1", "{}")})  # the list knows those itself
    index.used(CARD)  # nor does it show this
    assert index.version == seen[-1]


def test_one_process_has_it_and_a_damaged_one_is_set_aside(tmp_path):
    index = ModelIndex(tmp_path)
    with pytest.raises(InUse):
        ModelIndex(tmp_path)
    index.close()
    (tmp_path / FILE).write_bytes(b"no database" * 1000)
    index = ModelIndex(tmp_path)
    assert index.set_aside is not None and index.set_aside.exists() and index.headers() == {}
    index.close()
