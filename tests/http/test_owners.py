"""Whose a job is, and the cookie that says so."""

from __future__ import annotations

import os
import stat

import pytest

from webui.errors import EaselError
from webui.http.owners import cookie_name, cookie_of, owner_of, secret_in, visitor_in

KEY, OTHER = b"k" * 32, b"o" * 32


def test_the_login_wins_over_the_cookie_and_the_cookie_over_the_address():
    cookie = cookie_of(KEY)
    visitor = f"visitor-{visitor_in(cookie, KEY)}"
    assert owner_of("ann", cookie, "10.0.0.1", KEY) == "ann"
    assert owner_of(None, cookie, "10.0.0.1", KEY) == visitor
    assert owner_of(None, None, "10.0.0.1", KEY) == "10.0.0.1"
    assert owner_of(None, None, None, KEY) != ""


def test_nobody_can_write_another_visitors_cookie():
    cookie = cookie_of(KEY)
    visitor, signature = cookie.split(".")
    assert visitor_in(cookie, KEY) == visitor
    other = ("0" if visitor[0] != "0" else "1") + visitor[1:]
    for forged in (
        f"{other}.{signature}",
        f"{visitor}.{signature[:-1]}{'0' if signature[-1] != '0' else '1'}",
        visitor,
        f"{visitor}.",
        cookie.upper(),
        cookie + "\n",
        "é.é",
        "",
        None,
    ):
        assert visitor_in(forged, KEY) is None
    assert visitor_in(cookie, OTHER) is None
    assert cookie_name(KEY) != cookie_name(OTHER)  # two Easels on one machine


def test_visitors_differ():
    assert len({cookie_of(KEY) for _ in range(100)}) == 100


def test_the_key_is_made_once_and_for_our_eyes_only(tmp_path):
    folder = tmp_path / "data"
    key = secret_in(folder)
    assert len(key) == 32 and secret_in(folder) == key
    if os.name == "posix":
        assert stat.S_IMODE((folder / "owner.key").stat().st_mode) == 0o600
    assert [path.name for path in folder.iterdir()] == ["owner.key"]
    (folder / "owner.key").write_bytes(b"half")
    assert secret_in(folder) not in (key, b"half")


def test_a_folder_that_cannot_be_used_is_a_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(EaselError, match=r"owner\.key cannot be used"):
        secret_in(tmp_path / "file")
