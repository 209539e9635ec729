"""`<lora:name:strength>` and `<hypernet:name:strength>` in prompts: found, read, and taken out of the words that the
text encoder sees."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["STRENGTH_MAX", "Tag", "extract_network_tags"]

OPEN = re.compile(r"<(lora|lyco|hypernet):", re.IGNORECASE)
NUMBER = re.compile(
    r"[+-]?(?:(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:e[+-]?\d+)?|inf|infinity|nan)", re.IGNORECASE
)
NAMED = re.compile(r"\s*(\w+)\s*=(.*)", re.DOTALL)
STRENGTH_MAX = 1000
SHOWN = 80  # characters of a tag in a sentence


@dataclass(frozen=True, slots=True)
class Tag:
    """An adapter that a prompt asks for, with its strengths in the text encoders and in the UNet. `kind` is "lora" or
    "hypernet", `notes` are sentences about options that mean nothing here."""

    name: str
    text: float
    unet: float
    kind: str = "lora"
    notes: tuple[str, ...] = ()


def extract_network_tags(prompt: str) -> tuple[str, list[Tag], list[str]]:
    """The prompt without its tags, the tags in order, and sentences about those that cannot be meant.

    `<lora:name>` is strength 1, `<lora:name:0.8>` both strengths, `<lora:name:te:unet>` each; `te=` and `unet=` may
    name them. What stands before the first number or option is the name, which may have colons. Options of other
    programs (`lbw=...`, `dyn=8`, further numbers) are told and do nothing. A name that comes twice counts with its
    first strengths, as A1111 has it.
    """
    words: list[str] = []
    tags: dict[tuple[str, str], Tag] = {}
    faults: list[str] = []
    at = 0
    for start, end, kind, body in _found(prompt):
        words.append(prompt[at:start])
        at = end
        tag = _tag(kind, body, _shown(prompt[start:end]))
        if isinstance(tag, Tag):
            tags.setdefault((kind, tag.name), tag)
        else:
            faults.append(tag)
    return "".join([*words, prompt[at:]]), list(tags.values()), faults


def _found(prompt: str) -> Iterator[tuple[int, int, str, str]]:
    """Where each tag begins and ends, its kind, and what it says. One that is never closed is none, and neither is
    what stands before another tag's beginning."""
    opened: re.Match[str] | None = None
    for found in OPEN.finditer(prompt):
        if opened is not None and (end := prompt.find(">", opened.end(), found.start())) > 0:
            yield from _closed(prompt, opened, end)
        opened = found
    if opened is not None and (end := prompt.find(">", opened.end())) > 0:
        yield from _closed(prompt, opened, end)


def _closed(prompt: str, opened: re.Match[str], end: int) -> Iterator[tuple[int, int, str, str]]:
    kind = "hypernet" if opened[1].lower() == "hypernet" else "lora"
    if end > opened.end():
        yield opened.start(), end + 1, kind, prompt[opened.end() : end]


def _tag(kind: str, body: str, shown: str) -> Tag | str:
    """A tag, or the sentence that says why it is none."""
    parts = body.split(":")
    options = [part.strip() for part in parts[1:]]
    meant = [not one or NUMBER.fullmatch(one) or NAMED.match(one) for one in options]
    count = 1 + next((i for i, is_option in enumerate(meant) if is_option), len(options))
    name = ":".join(parts[:count]).strip()  # which `count` of the parts are
    if not name:
        return f"{shown} is not understood: write <{kind}:name:strength>"
    strengths: dict[str, float] = {}
    plain = 0  # strengths without a name so far
    unknown: list[str] = []
    for option in options[count - 1 :]:
        named = NAMED.fullmatch(option)
        said = named[2].strip() if named else option
        key = named[1].lower() if named else ("te", "unet", "dyn")[plain] if plain < 3 else ""
        number = NUMBER.fullmatch(said)
        plain += named is None
        if number is None or key not in ("te", "unet"):
            unknown += [option] if option else []
            continue
        value = float(said.replace(",", "."))
        if not abs(value) <= STRENGTH_MAX:  # nor is it a number
            return f"{shown}: the strength {said[:20]} is too large; use -{STRENGTH_MAX} to {STRENGTH_MAX}"
        strengths[key] = value
    text = strengths.get("te", 1.0)
    notes = tuple(f"{shown}: “{_shown(one)}” is not known here and does nothing" for one in unknown)
    return Tag(name, text, strengths.get("unet", text), kind, notes)


def _shown(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
