"""A model's example prompts, as its easel.json has them: texts, or objects with the picture that becomes of one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from webui.errors import ModelFileError, Sentence
from webui.types import SEED_MAX, Example

__all__ = ["read_prompts"]

KINDS = (".webp", ".png", ".jpg", ".jpeg")


def read_prompts(
    folder: Path, found: object, where: str
) -> tuple[tuple[str, ...], Mapping[str, Example]]:
    """The texts of `prompts`, and their pictures by text. An item is a text, or `{"prompt", "picture", "seed"}`
    with the picture's path below `folder`. Raises `ModelFileError`, which begins with `where`."""
    if not isinstance(found, list):
        raise ModelFileError(Sentence("{where}: 'prompts' is not a list of texts", where=where))
    texts: list[str] = []
    pictures: dict[str, Example] = {}
    for item in found:
        given = item if isinstance(item, dict) else {"prompt": item}
        text = given.get("prompt")
        if not isinstance(text, str):
            raise ModelFileError(Sentence("{where}: 'prompts' is not a list of texts", where=where))
        texts.append(text)
        if "picture" in given:
            pictures[text] = _example(folder, given, where)
    return tuple(texts), MappingProxyType(pictures)


def _example(folder: Path, given: Mapping[str, object], where: str) -> Example:
    name, seed = given["picture"], given.get("seed")
    if not isinstance(name, str) or not name.lower().endswith(KINDS):
        raise ModelFileError(
            Sentence(
                "{where}: the picture {name} is none of {kinds}",
                where=where,
                name=repr(name),
                kinds=", ".join(KINDS),
            )
        )
    if not (folder / name).resolve().is_relative_to(folder.resolve()):
        raise ModelFileError(
            Sentence(
                "{where}: the picture {name} is not in the model's folder",
                where=where,
                name=repr(name),
            )
        )
    whole = isinstance(seed, int) and not isinstance(seed, bool) and 0 <= seed <= SEED_MAX
    if seed is not None and not whole:
        raise ModelFileError(
            Sentence(
                "{where}: the seed {seed} is no whole number from 0", where=where, seed=repr(seed)
            )
        )
    return Example(folder / name, seed if isinstance(seed, int) else None)
