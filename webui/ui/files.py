"""Pictures between a client and the disk: what it may send as a picture, and how it gets one back.

A client's path is opened only where it lies in the folder that Gradio's upload route writes to; no
URL is ever fetched. `webui.ui.pictures` knows the addresses of our own.
"""

from __future__ import annotations

import base64
import binascii
import os
import secrets
import shutil
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from webui.errors import RequestError, Sentence
from webui.ui.gradio_adapter import file_object, upload_folder

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["UPLOAD_BYTES", "data_url", "given_file", "publish", "uploaded"]

UPLOAD_BYTES = 64 * 2**20
KINDS = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".webp": "image/webp",
    ".gif": "image/gif",
}  # what `images.save` makes
HOW = Sentence(
    "send an uploaded file (gradio_client: handle_file) or a data:image/png;base64,... URL"
)


def given_file(value: object, field: str) -> Path | bytes | None:
    """What a client sent for a picture: an uploaded file's path, a data URL's bytes, None for nothing.

    Takes Gradio's file object (`path`, or a data URL in `url`) or a data URL as a string; and a `Path`, which no
    client can send, as it is. Anything else, a path outside the upload folder included, is a `RequestError` of
    `field`.
    """
    if value is None or value == "":
        return None
    if isinstance(value, Path):
        return value
    if isinstance(value, Mapping):
        path, url = value.get("path"), value.get("url")
        if isinstance(path, str) and path and not path.startswith("data:"):
            return uploaded(path, field)
        value = url if isinstance(url, str) else path
    if isinstance(value, str) and value.startswith("data:"):
        return _inline(value, field)
    raise RequestError(Sentence("{field}: that is no picture; {how}", field=field, how=HOW), field)


def uploaded(path: str, field: str) -> Path:
    """The file at a path that a client sent; a `RequestError` of `field` unless it lies where uploads do."""
    folder = upload_folder().resolve()
    try:
        file = Path(path).resolve()
    except (OSError, ValueError):  # a name that no file can have
        file = None
    if file is None or not file.is_relative_to(folder) or not file.is_file():
        raise RequestError(Sentence("{field}: no such upload; {how}", field=field, how=HOW), field)
    return file


def _inline(url: str, field: str) -> bytes:
    head, _, body = url.partition(",")
    if not head.endswith(";base64"):
        raise RequestError(
            Sentence("{field}: the data URL is not base64; {how}", field=field, how=HOW), field
        )
    if len(body) > UPLOAD_BYTES * 4 // 3 + 4:
        raise RequestError(
            Sentence(
                "{field}: larger than {size} MB; use a smaller picture",
                field=field,
                size=UPLOAD_BYTES >> 20,
            ),
            field,
        )
    try:
        return base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError) as error:
        raise RequestError(
            Sentence("{field}: the data URL's base64 is damaged; {how}", field=field, how=HOW),
            field,
        ) from error


def publish(path: Path, links: set[str]) -> dict[str, Any]:
    """Puts a saved picture where Gradio serves files, under a name nobody can guess.

    Returns Gradio's file object; `url` is relative to the page. A hard link where the disk allows it,
    so the bytes are the saved file's own and take no space twice. `links` is the set of files that
    Gradio deletes when they are old; the saved picture stays.
    """
    folder = upload_folder().resolve() / secrets.token_hex(16)
    folder.mkdir(parents=True)
    shown = folder / path.name
    try:
        os.link(path, shown)
    except OSError:  # another disk, or one without links
        shutil.copyfile(path, shown)
    links.add(str(shown))
    return file_object(shown, path.name, KINDS.get(path.suffix, "application/octet-stream"))


def data_url(picture: Image) -> str:
    """A preview as a JPEG data URL: no file, no further request."""
    out = BytesIO()
    picture.convert("RGB").save(out, "JPEG", quality=82)
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode("ascii")
