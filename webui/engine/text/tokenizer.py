"""CLIP's tokenizer: the model's own, or from the vocabulary that ships with Easel."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from webui.engine.importing import IMPORTING
from webui.errors import ModelFileError, Sentence

if TYPE_CHECKING:
    from transformers import CLIPTokenizer

__all__ = ["SHIPPED_SIZE", "Tokenizer", "beside", "clip_tokenizer", "read", "shipped"]

MERGES = Path(__file__).with_name("clip_merges.txt.gz")
START, END = "<|startoftext|>", "<|endoftext|>"
SHIPPED_SIZE = 49408  # tokens of OpenAI's CLIP
FILES = ("tokenizer.json", "vocab.json")


class Tokenizer:
    """Text to token numbers. Safe to call from several threads."""

    def __init__(self, theirs: Any) -> None:
        backend = theirs.backend_tokenizer
        backend.no_truncation()  # a tokenizer.json saved after use holds that use's limits
        backend.no_padding()
        self._encode = backend.encode
        self.start: int = theirs.bos_token_id
        self.end: int = theirs.eos_token_id
        self.pad: int = theirs.pad_token_id
        self.size: int = len(theirs)
        commas = self.tokens(",")
        self.comma: int | None = commas[0] if len(commas) == 1 else None

    def tokens(self, text: str, name: str = "") -> list[int]:
        """The tokens of `text`, of any length, without start and end. `name` is for `Words` that know it."""
        found: Sequence[int] = self._encode(text, add_special_tokens=False).ids
        return list(found)


def read(folder: Path) -> Tokenizer:
    """The tokenizer in `folder`, or the shipped one where `folder` holds none.

    A folder whose files cannot be used raises `ModelFileError`.
    """
    if not any((folder / name).is_file() for name in FILES):
        return shipped()
    with IMPORTING:
        from transformers import CLIPTokenizer

    try:
        return Tokenizer(CLIPTokenizer.from_pretrained(folder, local_files_only=True))
    except Exception as fault:  # tokenizers raises bare Exception for damaged files
        raise ModelFileError(
            Sentence(
                "{folder}: the tokenizer's files are damaged ({why})", folder=folder, why=fault
            )
        ) from fault


@lru_cache(maxsize=8)
def beside(folder: Path) -> Tokenizer:
    """The tokenizer of the diffusers folder of a model, for counting: the shipped one where its own is no good."""
    try:
        return read(folder / "tokenizer")
    except ModelFileError:  # told when the model is loaded
        return shipped()


@cache
def shipped() -> Tokenizer:
    """OpenAI CLIP's tokenizer (49,408 tokens), as every Stable Diffusion model uses."""
    return Tokenizer(clip_tokenizer())


def clip_tokenizer() -> CLIPTokenizer:
    """A fresh transformers tokenizer of the shipped vocabulary; its padding token is the end token."""
    with IMPORTING:
        from transformers import CLIPTokenizer

    lines = gzip.decompress(MERGES.read_bytes()).decode("utf-8").splitlines()
    merges = [tuple(line.split(" ")) for line in lines]
    letters = byte_letters()
    words = [*letters, *(f"{letter}</w>" for letter in letters), *map("".join, merges), START, END]
    vocab = {word: number for number, word in enumerate(words)}
    return CLIPTokenizer(vocab=vocab, merges=merges, model_max_length=77)


def byte_letters() -> list[str]:
    """The 256 letters that stand for bytes in GPT-2's and CLIP's vocabularies, in CLIP's order.

    Printable bytes stand for themselves and come first; the others are moved up to 256 and beyond.
    """
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = len(set(range(256)) - set(printable))
    return [chr(byte) for byte in (*printable, *range(256, 256 + others))]
