"""Requests as versioned JSON: what a job needs to be made again after a restart, pictures as files beside it."""

from __future__ import annotations

import hashlib
import io
import json
import os
from dataclasses import fields
from pathlib import Path
from types import MappingProxyType
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from webui.errors import EaselError, Sentence
from webui.metadata import texts_of
from webui.opening import open_file
from webui.types import GenerationRequest

__all__ = ["VERSION", "dump", "load"]

VERSION = 1
KEPT = tuple(field.name for field in fields(GenerationRequest))


def dump(request: GenerationRequest, pictures: Path) -> str:
    """The request as JSON. Its pictures are PNG files under `pictures`, named by their content, on disk when
    this returns."""
    values = {name: _out(getattr(request, name), pictures) for name in KEPT}
    return json.dumps({"version": VERSION, "request": values}, ensure_ascii=False)


def load(text: str, pictures: Path | None) -> GenerationRequest:
    """The request that `dump` wrote, its pictures None where `pictures` is.

    What was a field of requests once and is an option by now becomes one of the extras. Raises `EaselError` for another
    version or a picture that is gone, and `RequestError` for values that are no longer valid.
    """
    kept = json.loads(text)
    if kept["version"] != VERSION:
        raise EaselError(
            Sentence(
                "a request of version {kept}; this Easel reads {version}",
                kept=kept["version"],
                version=VERSION,
            )
        )
    values = {name: _in(value, pictures) for name, value in kept["request"].items()}
    fields = {name: value for name, value in values.items() if name in KEPT}
    once = {name: value for name, value in values.items() if name not in KEPT}
    return GenerationRequest(**{**fields, "extras": {**once, **values["extras"]}})


def _out(value: Any, pictures: Path) -> Any:
    if isinstance(value, Image.Image):
        return {"picture": _kept(value, pictures)}
    if isinstance(value, dict | MappingProxyType):
        return {"values": {name: _out(item, pictures) for name, item in value.items()}}
    if isinstance(value, list):
        return [_out(item, pictures) for item in value]
    return value


def _in(value: Any, pictures: Path | None) -> Any:
    match value:
        case {"picture": str()} if pictures is None:
            return None
        case {"picture": str() as name}:
            assert pictures is not None
            try:
                picture = open_file(pictures / Path(name).name)
                picture.load()
            except OSError as fault:
                raise EaselError(
                    Sentence(
                        "a picture of the request is gone: {pictures}", pictures=pictures / name
                    )
                ) from fault
            return picture
        case {"values": dict() as values}:
            return {name: _in(item, pictures) for name, item in values.items()}
        case list():
            return [_in(item, pictures) for item in value]
    return value


def _kept(picture: Image.Image, pictures: Path) -> str:
    """The name of the file that holds a picture and the texts in it; equal ones are kept once."""
    out, chunks = io.BytesIO(), PngInfo()
    for name, text in texts_of(picture).items():
        chunks.add_text(name, text)
    picture.save(out, "PNG", compress_level=1, pnginfo=chunks)
    content = out.getvalue()
    name = hashlib.sha256(content).hexdigest() + ".png"
    path = pictures / name
    if not path.exists():
        pictures.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{os.getpid()}-{name}.part")
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    return name
