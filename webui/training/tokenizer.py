"""The starter model's own CLIP tokenizer: all bytes, and merges learnt from the captions' words.

Any text can be written with the byte tokens, as with CLIP's own 49,408; but each word of our captions is one token,
and the embedding table stays small. Files are those that `transformers.CLIPTokenizer` reads.
"""

import itertools
import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

START, END = "<|startoftext|>", "<|endoftext|>"
LENGTH = 77


def byte_characters() -> list[str]:
    """A printable character for each byte, in CLIP's order (GPT-2's table)."""
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1)]
    plain += range(ord("®"), ord("ÿ") + 1)
    others = [b for b in range(256) if b not in plain]
    return [chr(b) for b in plain] + [chr(256 + i) for i in range(len(others))]


def learn_merges(words: Iterable[str], limit: int) -> list[tuple[str, str]]:
    """Byte-pair merges, the most frequent pair first, until every word is one token or `limit` is reached."""
    counts = Counter(words)
    spelled = {w: [*w[:-1], f"{w[-1]}</w>"] for w in counts if w}
    merges: list[tuple[str, str]] = []
    while len(merges) < limit:
        pairs: Counter[tuple[str, str]] = Counter()
        for word, parts in spelled.items():
            for pair in itertools.pairwise(parts):
                pairs[pair] += counts[word]
        if not pairs:
            break
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        for parts in spelled.values():
            i = 0
            while i < len(parts) - 1:
                if (parts[i], parts[i + 1]) == best:
                    parts[i : i + 2] = ["".join(best)]
                i += 1
    return merges


def write_tokenizer(folder: Path, captions: Iterable[str], limit: int = 1500) -> None:
    """Learn the merges and write vocab.json, merges.txt and the two configuration files."""
    words = (word for text in captions for word in text.lower().replace(",", " ").split())
    merges = learn_merges((w for w in words if w.isascii() and w.isalpha()), limit)
    letters = byte_characters()
    tokens = [*letters, *(f"{c}</w>" for c in letters), *("".join(m) for m in merges), START, END]
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = {token: i for i, token in enumerate(tokens)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False))
    lines = ["#version: 0.2", *(" ".join(m) for m in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n")
    special = {"bos_token": START, "eos_token": END, "unk_token": END, "pad_token": END}
    (folder / "special_tokens_map.json").write_text(json.dumps(special, indent=2) + "\n")
    config = {
        **special,
        "add_prefix_space": False,
        "do_lower_case": True,
        "errors": "replace",
        "model_max_length": LENGTH,
        "tokenizer_class": "CLIPTokenizer",
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")


def load_tokenizer(folder: Path) -> Any:
    from transformers import CLIPTokenizer

    return CLIPTokenizer.from_pretrained(str(folder), local_files_only=True)


def encode(tokenizer: Any, texts: list[str]) -> Any:
    """int64 [B, 77], as Stable Diffusion's pipelines pad: the end token to the end."""
    return tokenizer(
        texts, padding="max_length", max_length=LENGTH, truncation=True, return_tensors="pt"
    ).input_ids
