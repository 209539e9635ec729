"""Whose a job is: the login's, else that of whoever holds a cookie of ours, else the address's.

The cookie says nothing but which visitor this is, and is signed, so that nobody can write another's. Its key is
a file that only we may read.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
from pathlib import Path

from webui.errors import EaselError
from webui.types.visitors import NOBODY, VISITOR

__all__ = ["cookie_name", "cookie_of", "owner_of", "secret_in", "visitor_in"]

KEY_BYTES = 32
COOKIE = re.compile(r"([0-9a-f]{12})\.([0-9a-f]{64})")


def owner_of(login: str | None, cookie: str | None, address: str | None, key: bytes) -> str:
    """Whose the jobs of a request are. A cookie that we did not sign counts for nothing."""
    if login is not None:
        return login
    visitor = visitor_in(cookie, key)
    return f"{VISITOR}{visitor}" if visitor else address or NOBODY


def cookie_name(key: bytes) -> str:
    """The cookie's name: another for each key, as browsers give a cookie to every port of a machine."""
    return "easel_owner_" + hashlib.sha256(b"name" + key).hexdigest()[:6]


def cookie_of(key: bytes) -> str:
    """A cookie for a new visitor."""
    visitor = secrets.token_hex(6)
    return f"{visitor}.{_signature(visitor, key)}"


def visitor_in(cookie: str | None, key: bytes) -> str | None:
    """The visitor that a cookie of ours names, else None."""
    found = COOKIE.fullmatch(cookie or "")
    if found is None or not hmac.compare_digest(found[2], _signature(found[1], key)):
        return None
    return found[1]


def _signature(visitor: str, key: bytes) -> str:
    return hmac.new(key, visitor.encode("ascii"), hashlib.sha256).hexdigest()


def secret_in(folder: Path) -> bytes:
    """The key for cookies in `folder`/owner.key, made at first use, for this user's eyes only.

    One of another length is replaced: visitors then count as new ones. Raises `EaselError` where nothing can be
    read or written.
    """
    path = folder / "owner.key"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if path.exists() and len(key := path.read_bytes()) == KEY_BYTES:
            return key
        key = secrets.token_bytes(KEY_BYTES)
        part = path.with_name(f".{os.getpid()}-{path.name}.part")
        part.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        with open(os.open(part, flags, 0o600), "wb") as file:
            file.write(key)
        os.replace(part, path)
    except OSError as fault:
        raise EaselError(f"{path} cannot be used: {fault.strerror}") from fault
    return key
