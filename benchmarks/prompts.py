"""How long reading a text takes, whatever it is made of: each of our readers, on 20,000 characters of every sign.

    python benchmarks/prompts.py [--length 20000] [--limit-ms 50]

What is measured. Texts of one sign or piece of syntax repeated (all of ASCII, blanks, accents, `(a:`, `<lora:`,
`BREAK`, digits, braces, `Steps:` ...), alone and inside of a bracket, a tag, a choice and quotes, are given to each
reader that a request's texts go through: the tree (read, printed, with inversions), its pieces and tags, wildcards,
tokens and chunks, the check at the door, the reader of pictures' texts, and the names of saved pictures. The figure is
the least CPU time of three. A reader that looks back takes a time that grows with the square of the length, and shows
here by seconds. Whoever writes to the server may send such texts, and while Python is in a pattern nobody else is
answered.

The last line is JSON: the slowest text of each reader, in milliseconds, and whether all are below the limit.
"""

from __future__ import annotations

import argparse
import gc
import json
import random
import string
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from extensions.wildcards.template import Drawing, TemplateError
from webui.catalog.model_folders import AdapterFiles
from webui.engine.accepting import accept_prompts
from webui.engine.text.chunks import weighted
from webui.engine.text.tokenizer import shipped
from webui.errors import RequestError
from webui.metadata import parse as pairs_of
from webui.naming import Facts, Pattern
from webui.prompt import parse

PIECES = (
    *string.printable,
    *("(a:", "[a:b:", "<lora:", "<lora:a:111", "<lora:a:1>", "<lora:a:b", " AND ", "BREAK", " BREAK "),
    *("__", "__a", "__a__", "{a|", "{a|b}", "{1$$", "2::", "$$", "::", "\\(", "\\\\", "\\{", ":1)", ":1.", "(a"),
    *("((", "()", "[(", "e\u0301", "é", "猫", "\u00a0", "\u2028", "\r\n", ", ", "a, ", "a: ", 'a: "', '\\"'),
    *("Steps:", "Steps: 1, ", "Negative prompt:", "\nNegative prompt: ", "a:b,", "12", "1.", "-1", "a b "),
)  # fmt: skip
AROUND = (
    *(("", ""), ("(a", ":1.1)"), ("<lora:", ":1>"), ("{", "|b}"), ("a", "b")),
    ('Steps: 1, Seed: 2, a: "', '"'),
)


def readers(folder: Path) -> dict[str, Callable[[str], object]]:
    """What reads texts, by name. Refusals count as answers."""
    tokenizer, adapter_files, pattern = (
        shipped(),
        AdapterFiles([folder]),
        Pattern("[date]/[number]-[prompt]"),
    )
    (folder / "embeddings").mkdir()
    (folder / "embeddings" / "a__b.pt").write_bytes(b"")

    def wildcards(text: str) -> str:
        return Drawing(random.Random(1), lambda name: ["x"], frozenset({"a__b"})).resolved(text)

    def named(text: str) -> str:
        facts = Facts(
            made=time.localtime(0), seed=1, task="t", model="m", sampler="s", scheduler="k", steps=1,
            cfg=7, width=8, height=8, prompt=text, job="j", index=0)  # fmt: skip
        return pattern.stem(facts, 1)

    return {
        "tree": parse,
        "tree, printed": lambda text: parse(text).printed(),
        "brackets": lambda text: parse(text).pieces(),
        "tags": lambda text: parse(text).tags,
        "inversions": lambda text: parse(text, ["a", "b", "a(", "猫"]).pieces(["a"]),
        "wildcards": wildcards,
        "tokens and chunks": lambda text: weighted(tokenizer, parse(text).pieces(), 75),
        "at the door": lambda text: accept_prompts(
            {"prompt": parse(text, adapter_files.embeddings())},
            "refuse",
            adapter_files,
            32,
            lambda: tokenizer,
        ),
        "a picture's text": pairs_of,
        "a picture's name": named,
    }


def texts(length: int) -> Iterator[tuple[str, str]]:
    """Each text with its name."""
    for piece in PIECES:
        for before, after in AROUND:
            room = length - len(before) - len(after)
            many = (piece * (room // len(piece) + 1))[:room]
            yield f"{before}{piece} ...{after}", f"{before}{many}{after}"


def seconds(read: Callable[[str], object], text: str, times: int = 3) -> float:
    """The least CPU time of a few."""
    found = []
    gc.collect()
    for _ in range(times):
        began = time.process_time()
        with suppress(RequestError, TemplateError):
            read(text)
        found.append(time.process_time() - began)
    return min(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--length", type=int, default=20_000)
    parser.add_argument("--limit-ms", type=float, default=50)
    asked = parser.parse_args()
    slowest: dict[str, dict[str, object]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, read in readers(Path(folder)).items():
            worst = max((seconds(read, text), told) for told, text in texts(asked.length))
            slowest[name] = {"ms": round(worst[0] * 1000, 1), "text": worst[1]}
            print(f"{name}: {worst[0] * 1000:.1f} ms at {worst[1]!r}", flush=True)
    linear = all(float(str(one["ms"])) < asked.limit_ms for one in slowest.values())
    print(json.dumps({"length": asked.length, "slowest": slowest, "below_limit": linear}))


if __name__ == "__main__":
    main()
