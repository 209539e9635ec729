"""Every error that Easel raises on purpose, by whose fault it is.

The message is one sentence for the person who can act on it: what is wrong, what to do. Faces show it
as it is; anything that is not an `EaselError` is a bug of ours and is shown as such.
"""

__all__ = ["CapacityError", "EaselError", "ExtensionError", "ModelFileError", "RequestError"]

SENTENCE_MAX = 2000  # characters


class EaselError(Exception):
    """The base: catch this to catch everything that Easel says on purpose."""


class RequestError(EaselError):
    """The caller's: a value of the request is wrong. `field` names the parameter where there is one.

    A sentence that names a value of megabytes loses its middle: what is wrong and what to do stand at its ends.
    """

    def __init__(self, message: str, field: str | None = None) -> None:
        if len(message) > SENTENCE_MAX:
            message = f"{message[: SENTENCE_MAX // 2]} ... {message[-SENTENCE_MAX // 2 :]}"
        super().__init__(message)
        self.field = field


class ModelFileError(EaselError):
    """The file's: a model's file is missing, damaged or of a kind that cannot be loaded."""


class ExtensionError(EaselError):
    """An extension's: names the extension and the hook that failed."""

    def __init__(self, extension: str, hook: str, message: str) -> None:
        super().__init__(f"extension {extension!r}, {hook}: {message}")
        self.extension = extension
        self.hook = hook


class CapacityError(EaselError):
    """Too much for this machine: says what would fit."""
