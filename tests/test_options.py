"""The command line as data: what is meant, and the sentence for what cannot be."""

from __future__ import annotations

import pytest

from webui.errors import RequestError
from webui.options import read
from webui.settings import ROOT, Settings


def test_nothing_given_is_the_page_with_default_settings():
    line = read([])
    assert line.command == "serve" and line.rest == () and line.browser and not line.help
    given = {name: getattr(line.settings, name) for name in Settings.__dataclass_fields__}
    default = {name: getattr(Settings.at(ROOT), name) for name in Settings.__dataclass_fields__}
    assert given == default


def test_folders_add_to_the_shipped_ones(tmp_path):
    more = tmp_path / "more"
    more.mkdir()
    settings = read(["--models-dir", str(more), "--data-dir", str(tmp_path / "d")]).settings
    assert settings.models_dirs == (ROOT / "models", tmp_path / "d" / "models", more)
    assert settings.outputs_dir == tmp_path / "d" / "outputs"


def test_relative_folders_are_fixed_at_the_start(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = read(["--outputs-dir", "out", "--data-dir", "."]).settings
    monkeypatch.chdir(ROOT)
    assert settings.outputs_dir == tmp_path / "out"
    assert settings.data_dir == tmp_path


@pytest.mark.parametrize(
    ("argv", "host"),
    [([], "127.0.0.1"), (["--listen"], "0.0.0.0"), (["--listen", "--host", "::1"], "::1")],
)
def test_only_listen_or_host_open_the_door(argv, host):
    assert read(argv).settings.host == host


def test_options_stand_before_or_behind_the_command():
    for argv in (
        ["--device", "cuda:1", "--dtype", "float16", "generate", "a cat", "--steps", "3"],
        ["generate", "a cat", "--steps", "3", "--dtype", "float16", "--device", "cuda:1"],
    ):
        line = read(argv)
        assert line.command == "generate" and line.rest == ("a cat", "--steps", "3")
        assert (line.settings.device, line.settings.dtype) == ("cuda:1", "float16")


def test_train_and_test_keep_their_own_arguments():
    assert read(["train", "--device", "cpu", "-h"]).rest == ("--device", "cpu", "-h")
    assert read(["test", "-k", "x", "--port"]).rest == ("-k", "x", "--port")


def test_help_is_of_the_command():
    assert (read(["generate", "-h"]).command, read(["generate", "-h"]).help) == ("generate", True)
    assert (read(["--help"]).command, read(["--help"]).help) == ("serve", True)


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["--prot", "1"], "did you mean '--port'"),
        (["doctor", "--modelsdir", "x"], "did you mean '--models-dir'"),
        (["--port", "70000"], "port 70000"),
        (["--port", "http"], "--port"),
        (["--device", "gpu"], "cuda:N"),
        (["--dtype", "int8"], "int8"),
        (["--attention", "flash"], "flash"),
        (["--models-dir", "/nowhere/at/all"], "--models-dir /nowhere/at/all: no such folder"),
        (["--extensions-dir", "/nowhere"], "--extensions-dir /nowhere: no such folder"),
        (["--share"], "later version"),
        (["--auth", "secret"], "--auth, login 1: give USER:PASS"),
        (["--auth", "me:secret,:secret"], "--auth, login 2"),
        (["--auth", "me:secret", "--auth", "you:"], "--auth, login 2"),
        (["--auth", "me:secret", "--auth", "me:other"], "me is there twice"),
    ],
)
def test_what_cannot_be_meant_is_one_sentence(argv, sentence):
    with pytest.raises(RequestError, match=sentence) as caught:
        read(argv)
    assert "\n" not in str(caught.value) and "secret" not in str(caught.value)


def test_extensions_are_chosen_by_options(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    words = "--extensions-dir one --extensions-dir two --no-extension a --no-extension b --no-extension a"
    settings = read([*words.split(), "--safe-mode"]).settings
    assert settings.extensions_dirs == (tmp_path / "one", tmp_path / "two")
    assert settings.without_extensions == ("a", "b")
    assert settings.safe_mode and not read([]).settings.safe_mode


def test_a_command_that_is_not_known_here_may_be_a_task():
    line = read(["--safe-mode", "morph", "a cat", "--steps", "3"])
    assert (line.command, line.rest) == ("morph", ("a cat", "--steps", "3"))
    assert read(["ext", "list", "--json"]).rest == ("list", "--json")


def test_logins_come_one_by_one_or_with_commas():
    line = read(["jobs", "list", "--auth", "ann:secret,bob:a:b", "--auth", "zoë: é "])
    assert line.logins == (("ann", "secret"), ("bob", "a:b"), ("zoë", " é "))
    assert (line.command, line.rest) == ("jobs", ("list",)) and read([]).logins == ()
    assert "secret" not in repr(line)
