"""Every reader of texts takes a time that grows with the text's length alone, whatever signs it is made of.

Each of them once took seconds for a text of twenty thousand characters, in which nobody else was answered.
`benchmarks/prompts.py` says how long they take.
"""

from __future__ import annotations

import gc
import random
import string
import time
from collections.abc import Callable
from contextlib import suppress

import pytest

from extensions.wildcards.template import Drawing, TemplateError
from webui.engine.text.chunks import weighted
from webui.errors import RequestError
from webui.metadata import parse as pairs_of
from webui.prompt import parse

LENGTH = 20_000
FAST_S = 0.03  # what takes less grows with nothing that matters
PIECES = (
    *string.punctuation,
    *(" ", "\n", "\t", "a", "1", "é", "e\u0301", "猫", "\u2028"),
    *("(a:", "[a:b:", "<lora:", "<lora:a:111", "<lora:a:1>", " AND ", "BREAK", " BREAK ", "__a", "{a|"),
    *("{1$$", "2::", "\\(", ":1)", ":1.", "a: ", 'a: "', "Steps:", "Steps: 1, ", "\nNegative prompt: "),
)  # fmt: skip
AROUND = {
    "tree": ("[a|[b:", ":0.5]]"),
    "inversions": ("(a ", ")"),
    "brackets": ("(a", ":1.1)"),
    "tags": ("<lora:", ":1>"),
    "wildcards": ("{", "|b}"),
    "chunks": ("", ""),
    "a picture's text": ('Steps: 1, Seed: 2, a: "', '"'),
}


def text_of(piece: str, around: tuple[str, str], length: int) -> str:
    return around[0] + (piece * (length // len(piece) + 1))[:length] + around[1]


def cost(read: Callable[[str], object], text: str, times: int) -> float:
    """The least CPU time of `times`, in seconds."""
    found = []
    gc.disable()  # it looks at everybody's objects
    try:
        for _ in range(times):
            began = time.process_time()
            with suppress(RequestError, TemplateError):
                read(text)
            found.append(time.process_time() - began)
    finally:
        gc.enable()
    return min(found)


def wildcards(text: str) -> str:
    return Drawing(random.Random(1), lambda name: ["x"], frozenset({"a__b"})).resolved(text)


class Letters:
    """A tokenizer whose tokens are letters."""

    comma = ord(",")

    def tokens(self, text: str, name: str = "") -> list[int]:
        return list(map(ord, text))


READERS: dict[str, Callable[[str], object]] = {
    "tree": lambda text: parse(text).printed(),
    "inversions": lambda text: parse(text, ["a", "1", "\u00e9 (a", "猫"]),
    "brackets": lambda text: parse(text).pieces(),
    "tags": lambda text: (parse(text).tags, parse(text).faults),
    "wildcards": wildcards,
    "chunks": lambda text: weighted(Letters(), parse(text).pieces(), 75),  # type: ignore[arg-type]
    "a picture's text": pairs_of,
}


@pytest.mark.parametrize("name", AROUND)
def test_twice_the_text_costs_less_than_three_times(name: str) -> None:
    read = READERS[name]
    for piece in PIECES:
        for around in {("", ""), AROUND[name]}:
            whole, half = (text_of(piece, around, length) for length in (LENGTH, LENGTH // 2))
            if cost(read, whole, 1) > FAST_S:
                grown, before = cost(read, whole, 3), cost(read, half, 3)
                assert grown < 3 * before + FAST_S / 3, (piece, around)
