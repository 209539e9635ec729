"""The page finds the same brackets and tags in a prompt as the engine's tree has."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import subprocess

import pytest

from webui.prompt import Emphasis, Leave, Prompt, Sign, Tag, parse
from webui.prompt.tree import BRANCHES
from webui.ui.theme import ASSETS

NODE = shutil.which("node")
NUMBER = re.compile(r"[+-]?[0-9]*\.?[0-9]+")
SIGNS = (
    *("(", ")", "[", "]", ":1.2)", ": .5 )", ":1.)", "\\", "\\(", "\\)", "\\\\", "\\[", ":", "1", " ", "\n", "x", "猫"),
    *("<lora:a:1>", "<lora:", "<hypernet:b:0.5>", "<LYCO:a:b:.5:1>", "<lora:a:te=1:2:3>", "<lora:(:1>", ">", "<x:1>"),
    *("<lora::1>", "<lora:a:lbw=1,0:0.5>", "|", "AND", "BREAK", "(cat:1.2 "),
)  # fmt: skip

Found = tuple[int, int, int, float, bool]


def weighed(prompt: Prompt) -> list[Found]:
    """Round brackets and tags that end with a strength: where each begins and ends (the last sign), where its weight is
    written, the weight, and whether it is a tag."""
    found: list[Found] = []
    at = 0
    opened: list[tuple[Emphasis | None, int]] = []
    signs: dict[int, int] = {}  # where the weight began that a tag interrupts, by the depth
    for node in prompt.walk():
        if isinstance(node, Leave):
            branch, start = opened.pop()
            inner = signs.pop(len(opened), at)
            if branch is None:
                at += 1
                continue
            at += len(branch.closing)
            if branch.opening == "(":
                found.append((start, at - 1, inner, branch.weight, False))
        elif isinstance(node, BRANCHES):
            opened.append((node if isinstance(node, Emphasis) else None, at))
            at += 1
        else:
            if isinstance(node, Sign) and ":" in node.source:
                signs.setdefault(len(opened) - 1, at)
            if isinstance(node, Tag) and (one := strength(node, at)):
                found.append(one)
            at += len(node.source)
    return sorted(found)


def strength(tag: Tag, at: int) -> Found | None:
    last = tag.arguments[-1] if tag.arguments and tag.name else None
    if last is None or not last.known or last.name or not NUMBER.fullmatch(last.value):
        return None
    close = at + len(tag.source) - 1
    written = tag.source[:-1].rpartition(":")[2].lstrip()
    return at, close, close - len(written), float(last.value), True


def test_the_page_has_the_brackets_of_the_tree() -> None:
    if NODE is None:
        assert not os.environ.get("CI"), "node is missing"
        pytest.skip("needs node")
    dice = random.Random(7)
    texts = ["".join(dice.choices(SIGNS, k=dice.randint(1, 14))) for _ in range(4000)]
    code = (
        f"import {{ signsOf }} from {json.dumps((ASSETS / 'prompt-signs.js').as_uri())};"
        "import { readFileSync } from 'node:fs';"
        "const texts = JSON.parse(readFileSync(0, 'utf8'));"
        "console.log(JSON.stringify(texts.map((text) => signsOf(text).weighed"
        ".map((one) => [one.open, one.close, one.inner, one.weight, one.tag]))));"
    )
    done = subprocess.run(
        [NODE, "--input-type=module", "-e", code],
        input=json.dumps(texts), capture_output=True, text=True, timeout=60)  # fmt: skip
    assert done.returncode == 0, done.stderr
    for text, theirs in zip(texts, json.loads(done.stdout), strict=True):
        assert sorted(map(tuple, theirs)) == weighed(parse(text)), text
