"""What the prompts of a request must be before it is queued: tags of files that are here, weights that mean something,
and a length that holds nobody up. Knows texts and names of files; loads no network and no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from webui.catalog.formats.header import read_header
from webui.catalog.model_folders import AdapterFiles
from webui.engine.adapters.tags import extract_network_tags
from webui.engine.text.chunks import BACKTRACK, weighted
from webui.engine.text.emphasis import WEIGHT_MAX, parse_attention
from webui.engine.text.tokenizer import Tokenizer
from webui.engine.text.words import Words, said
from webui.errors import ModelFileError, RequestError

__all__ = ["CHUNK", "accept_prompts", "counter"]

CHUNK = 75  # tokens that CLIP takes at once
TAGS_MAX = 100  # of one prompt
VECTORS_MAX = 1000  # of one textual inversion
VECTOR_BYTES = 3072  # of the smallest real one


@dataclass(frozen=True, slots=True)
class Sized:
    """The name of a textual inversion, and how many vectors it has."""

    name: str
    count: int


def accept_prompts(
    prompts: Mapping[str, str],
    missing: str,
    adapter_files: AdapterFiles,
    most: int,
    tokenizer: Callable[[], Tokenizer],
) -> None:
    """Raises `RequestError`, with the name of its control, for a prompt that cannot be made.

    Tags act in all prompts but the negative one. `missing` is the request's, `most` how many chunks a text may have.
    The `tokenizer` is asked for where the length alone does not tell.
    """
    for name, prompt in prompts.items():
        words, tags, faults = extract_network_tags(prompt)
        if missing == "refuse" and name != "negative_prompt":
            if faults:
                raise RequestError(faults[0], name)
            if len(tags) > TAGS_MAX:
                raise RequestError(f"{name}: {len(tags)} tags; use at most {TAGS_MAX}", name)
            for tag in tags:
                try:
                    adapter_files.meant(tag.kind, tag.name)
                except RequestError as fault:
                    raise RequestError(str(fault), name) from None
        elif len(tags) > TAGS_MAX:
            raise RequestError(f"{name}: {len(tags)} tags; use at most {TAGS_MAX}", name)
        _check_weights(name, words)
        if _at_most(words, adapter_files) > most:
            chunks = len(weighted(counter(tokenizer(), words, adapter_files), words, CHUNK))
            if chunks > most:
                raise RequestError(
                    f"{name}: {chunks} chunks of {CHUNK} tokens; use at most {most} (the setting max_chunks)",
                    name,
                )


def counter(tokenizer: Tokenizer, text: str, adapter_files: AdapterFiles) -> Tokenizer | Words:
    """What counts the tokens of `text`: the textual inversions in it count their vectors."""
    found = _inversions(text, adapter_files)
    return Words(tokenizer, found) if found else tokenizer


def _inversions(text: str, adapter_files: AdapterFiles) -> list[Sized]:
    known = adapter_files.embeddings()
    return [Sized(name, _vectors(known[name])) for name in said(known, [text])]


def _check_weights(name: str, words: str) -> None:
    for piece in parse_attention(words):
        if not abs(piece.weight) <= WEIGHT_MAX:
            text = (piece.text or "").strip()[:40]
            raise RequestError(
                f"{name}: the weight of “{text}” is too large; use -{WEIGHT_MAX} to {WEIGHT_MAX}",
                name,
            )


def _at_most(words: str, adapter_files: AdapterFiles) -> int:
    """At least as many chunks as a text can have: a token is a byte or more, and a chunk is filled but for the phrase
    that is moved on."""
    lower = words.lower()
    found = _inversions(words, adapter_files)
    vectors = sum(lower.count(one.name.lower()) * one.count for one in found)
    return 1 + words.count("BREAK") + (len(lower.encode()) + vectors) // (CHUNK - BACKTRACK)


def _vectors(path: Path) -> int:
    """How many vectors a textual inversion has, from its header; of a pickled one, what its size says."""
    try:
        if path.suffix.lower() == ".safetensors":
            shapes: Sequence[tuple[int, ...]] = [
                t.shape for t in read_header(path).tensors.values()
            ]
            count = max((shape[0] for shape in shapes if len(shape) == 2), default=1)
        else:
            count = path.stat().st_size // VECTOR_BYTES
    except (OSError, ModelFileError):  # told when it is used
        count = 1
    return min(max(count, 1), VECTORS_MAX)
