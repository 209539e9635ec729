"""A job of the queue in its task's form: what it was asked for with, its pictures too."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from webui.defaults import from_request
from webui.errors import EaselError, RequestError
from webui.registry import Catalog
from webui.sentences import Sentence
from webui.types import EngineFace, GenerationRequest, JobStatus, Mask, Picture
from webui.ui.canvas import NOTHING
from webui.ui.gradio_adapter import file_object, upload_folder
from webui.ui.tab import Tab

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["form_of"]

GONE = Sentence("The pictures that this job was given are no longer there.")


def form_of(
    job: JobStatus, tab: Tab, engine: EngineFace, catalog: Catalog
) -> tuple[dict[str, Any], list[str]]:
    """The values of a job's form, as `Forms.fill` takes them, and sentences about what is not here any more.
    Writes its pictures where uploads lie: not for an event loop's own thread."""
    request, notes = job.request, []
    controls = tab.task.flat_controls()
    if any(isinstance(control, Picture) for control in controls):
        try:
            request = engine.request(job.id)
        except RequestError:
            raise
        except EaselError:
            notes.append(GONE)
    taken = from_request(request, tab.task, catalog)
    values = dict(taken.values)
    masks = {control.over: control.name for control in controls if isinstance(control, Mask)}
    for control in controls:
        if isinstance(control, Picture):
            image = _picture(request, control.name)
            mask = _picture(request, masks.get(control.name, ""))
            values[control.name] = dict(NOTHING) if image is None else _given(image, mask)
    return values, [*notes, *taken.notes]


def _picture(request: GenerationRequest, name: str) -> Image | None:
    found = getattr(request, name, None) or request.extras.get(name)
    return found


def _given(image: Image, mask: Image | None) -> Mapping[str, Any]:
    """The value of a picture's component (`webui.ui.canvas`)."""
    file: dict[str, Any] = _uploaded(image)
    return {
        "image": {**file, "sized": True},
        "mask": "" if mask is None else _uploaded(mask),
        "width": image.width,
        "height": image.height,
    }


def _uploaded(picture: Image) -> dict[str, str]:
    """A picture as if it had been uploaded, under a name that nobody can guess."""
    folder = upload_folder().resolve() / secrets.token_hex(16)
    folder.mkdir(parents=True)
    file = folder / "picture.png"
    picture.save(file, "PNG", compress_level=1)
    found = file_object(file, file.name, "image/png")
    return {"path": found["path"], "url": found["url"]}
