"""What clients send: read within limits, parsed, its pictures decoded from base64. What values mean is
`webui.defaults`' to know."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any, NoReturn

from anyio import to_thread
from starlette.requests import ClientDisconnect, Request

from webui.defaults import FIELDS
from webui.errors import EaselError, RequestError, Sentence
from webui.types import Mask, Picture, Task

__all__ = ["PICTURE_BYTES", "TooLarge", "parsed", "with_pictures"]

PICTURE_BYTES = 64 * 2**20
AT_ONCE = 2**16  # bytes that are read in no time; what is larger holds nobody up
BODY_BYTES = 2 * (PICTURE_BYTES * 4 // 3) + 2**20  # a picture and a mask as base64, and words
HOW = Sentence("send base64, or a data:image/png;base64,... URL")


class TooLarge(EaselError):
    """The body is larger than anything that could be meant."""


async def parsed(request: Request) -> dict[str, Any]:
    """The JSON object that a request carries. Raises `TooLarge`, and `RequestError` for what is none."""
    length = request.headers.get("content-length", "0")
    parts, size = [], int(length) if length.isdigit() else 0
    if size <= BODY_BYTES:
        size = 0
        try:
            async for part in request.stream():
                size += len(part)
                if size > BODY_BYTES:
                    break
                parts.append(part)
        except (
            ClientDisconnect
        ):  # nobody reads the answer; as a fault of ours it would fill the log
            raise RequestError(
                Sentence("the connection ended before the whole body had come")
            ) from None
    if size > BODY_BYTES:
        raise TooLarge(
            Sentence("more than {body_bytes} MB; use smaller pictures", body_bytes=BODY_BYTES >> 20)
        )
    content = b"".join(parts)
    return _object(content) if size <= AT_ONCE else await to_thread.run_sync(_object, content)


def _object(content: bytes) -> dict[str, Any]:
    try:
        body = json.loads(content, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise RequestError(Sentence("the body is not JSON")) from None
    if not isinstance(body, dict):
        raise RequestError(Sentence("the body must be a JSON object"))
    return body


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def with_pictures(task: Task, values: Mapping[str, Any]) -> dict[str, Any]:
    """`values` with the bytes of its pictures, among `extras` too, in the place of their base64."""
    found = dict(values)
    if isinstance(found.get("extras"), Mapping):
        found["extras"] = dict(found["extras"])
    for control in task.flat_controls():
        if isinstance(control, Picture | Mask):
            where = found if control.name in FIELDS else found.get("extras")
            if isinstance(where, dict) and where.get(control.name) is not None:
                where[control.name] = _decoded(where[control.name], control.name)
    return found


def _decoded(value: object, field: str) -> bytes:
    if not isinstance(value, str) or not value:
        raise RequestError(
            Sentence("{field}: that is no picture; {how}", field=field, how=HOW), field
        )
    if value.startswith("data:"):
        head, _, value = value.partition(",")
        if not head.endswith(";base64"):
            raise RequestError(
                Sentence("{field}: the data URL is not base64; {how}", field=field, how=HOW), field
            )
    value = "".join(value.split())  # `base64` breaks lines
    if len(value) > PICTURE_BYTES * 4 // 3 + 4:
        large = Sentence(
            "larger than {megabytes} MB; use a smaller picture", megabytes=PICTURE_BYTES >> 20
        )
        raise RequestError(Sentence("{field}: {large}", field=field, large=large), field)
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise RequestError(
            Sentence("{field}: the base64 is damaged; {how}", field=field, how=HOW), field
        ) from None
