"""`<lora:name:strength>` in prompts: found, read, and taken out of the words that the text encoder sees."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["Tag", "take"]

TAG = re.compile(r"<(lora|lyco):([^>]+)>", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Tag:
    """An adapter that a prompt asks for, with its strengths in the text encoders and in the UNet."""

    name: str
    text: float
    unet: float


def take(prompt: str) -> tuple[str, list[Tag], list[str]]:
    """The prompt without its tags, the tags in order, and sentences about those that cannot be read.

    `<lora:name>` is strength 1, `<lora:name:0.8>` both strengths, `<lora:name:te:unet>` each; `te=` and `unet=` may
    name them. A name that comes twice counts with its first strengths, as A1111 has it.
    """
    tags: dict[str, Tag] = {}
    notes: list[str] = []
    for found in TAG.finditer(prompt):
        name, *rest = found[2].split(":")
        try:
            tag = _tag(name.strip(), rest)
        except ValueError:
            notes.append(f"{found[0]} is not understood: write <lora:name:strength>")
            continue
        tags.setdefault(tag.name, tag)
    return TAG.sub("", prompt), list(tags.values()), notes


def _tag(name: str, rest: list[str]) -> Tag:
    named = dict(part.split("=", 1) for part in rest if "=" in part)
    plain = [float(part) for part in rest if "=" not in part]
    if not name or len(plain) > 3 or set(named) - {"te", "unet", "dyn"}:
        raise ValueError(name)
    text = float(named.get("te", plain[0] if plain else 1.0))
    unet = float(named.get("unet", plain[1] if len(plain) > 1 else text))
    return Tag(name, text, unet)
