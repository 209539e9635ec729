"""Settings that change while Easel runs: their order, when they act, and what a file may hold."""

from __future__ import annotations

import pytest

from webui.errors import EaselError, RequestError
from webui.options import read
from webui.preferences import GROUPS, SETTINGS, Preferences
from webui.settings import Settings


def at(folder, saved=None, **fixed):
    kept = []
    base = Settings.at(folder, **fixed, fixed=frozenset(fixed))
    return Preferences(base, saved, lambda values: kept.append(dict(values))), kept


def test_the_command_line_comes_before_the_file_and_the_file_before_the_default(tmp_path):
    made, _ = at(tmp_path, {"port": 9, "dtype": "float32"}, port=7000)
    assert (made.settings.port, made.settings.dtype) == (7000, "float32")
    assert made.settings.attention == "auto"
    state = {one.setting.name: one for one in made.states()}
    assert state["port"].fixed and not state["dtype"].fixed
    assert state["dtype"].changed and not state["attention"].changed
    with pytest.raises(RequestError, match="--port has fixed it") as caught:
        made.change({"port": 8})
    assert caught.value.field == "port"


def test_what_acts_at_once_is_in_now_and_the_rest_waits(tmp_path):
    made, kept = at(tmp_path)
    held = made.settings  # what every part was given
    made.change({"previews": False, "device": "cpu", "outputs_dir": "/pictures"})
    assert held.now.previews is False and held.previews is True
    assert held.now.device == "auto" and held.now.outputs_dir == tmp_path / "outputs"
    waiting = {one.setting.name for one in made.states() if one.waiting}
    assert waiting == {"device", "outputs_dir"}
    assert kept == [{"previews": False, "device": "cpu", "outputs_dir": "/pictures"}]
    again, _ = at(tmp_path, kept[-1])  # the next start
    assert again.settings.device == "cpu" and str(again.settings.outputs_dir) == "/pictures"
    assert not any(one.waiting for one in again.states())


def test_none_resets(tmp_path):
    made, kept = at(tmp_path, {"quality": 50, "device": "cpu"})
    made.change({"quality": None, "device": None})
    assert made.current().quality == 90 and kept == [{}]
    assert {one.setting.name for one in made.states() if one.waiting} == {"device"}


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"quality": 0}, "quality"),
        ({"quality": "much"}, "quality"),
        ({"quality": True}, "quality"),
        ({"previews": "yes"}, "previews"),
        ({"picture_format": "bmp"}, "picture_format"),
        ({"file_pattern": "[nope]"}, "file_pattern"),
        ({"file_pattern": 3}, "file_pattern"),
        ({"outputs_dir": "pictures"}, "outputs_dir"),
        ({"device": "toaster"}, "device"),
        ({"port": 70000}, "port"),
        ({"own_defaults": [{"task": "txt2img", "values": {"colour": 3}}]}, "own_defaults"),
        ({"own_defaults": [{"values": {"steps": 3}}]}, "own_defaults"),
        (
            {"own_defaults": [{"task": "a", "values": {}}, {"task": "a", "values": {}}]},
            "own_defaults",
        ),
        ({"qualty": 5}, "qualty"),
    ],
)
def test_a_wrong_value_changes_nothing(tmp_path, values, field):
    made, kept = at(tmp_path)
    with pytest.raises(RequestError) as caught:
        made.change({"previews": False, **values})
    assert caught.value.field == field
    assert made.current().previews is True and kept == []


def test_what_cannot_be_kept_does_not_hold(tmp_path):
    def full(values):
        raise EaselError("no room")

    made = Preferences(Settings.at(tmp_path), None, full)
    with pytest.raises(EaselError, match="no room"):
        made.change({"previews": False})
    assert made.current().previews is True
    assert not any(one.changed for one in made.states())


def test_what_the_file_holds_wrong_is_told_and_the_rest_holds(tmp_path):
    saved = {"quality": 1000, "previews": False, "of_a_later_version": [1]}
    made, kept = at(tmp_path, saved)
    assert made.settings.quality == 90 and made.settings.previews is False
    assert len(made.problems) == 1 and "quality" in made.problems[0]
    made.change({"quality": 70})
    assert kept == [{"previews": False, "of_a_later_version": [1], "quality": 70}]


def test_every_setting_is_a_field_and_its_default_reads(tmp_path):
    made, _ = at(tmp_path)
    for state in made.states():
        assert state.setting.read(state.default) == state.default
        assert state.setting.group in GROUPS
        assert not state.changed and not state.waiting


def test_every_flag_is_an_option_of_the_command_line():
    values = {"--device": "cpu", "--dtype": "float32", "--attention": "sdpa"}
    switches = ("--deterministic", "--offline")
    for setting in SETTINGS:
        if setting.flag:
            words = (
                [setting.flag]
                if setting.flag in switches
                else [setting.flag, values.get(setting.flag, "5")]
            )
            assert read(words).settings.fixed == {setting.name}
