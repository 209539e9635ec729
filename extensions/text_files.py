"""Writes what a picture was made with into a text file beside it."""

from __future__ import annotations

from webui.api import GenerationRequest, Group, SavedPicture, Switch, hookimpl

__version__ = "1.0"
NEEDS_API = ">=1.0,<2"

SWITCH = Switch(
    name="text_files",
    label="Text file beside the picture",
    default=False,
    info="The settings that are in the picture, for programs that read text",
)


@hookimpl
def register_controls() -> list[Group]:
    return [Group("Saving", (SWITCH,))]


@hookimpl
def image_saved(picture: SavedPicture, request: GenerationRequest) -> None:
    if request.extras.get(SWITCH.name):
        beside = picture.path.with_suffix(".txt")
        beside.write_text(picture.parameters + "\n", encoding="utf-8")
