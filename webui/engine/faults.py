"""What is told of an error, and what the machine lacks for a while. Knows no job and no tensor."""

from __future__ import annotations

from webui.errors import EaselError, Sentence, lacking

__all__ = ["AGAIN_S", "LACKING", "NO_MEMORY", "as_exception", "sentence"]

AGAIN_S = 10.0  # how often it is tried again what the machine lacks something for
LACKING = {
    "files": Sentence(
        "Too many files are open on this machine: this is tried again every ten seconds"
    ),
    "disk": Sentence("The disk is full: make some space, and this goes on"),
}
NO_MEMORY = Sentence("There is not enough memory to save a picture: this is tried once more")


def sentence(error: BaseException) -> str:
    """What to show of an error: its own sentence if it was raised on purpose, else its kind as well."""
    if isinstance(error, EaselError):
        return str(error)
    if lack := lacking(error):
        return LACKING[lack]
    return Sentence(
        "internal error ({kind}: {error}); the log has more",
        kind=type(error).__name__,
        error=str(error),
    )


def as_exception(error: BaseException) -> Exception:
    """An error that ends a job alone, where code meant to end a thread or the process with it."""
    return (
        error if isinstance(error, Exception) else RuntimeError(f"{type(error).__name__}: {error}")
    )
