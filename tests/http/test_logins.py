"""HTTP Basic, as real clients write it."""

from __future__ import annotations

import base64

import httpx
import pytest

from webui.http.logins import named

LOGINS = (("ann", "one"), ("bob", "a:b"), ("zoë", "é"))


def written(user: str, password: str) -> str:
    """The header that httpx sends."""
    request = httpx.Request("GET", "http://x")
    return next(httpx.BasicAuth(user, password).auth_flow(request)).headers["Authorization"]


@pytest.mark.parametrize(("user", "password"), LOGINS)
def test_a_login_is_known_by_its_name_and_password(user, password):
    assert named(written(user, password), LOGINS) == user
    assert named(written(user, password).replace("Basic", "basic"), LOGINS) == user


@pytest.mark.parametrize(
    "header",
    [
        written("ann", "a:b"),
        written("ann", "one "),
        written("ann", ""),
        written("", ""),
        written("ann:one", ""),
        "Bearer " + base64.b64encode(b"ann:one").decode(),
        "Basic",
        "Basic ann:one",
        "Basic \xe9\xe9\xe9\xe9",
        "Basic " + base64.b64encode(b"ann").decode(),
        "Basic " + base64.b64encode(b"\xff\xfe:\xff").decode(),
        "",
    ],
)
def test_anything_else_is_nobody(header):
    assert named(header, LOGINS) is None
