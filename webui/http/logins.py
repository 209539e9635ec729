"""Logins as HTTP Basic brings them, compared so that the time taken tells nothing."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Sequence

__all__ = ["Logins", "named"]

Logins = Sequence[tuple[str, str]]  # (user, password)


def named(authorization: str, logins: Logins) -> str | None:
    """The user whose name and password an `Authorization` header has, else None."""
    kind, _, credentials = authorization.partition(" ")
    if kind.lower() != "basic":
        return None
    try:
        given, _, password = base64.b64decode(credentials, validate=True).partition(b":")
    except (binascii.Error, ValueError):  # ValueError: not ASCII
        return None
    found = None
    for user, secret in logins:  # all of them, whichever it is
        same_user = hmac.compare_digest(given, user.encode("utf-8"))
        same_secret = hmac.compare_digest(password, secret.encode("utf-8"))
        if same_user & same_secret:
            found = user
    return found
