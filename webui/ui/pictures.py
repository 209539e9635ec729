"""Where the page finds pictures: at routes of our own, which know whose they are. Nothing is fetched from anywhere.

Knows the gallery's pictures and the engine's jobs; opens no file.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import gradio as gr

from webui.errors import RequestError, Sentence
from webui.types import EngineFace, GalleryFace, SavedPicture
from webui.ui.visitors import Visitors

__all__ = ["OwnPictures"]

IN_GALLERY = re.compile(r"/?api/pictures/(\d{1,18})/file")
IN_JOB = re.compile(r"/?api/jobs/([\w-]{1,64})/images/(\d{1,6})")


@dataclass(frozen=True, slots=True)
class OwnPictures:
    """The addresses of saved pictures, and the files of such addresses. Asks a database and the disk: not for an
    event loop's own thread."""

    engine: EngineFace
    gallery: GalleryFace | None = None
    visitors: Visitors = field(default_factory=Visitors)

    def links(self, job: str, picture: SavedPicture) -> dict[str, Any] | None:
        """`url`, `thumbnail`, and where the gallery knows the picture its `id` and whether it is a `favourite`;
        None where its file is gone. The routes ask again who may see it."""
        if not picture.path.is_file():
            return None
        kept = self.gallery.at(picture.path) if self.gallery is not None else None
        if kept is None:
            url = f"api/jobs/{job}/images/{picture.index}"
            if not picture.is_picture:
                card = _card(picture.path)
                return {"id": 0, "url": url, "thumbnail": card, "look": card, "favourite": False}
            return {"id": None, "url": url, "thumbnail": url, "favourite": False}
        return {
            "id": kept.id,
            "url": kept.url,
            "thumbnail": kept.thumbnail_url,
            "favourite": kept.favourite,
        }

    def file(self, url: str, request: gr.Request) -> Path | None:
        """The file behind an address of our own, for whoever sent `request`; None for any other address.

        Raises `RequestError` where there is no such picture for them.
        """
        try:
            parts = urlsplit(url)
        except ValueError:
            return None
        if parts.scheme or parts.netloc:
            return None
        if found := IN_GALLERY.fullmatch(parts.path):
            if self.gallery is None:
                return None
            limit = self.visitors.of(request).limit
            return there(self.gallery.get(int(found[1]), limit).path)
        if found := IN_JOB.fullmatch(parts.path):
            status = self.visitors.status(self.engine, found[1], request)
            number = int(found[2])
            return there(next((p.path for p in status.pictures if p.index == number), None))
        return None

    def opened(self, value: Any, name: str, request: gr.Request) -> Any:
        """A component's value as the browser sent it, with the file in place of an address of our own.

        Raises `RequestError` of the control `name` where that picture is not there.
        """
        image = value.get("image") if isinstance(value, Mapping) else None
        if not isinstance(image, Mapping) or image.get("path"):
            return value
        url = image.get("url")
        try:
            file = self.file(url, request) if isinstance(url, str) else None
        except RequestError as error:
            raise RequestError(Sentence("{name}: {why}", name=name, why=error), name) from None
        return value if file is None else {**value, "image": file}


def _card(path: Path) -> str:
    """What stands on the page for a file that is no picture: its name's ending, as a drawing's data URL."""
    ending = html.escape("".join(path.suffixes[-2:])[:20] or "?")
    drawing = (
        '<svg xmlns="http://www.w3.org/2000/svg" width="512" height="512"><rect width="512" height="512" fill="#888"/>'
        '<text x="256" y="276" font-size="64" font-family="sans-serif" text-anchor="middle" fill="#fff">'
        f"{ending}</text></svg>"
    )
    return f"data:image/svg+xml,{quote(drawing)}"


def there(path: Path | None) -> Path:
    if path is None or not path.is_file():
        raise RequestError(Sentence("this picture is no longer there; choose another"))
    return path
