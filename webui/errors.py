"""Every error that Easel raises on purpose, by whose fault it is.

The message is one sentence for the person who can act on it: what is wrong, what to do. Faces show it
as it is, or where it is a `Sentence`, in a language of theirs; anything that is not an `EaselError` is a bug of ours
and is shown as such.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from typing import Literal

from webui.sentences import Sentence

__all__ = [
    "CapacityError",
    "EaselError",
    "ExtensionError",
    "ModelFileError",
    "RequestError",
    "Sentence",
    "UnknownCallError",
    "causes",
    "lacking",
]

SENTENCE_MAX = 2000  # characters


class EaselError(Exception):
    """The base: catch this to catch everything that Easel says on purpose."""


class RequestError(EaselError):
    """The caller's: a value of the request is wrong. `field` names the parameter where there is one.

    A sentence that names a value of megabytes loses its middle: what is wrong and what to do stand at its ends.
    """

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(_shortened(message))
        self.field = field


def _shortened(message: str) -> str:
    if len(message) <= SENTENCE_MAX:
        return message
    if isinstance(message, Sentence) and message.values:
        room = SENTENCE_MAX // len(message.values)
        values = {
            name: _cut(value, room) if isinstance(value, str) else value
            for name, value in message.values.items()
        }
        return Sentence(message.key, **values)
    return _cut(message, SENTENCE_MAX)


def _cut(text: str, room: int) -> str:
    return text if len(text) <= room else f"{text[: room // 2]} ... {text[-room // 2 :]}"


class ModelFileError(EaselError):
    """The file's: a model's file is missing, damaged or of a kind that cannot be loaded."""


class ExtensionError(EaselError):
    """An extension's: names the extension and the hook that failed."""

    def __init__(self, extension: str, hook: str, message: str) -> None:
        super().__init__(f"extension {extension!r}, {hook}: {message}")
        self.extension = extension
        self.hook = hook


class UnknownCallError(EaselError):
    """A task's: it yielded something that the engine has no entry for in its table of calls."""


class CapacityError(EaselError):
    """Too much for this machine: says what would fit."""


# --- What is nobody's fault, and passes ------------------------------------------------------------

FILES = (errno.EMFILE, errno.ENFILE)
DISK = (errno.ENOSPC, errno.EDQUOT)
FILES_TEXT = ("Too many open files",)  # libraries that hand on the system's words alone
DISK_TEXT = ("No space left on device", "Disk quota exceeded", "database or disk is full")


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error, what it was raised from, and so on."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def lacking(error: BaseException | None) -> Literal["", "files", "disk"]:
    """What the machine lacks for now, where that is why something failed: open files, or space on the disk.

    It comes back, so whoever meets it tries again, and counts nothing against anybody.
    """
    for one in causes(error):
        if isinstance(one, OSError) and one.errno in FILES:
            return "files"
        if isinstance(one, OSError) and one.errno in DISK:
            return "disk"
        if isinstance(one, RequestError):  # its words may be a person's
            continue
        text = str(one)
        if any(words in text for words in FILES_TEXT):
            return "files"
        if any(words in text for words in DISK_TEXT):
            return "disk"
    return ""
