"""`<lora:name:strength>` and `<hypernet:name:strength>` in prompts: found, read, and taken out of the words that the
text encoder sees."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["Tag", "take"]

TAG = re.compile(r"<(lora|lyco|hypernet):([^>]+)>", re.IGNORECASE)
STRENGTH = re.compile(
    r"\s*((te|unet|dyn)=)?[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d{1,2})?\s*", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Tag:
    """An adapter that a prompt asks for, with its strengths in the text encoders and in the UNet. `kind` is "lora" or
    "hypernet"."""

    name: str
    text: float
    unet: float
    kind: str = "lora"


def take(prompt: str) -> tuple[str, list[Tag], list[str]]:
    """The prompt without its tags, the tags in order, and sentences about those that cannot be read.

    `<lora:name>` is strength 1, `<lora:name:0.8>` both strengths, `<lora:name:te:unet>` each; `te=` and `unet=` may
    name them. What is no strength belongs to the name, which may have colons. A name that comes twice counts with its
    first strengths, as A1111 has it.
    """
    tags: dict[tuple[str, str], Tag] = {}
    notes: list[str] = []
    for found in TAG.finditer(prompt):
        parts = found[2].split(":")
        count = len(parts)  # of the parts that are the name
        while count > 1 and STRENGTH.fullmatch(parts[count - 1]):
            count -= 1
        name = ":".join(parts[:count]).strip()
        kind = "hypernet" if found[1].lower() == "hypernet" else "lora"
        tag = _tag(kind, name, parts[count:]) if name else None
        if tag is None:
            notes.append(f"{found[0]} is not understood: write <{kind}:name:strength>")
        else:
            tags.setdefault((kind, tag.name), tag)
    return TAG.sub("", prompt), list(tags.values()), notes


def _tag(kind: str, name: str, strengths: list[str]) -> Tag | None:
    """None where there are more strengths than have a meaning."""
    named = dict(part.strip().split("=", 1) for part in strengths if "=" in part)
    plain = [float(part) for part in strengths if "=" not in part]
    if len(plain) > 3:
        return None
    text = float(named.get("te", plain[0] if plain else 1.0))
    unet = float(named.get("unet", plain[1] if len(plain) > 1 else text))
    return Tag(name, text, unet, kind)
