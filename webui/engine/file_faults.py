"""Whose fault it is when a model's files make something fail that no check foresaw."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from webui.engine.memory import out_of_memory
from webui.errors import EaselError, ModelFileError, Sentence

__all__ = ["files_blamed"]

log = logging.getLogger(__name__)


@contextmanager
def files_blamed(model: str, how: str) -> Iterator[None]:
    """A boundary: what no check foresaw of a model's files is told as their fault, and not as nobody's."""
    try:
        yield
    except Exception as error:
        ending = "interpreter shutdown" in str(error)  # Easel ends while a model is loaded
        if isinstance(error, EaselError) or out_of_memory(error) or ending:
            raise
        log.exception("model %s cannot be %s", model, how)
        why = next(iter(str(error).splitlines()), "") or "no reason told"
        raise ModelFileError(
            Sentence(
                "model {model}: its files cannot be {how} ({name}: {why}); they are "
                "damaged, or made for something else than they say",
                model=repr(model),
                how=how,
                name=type(error).__name__,
                why=why[:200],
            )
        ) from error
