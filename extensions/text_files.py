"""Writes what a picture was made with into a text file beside it."""

from __future__ import annotations

from webui.api import EaselError, GenerationRequest, Group, SavedPicture, Sentence, Switch, hookimpl

__version__ = "1.0"
TITLE = "Text files"
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
        beside, text = picture.path.with_suffix(".txt"), picture.parameters + "\n"
        try:
            with open(beside, "x", encoding="utf-8") as file:
                file.write(text)
        except FileExistsError:  # ours, where a picture is told of once more; else somebody's
            if beside.read_bytes().replace(b"\r\n", b"\n") != text.encode("utf-8"):
                raise EaselError(
                    Sentence("{beside} was there already: it stays as it is", beside=beside)
                ) from None
