from __future__ import annotations

import json

import pytest

from webui.errors import EaselError
from webui.store import preferences


def test_what_is_written_is_read(tmp_path):
    values = {"disabled_extensions": ["film_grain", "größer"], "other": {"a": 1.5}}
    preferences.write(tmp_path / "new" / "folder", values)
    assert preferences.read(tmp_path / "new" / "folder") == values
    assert [path.name for path in (tmp_path / "new" / "folder").iterdir()] == ["settings.json"]


def test_nothing_written_is_nothing(tmp_path):
    assert preferences.read(tmp_path) == {}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", [b'{"disabled_ext', b"\xff\xfe\x00", b"[1, 2]", b""])
def test_a_damaged_file_is_set_aside_with_a_message(tmp_path, caplog, damage):
    (tmp_path / "settings.json").write_bytes(damage)
    assert preferences.read(tmp_path) == {}
    assert (tmp_path / "settings.json.damaged").read_bytes() == damage
    assert "settings.json is damaged" in caplog.text
    preferences.write(tmp_path, {"a": 1})
    assert preferences.read(tmp_path) == {"a": 1}


def test_what_cannot_be_written_leaves_the_old_file_and_is_a_sentence(tmp_path):
    preferences.write(tmp_path, {"a": 1})
    before = (tmp_path / "settings.json").read_bytes()
    with pytest.raises(TypeError):
        preferences.write(tmp_path, {"a": object()})
    (tmp_path / "file").write_text("")
    with pytest.raises(EaselError, match=r"settings\.json cannot be written"):
        preferences.write(tmp_path / "file", {"a": 1})
    assert (tmp_path / "settings.json").read_bytes() == before
    assert json.loads(before) == {"a": 1}


def test_what_it_was_is_kept_and_the_oldest_forgotten(tmp_path):
    for number in range(preferences.KEPT + 5):
        preferences.write(tmp_path, {"number": number})
    kept = sorted((tmp_path / preferences.HISTORY).iterdir())
    numbers = [json.loads(path.read_text())["number"] for path in kept]
    assert numbers == list(range(4, preferences.KEPT + 4))
    assert preferences.read(tmp_path) == {"number": preferences.KEPT + 4}
