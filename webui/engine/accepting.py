"""What the prompts of a request must be before it is queued: tags of files that are here, weights that mean something,
and a length that holds nobody up. Knows texts and names of files; loads no network and no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from webui.catalog.formats.header import read_header
from webui.catalog.model_folders import AdapterFiles
from webui.engine.text.chunks import BACKTRACK, weighted
from webui.engine.text.tokenizer import Tokenizer
from webui.engine.text.words import Words
from webui.errors import ModelFileError, RequestError, Sentence
from webui.prompt import WEIGHT_MAX, Piece, Prompt

__all__ = ["CHUNK", "accept_prompts", "counted"]

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
    prompts: Mapping[str, Prompt],
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
        tags = prompt.tags
        if missing == "refuse" and name != "negative_prompt":
            if prompt.faults:
                raise RequestError(prompt.faults[0], name)
            if len(tags) > TAGS_MAX:
                raise RequestError(_too_many(name, len(tags)), name)
            for tag in tags:
                try:
                    adapter_files.meant(tag.kind, tag.name)
                except RequestError as fault:
                    raise RequestError(str(fault), name) from None
        elif len(tags) > TAGS_MAX:
            raise RequestError(_too_many(name, len(tags)), name)
        _check_weights(name, prompt.pieces())
        sized = _sized(prompt, adapter_files)
        if _at_most(prompt, sized) > most:
            chunks = len(weighted(*_counter(tokenizer(), prompt, sized), CHUNK))
            if chunks > most:
                raise RequestError(
                    Sentence(
                        "{name}: {chunks} chunks of {tokens} tokens; use at most {most} (the setting max_chunks)",
                        name=name,
                        chunks=chunks,
                        tokens=CHUNK,
                        most=most,
                    ),
                    name,
                )


def counted(
    tokenizer: Tokenizer, prompt: Prompt, adapter_files: AdapterFiles
) -> tuple[Tokenizer | Words, list[Piece]]:
    """What counts the tokens of `prompt`, and its pieces: its textual inversions count their vectors."""
    return _counter(tokenizer, prompt, _sized(prompt, adapter_files))


def _counter(
    tokenizer: Tokenizer, prompt: Prompt, sized: Sequence[Sized]
) -> tuple[Tokenizer | Words, list[Piece]]:
    if not sized:
        return tokenizer, prompt.pieces()
    words = Words(tokenizer, sized)
    return words, prompt.pieces(words.known)


def _sized(prompt: Prompt, adapter_files: AdapterFiles) -> list[Sized]:
    words = prompt.inversions
    if not words:
        return []
    known = adapter_files.embeddings()
    return [Sized(name, _vectors(known[name])) for name in sorted(known) if name.lower() in words]


def _too_many(name: str, tags: int) -> Sentence:
    return Sentence("{name}: {tags} tags; use at most {most}", name=name, tags=tags, most=TAGS_MAX)


def _check_weights(name: str, pieces: Sequence[Piece]) -> None:
    for piece in pieces:
        if not abs(piece.weight) <= WEIGHT_MAX:
            text = (piece.text or "").strip()[:40]
            raise RequestError(
                Sentence(
                    "{name}: the weight of “{text}” is too large; use -{most} to {most}",
                    name=name,
                    text=text,
                    most=WEIGHT_MAX,
                ),
                name,
            )


def _at_most(prompt: Prompt, sized: Sequence[Sized]) -> int:
    """At least as many chunks as a text can have: a token is a byte or more, and a chunk is filled but for the phrase
    that is moved on."""
    counts = {one.name.lower(): one.count for one in sized}
    vectors = sum(counts.get(name, 0) for name in prompt.named)
    length = len(prompt.words.lower().encode()) + vectors
    return 1 + prompt.chunks_ended + length // (CHUNK - BACKTRACK)


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
