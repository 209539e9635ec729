"""`<lora:name:strength>` and `<hypernet:name:strength>`: where they stand in a prompt, and what they say."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["STRENGTH_MAX", "Argument", "Tag", "tags_in"]

OPEN = re.compile(r"<(lora|lyco|hypernet):", re.IGNORECASE)
NUMBER = re.compile(
    r"[+-]?(?:(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:e[+-]?\d+)?|inf|infinity|nan)", re.IGNORECASE
)
NAMED = re.compile(r"\s*(\w+)\s*=(.*)", re.DOTALL)
STRENGTH_MAX = 1000
SHOWN = 80  # characters of a tag in a sentence


@dataclass(frozen=True, slots=True)
class Argument:
    """What stands behind a name in a tag: `0.8` (without a name), `te=0.5`, `lbw=1,0,0`. `known`: it does something."""

    name: str
    value: str
    known: bool

    def __str__(self) -> str:
        return f"{self.name}={self.value}" if self.name else self.value


@dataclass(frozen=True, slots=True)
class Tag:
    """A network that a prompt asks for, with its strengths in the text encoders (`text`) and in the U-Net (`unet`).

    `kind` is "lora" or "hypernet". `arguments` are all that were written, in order. `fault` is a sentence for what
    cannot be meant: such a tag asks for nothing. `source` is the tag as it was written.
    """

    source: str
    kind: str
    name: str
    text: float = 1.0
    unet: float = 1.0
    arguments: tuple[Argument, ...] = ()
    fault: str = ""

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences about arguments that mean nothing here."""
        shown = _shown(self.source)
        unknown = [_shown(str(one)) for one in self.arguments if not one.known]
        return tuple(f"{shown}: “{one}” is not known here and does nothing" for one in unknown)


def tags_in(text: str) -> Iterator[tuple[int, int, Tag]]:
    """Every tag with the places where it begins and ends.

    `<lora:name>` is strength 1, `<lora:name:0.8>` both strengths, `<lora:name:te:unet>` each; `te=` and `unet=` may
    name them. What stands before the first number or named argument is the name, which may have colons. Arguments of
    other programs (`lbw=...`, `dyn=8`, further numbers) are kept and do nothing. A tag that is never closed is none,
    and neither is what stands before another tag's beginning.
    """
    opened: re.Match[str] | None = None
    for found in OPEN.finditer(text):
        if opened is not None and (end := text.find(">", opened.end(), found.start())) > 0:
            yield from _closed(text, opened, end)
        opened = found
    if opened is not None and (end := text.find(">", opened.end())) > 0:
        yield from _closed(text, opened, end)


def _closed(text: str, opened: re.Match[str], end: int) -> Iterator[tuple[int, int, Tag]]:
    kind = "hypernet" if opened[1].lower() == "hypernet" else "lora"
    if end > opened.end():
        source = text[opened.start() : end + 1]
        yield opened.start(), end + 1, _tag(source, kind, text[opened.end() : end])


def _tag(source: str, kind: str, body: str) -> Tag:
    parts = body.split(":")
    options = [part.strip() for part in parts[1:]]
    meant = [not one or NUMBER.fullmatch(one) or NAMED.match(one) for one in options]
    count = next((i for i, is_option in enumerate(meant) if is_option), len(options))
    name = ":".join(parts[: count + 1]).strip()
    if not name:
        fault = f"{_shown(source)} is not understood: write <{kind}:name:strength>"
        return Tag(source, kind, name, fault=fault)
    strengths: dict[str, float] = {}
    arguments: list[Argument] = []
    fault = ""
    plain = 0  # strengths without a name so far
    for option in options[count:]:
        named = NAMED.fullmatch(option)
        said = named[2].strip() if named else option
        key = named[1].lower() if named else ("te", "unet", "dyn")[plain] if plain < 3 else ""
        plain += named is None
        known = key in ("te", "unet") and NUMBER.fullmatch(said) is not None
        if known:
            strengths[key] = value = float(said.replace(",", "."))
            if not abs(value) <= STRENGTH_MAX and not fault:  # nor is it a number
                most = f"use -{STRENGTH_MAX} to {STRENGTH_MAX}"
                fault = f"{_shown(source)}: the strength {said[:20]} is too large; {most}"
        arguments.append(Argument(named[1] if named else "", named[2] if named else option, known))
    text = strengths.get("te", 1.0)
    arguments = [one for one in arguments if str(one)]
    return Tag(source, kind, name, text, strengths.get("unet", text), tuple(arguments), fault)


def _shown(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
