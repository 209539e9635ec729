"""A1111's text: the prompt, a line "Negative prompt: ...", and a line of "Key: value" pairs.

Our own is read to the letter. Those of others have been through browsers, messengers and text files: blanks and line
ends of any kind do not count, and the line of pairs need not be the last. What has no place in this form is kept under
`MORE`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from webui.texts.objects import BLANKS, fields_of, looks_like_json, settings_in

__all__ = ["MORE", "NEGATIVE", "is_settings", "parse"]

NEGATIVE = "Negative prompt:"
MORE = "More text"  # what stands below the pairs, or between them, and is none
TEMPLATES = {"template": "Template", "negative template": "Negative template"}
WRAPPED = 9  # lines at most over which mails wrap one of pairs
PAIRS_MIN = 3  # fewer on a line that names no steps, and it belongs to the prompt

NUMBER, WHOLE, ANY = r"-?\d+(\.\d+)?", r"-?\d+", r".*\S.*"
# Keys by which a line of pairs is known, and what their values look like.
KNOWN: Mapping[str, str] = {
    **dict.fromkeys(("Steps", "Seed", "Variation seed", "Clip skip", "ENSD"), WHOLE),
    **dict.fromkeys(("CFG scale", "Denoising strength", "Variation seed strength", "Eta"), NUMBER),
    **dict.fromkeys(("Hires upscale", "Hires steps", "Mask blur", "Image CFG scale"), NUMBER),
    **dict.fromkeys(("Distilled CFG Scale", "Masked area padding"), NUMBER),
    **dict.fromkeys(("Size", "Hires resize", "Seed resize from"), r"-?\d+\s*[x×X*]\s*-?\d+"),
    **dict.fromkeys(("Sampler", "Schedule type", "Model hash", "Model", "VAE hash", "VAE"), ANY),
    **dict.fromkeys(("RNG", "Task", "Version", "User", "App", "Notes", "Mask mode"), ANY),
    **dict.fromkeys(("Inpaint area", "Masked content", "Hires upscaler", "Lora hashes"), ANY),
    **dict.fromkeys(("TI hashes", "Init image hash", "Face restoration", "Post-processing"), ANY),
    "Interrupted": r"\d+/\d+",
}
FOLDED = {key.lower(): key for key in KNOWN}
# With one of these a line is settings: words do not look like it.
SURE = {"RNG", *(key for key, pattern in KNOWN.items() if pattern != ANY)}
HASH = re.compile(r"[0-9a-fA-F]{8,64}")
PLAUSIBLE = {key: re.compile(pattern, re.DOTALL) for key, pattern in KNOWN.items()}
EXTRAS = "Postprocess "  # with this the keys begin that A1111's Extras tab writes
STEPS = re.compile(r"steps\s*:\s*\d+\s*(?:[,|]|$)", re.IGNORECASE)
OWN = re.compile(r"(?:^|, )Version: Easel [^,]*(?:,|$)")
KEY = re.compile(r"\s*(\w[\w \-/]*):\s*")
BLANK_KEY = re.compile(r"\s*(\w[\w\s\-/]*):\s*")  # with blanks of any kind in it
# Where a line end became a blank, before the steps and before the negative prompt.
BEFORE_STEPS = re.compile(
    r"(?<=\S)\s+(?=Steps: ?\d+, (?:Sampler|Schedule type|CFG scale|Seed|Size): ?\S)"
)
BEFORE_NEGATIVE = re.compile(r"(?<=\S)\s+(?=Negative prompt:)")
BARS = re.compile(r"steps\s*:\s*\d+\s*\|", re.IGNORECASE)
VALUES = {
    mark: re.compile(rf'("(?:\\.|[^\\"])*")\s*(?:{sign}|$)|([^{sign}]*)(?:{sign}|$)')
    for mark, sign in ((",", ","), ("|", r"\|"))
}
PROMPT = re.compile(r"\s*prompt\s*:\s*", re.IGNORECASE)
NEGATIVES = [  # how the line of the negative prompt begins, the surest first; the last where one begins with "Prompt:"
    re.compile(r"Negative prompt:"),
    re.compile(r"\s*negative\s+prompt\s*:", re.IGNORECASE),
    re.compile(r"\s*Negative\s*:"),
    re.compile(r"\s*negative(?:_prompt)?\s*:", re.IGNORECASE),
]
A1111 = re.compile(r"[vf]?\d+\.\d|[vf]\d")  # its versions, and Forge's
AFTER = {",": re.compile(r"\s*(?:,|$)"), "|": re.compile(r"\s*(?:\||$)")}
BRACKET = re.compile(r"""[\[\]{}]|"(?:\\.|[^\\"])*"|'(?:\\.|[^\\'])*'""")


def parse(text: str) -> dict[str, str]:
    """`Prompt`, `Negative prompt` and every key of the line of pairs, as written; values stay text.

    Any text will do: where no line is one of pairs, all of it is prompt, and where it is JSON, none of it.
    """
    told = None if _own(text) else fields_of(text)
    if told is not None:
        return {"Prompt": "", "Negative prompt": "", **told}
    plain = _with_plain_ends(text)
    spread = _spread(plain)
    if _own(text) and not spread:
        return _own_text(plain)
    plain = plain.lstrip(BLANKS)
    lines = spread or [line.rstrip(BLANKS) for line in re.split(r"\r\n|\r|\n", plain)]
    listed = _listed(lines)
    if listed is not None:
        return {"Prompt": "", "Negative prompt": "", **listed}
    found = _settings(lines)
    if found is None and (spread := re.split("[\u2028\u2029\x85\x0b\x0c]", plain))[1:]:
        found = _settings(spread := [line.rstrip(BLANKS) for line in spread])
        lines = lines if found is None else spread
    if found is not None:
        pairs = found.pairs
        prompt, negative = _prompts(lines[: found.begin], pairs)
        more = _below(lines[found.end :], pairs)
        rest = [*found.strange, *more]
        words = {"Prompt": prompt, "Negative prompt": negative}
        if not words.keys() <= pairs.keys():  # we write both where the lines alone would be misread
            rest += [text for key, text in words.items() if text and text != pairs.get(key, text)]
        return {
            **words,
            **pairs,
            **({MORE: "\n".join(rest)} if rest else {}),
        }
    if looks_like_json(plain):  # cut off, or not quite as it should be
        return {"Prompt": "", "Negative prompt": ""}
    if not text.strip(BLANKS):
        return {"Prompt": text, "Negative prompt": ""}
    prompt, negative = _prompts(lines, None)
    return {"Prompt": prompt, "Negative prompt": negative}


def is_settings(fields: Mapping[str, str]) -> bool:
    """Whether what `parse` gave says more than a prompt."""
    return len(fields) > 2 or bool(fields["Negative prompt"])


# --- Our own --------------------------------------------------------------------------------------


def _own(text: str) -> bool:
    """Whether Easel wrote the text, which it says on the last line."""
    plain = text.rstrip(BLANKS)
    last = plain[max(plain.rfind("\n"), plain.rfind("\r")) + 1 :]
    return OWN.search(last) is not None and len(_pairs_of(last)) >= PAIRS_MIN


def _with_plain_ends(text: str) -> str:
    """A text whose every line end became one of Windows, or of an old Mac, with those that it had."""
    text = text.lstrip("\ufeff").rstrip(BLANKS)
    ends = text.count("\n")
    if ends and text.count("\r\n") == ends:
        return text.replace("\r\n", "\n")
    return text if ends else text.replace("\r", "\n")


def _own_text(text: str) -> dict[str, str]:
    *lines, last = text.split("\n")
    starts = [i for i, line in enumerate(lines) if line.startswith(NEGATIVE)]
    border = starts[0] if starts else len(lines)
    negative = "\n".join(lines[border:])[len(NEGATIVE) :].removeprefix(" ")
    return {"Prompt": "\n".join(lines[:border]), "Negative prompt": negative, **_pairs_of(last)}


def _pairs_of(line: str) -> dict[str, str]:
    """The "Key: value" pairs of a line, in one pass; what lies between two commas and is none is skipped."""
    pairs: dict[str, str] = {}
    at = 0
    while 0 <= at < len(line):
        key = KEY.match(line, at)
        value = VALUES[","].match(line, key.end()) if key else None
        if key and value:
            pairs[key[1]] = _unquote(value[1]) if value[1] else value[2].strip()
            at = value.end()
        else:
            at = line.find(",", at) + 1 or len(line)
    return pairs


def _unquote(value: str) -> str:
    try:
        return str(json.loads(value))
    except json.JSONDecodeError:
        return value


# --- Others' --------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Pairs:
    """Pairs, in which lines they stand, and words between them that are none; `leading` where one comes first."""

    pairs: dict[str, str] = field(default_factory=dict)
    strange: list[str] = field(default_factory=list)
    leading: bool = False
    times: dict[str, int] = field(default_factory=dict)
    begin: int = 0
    end: int = 0

    def add(self, name: str, value: str) -> None:
        """Of two values of a key the last that looks like one counts; the other is kept as "Key 2" and so on."""
        former = self.pairs.get(name, value)
        if former == value:
            self.pairs[name] = value
            return
        if _is_known(name, value) or not _is_known(name, former):
            self.pairs[name], value = value, former
        number = self.times.get(name, 1) + 1
        while f"{name} {number}" in self.pairs:
            number += 1
        self.times[name] = number
        self.pairs[f"{name} {number}"] = value

    @property
    def known(self) -> int:
        return sum(_is_known(key, value) for key, value in self.pairs.items())


def _is_known(key: str, value: str) -> bool:
    return key.startswith(EXTRAS) or (key in KNOWN and bool(PLAUSIBLE[key].fullmatch(value)))


def _is_sure(key: str, value: str) -> bool:
    return (key in SURE and _is_known(key, value)) or (
        key.endswith(" hash") and HASH.fullmatch(value) is not None
    )


def _settings(lines: Sequence[str]) -> _Pairs | None:
    """The last line of pairs, with lines of one pair each below it; None where there is none."""
    end = len(lines)
    while end and not lines[end - 1]:
        end -= 1
    tried: list[tuple[int, _Pairs]] = []
    for at in reversed(range(end)):
        line = lines[at].strip(BLANKS)
        if ":" not in line or _is_template(line):
            continue
        steps, after = STEPS.match(line), at + 1
        while steps and after < min(end, at + WRAPPED) and lines[after]:
            if not line.endswith(",") and not _goes_on(line, lines[after]):
                break
            line, after = f"{line} {lines[after].strip(BLANKS)}", after + 1
        found = _read(line)
        if steps:
            found.begin, found.end = at, after
            while found.end < end and (more := _all_known(lines[found.end])):
                for key, value in more.items():
                    found.add(key, value)
                found.end += 1
            below = lines[found.end] if found.end < end else ""
            alone = len(found.pairs) == 1 and (found.strange or below)
            within = bool(tried) and tried[0][0] < found.end
            if _is_template(below) or within or not (alone or tried):
                return found  # before what looks like pairs in the template below
            if not alone:
                break
        elif not tried and _is_line_of_pairs(found):
            found.begin, found.end = at, at + 1
            tried.append((at, found))
    return tried[0][1] if tried else None


def _spread(text: str) -> list[str]:
    """The lines of a text whose line ends all became blanks, none for other texts."""
    parts = BEFORE_STEPS.split(text) if len(text.splitlines()) == 1 else []
    if len(parts) != 2 or _read(parts[0]).known:  # the steps are not the first of the pairs
        return []
    return [part.strip(BLANKS) for part in (*BEFORE_NEGATIVE.split(parts[0], 1), parts[1])]


def _listed(lines: Sequence[str]) -> dict[str, str] | None:
    """The settings of a text that has a line for each of them, the prompts too; None for other texts."""
    if not PROMPT.match(next(filter(None, lines), "")):
        return None
    told: dict[str, str] = {}
    name = ""
    for line in lines:
        key = BLANK_KEY.match(line)
        begins = not name or (key is not None and key[1][0].isupper())  # else the prompt goes on
        if key is not None and begins and (called := " ".join(key[1].split())) not in told:
            name = called
            told[name] = line[key.end() :]
        else:
            told[name] += f"\n{line}"
    told = {name: value.strip(BLANKS) for name, value in told.items()}
    known = sum(_is_known(FOLDED.get(name.lower(), name), value) for name, value in told.items())
    steps = next((value for name, value in told.items() if name.lower() == "steps"), "")
    return settings_in(told) if steps.isdecimal() and known >= PAIRS_MIN else None


def _goes_on(line: str, below: str) -> bool:
    """Whether a line of pairs was broken at a blank, so that both lines together say more than the one."""
    if not below or _is_template(below) or _all_known(below):
        return False
    alone, both = _read(line), _read(f"{line} {below.strip(BLANKS)}")
    return both.known > alone.known and len(both.strange) <= len(alone.strange)


def _is_template(line: str) -> bool:
    head, colon, _ = line.partition(":")
    return bool(colon) and head.strip(BLANKS).lower() in TEMPLATES


def _all_known(line: str) -> dict[str, str]:
    """The pairs of a line that holds known ones alone, else none."""
    found = _read(line.strip(BLANKS))
    whole = found.pairs and not found.strange and found.known == len(found.pairs)
    return found.pairs if whole else {}


def _is_line_of_pairs(found: _Pairs) -> bool:
    """Whether a line that does not begin with the steps is settings, and no words with colons among them."""
    if found.leading or not found.pairs:
        return False
    if next(iter(found.pairs)).startswith(EXTRAS):
        return True
    if found.known == len(found.pairs) and "Steps" in found.pairs and not found.strange:
        return True
    if len(found.pairs) < PAIRS_MIN or found.known < 2:
        return False
    if not any(map(_is_sure, found.pairs, found.pairs.values())):
        return False
    first = _is_known(*next(iter(found.pairs.items())))
    if found.strange:
        return first and found.known >= PAIRS_MIN
    return first or 2 * found.known >= len(found.pairs)


def _read(line: str) -> _Pairs:
    """The pairs of a line, between commas, or between bars as SD.Next had them. JSON is one value; words after a comma
    that are no pair belong to the value before them, unless that is one we know. Of a key that comes twice the
    last value counts that looks like one, and the other stays beside it."""
    found = _Pairs()
    mark = "|" if BARS.match(line) else ","
    name, start, end, at = (
        "",
        -1,
        0,
        0,
    )  # the last pair's key, and where its value lies if that may go on
    value, objects = "", True

    def keep() -> None:
        if name:
            found.add(name, value if start < 0 else line[start:end].strip(BLANKS))

    while at < len(line):
        key = BLANK_KEY.match(line, at)
        if key is not None:
            keep()
            name = " ".join(key[1].split())
            name = FOLDED.get(name.lower(), name)
            value, at, closed = _value(line, key.end(), mark, objects)
            objects = objects and (
                closed or value[:1] not in ("[", "{")
            )  # looked for to the end once
            start = -1 if closed or name in KNOWN else key.end()
            end = at if at == len(line) and not line.endswith(mark) else at - 1
            continue
        until = line.find(mark, at)
        until = len(line) if until < 0 else until
        if words := line[at:until].strip(BLANKS):
            found.leading = found.leading or not name
            if start < 0 or ":" in words:  # a key that none of ours looks like
                found.strange.append(words)
                start, value = -1, value if start < 0 else line[start:end].strip(BLANKS)
            else:
                end = until
        at = until + 1
    keep()
    return found


def _value(line: str, at: int, mark: str, objects: bool) -> tuple[str, int, bool]:
    """The value that begins at a place of a line, the place behind it, and whether it has an end of its own."""
    if objects and line[at : at + 1] in ("[", "{"):
        end = _end_of_object(line, at)
        after = AFTER[mark].match(line, end)
        if end and after is not None:
            return line[at:end], after.end(), True
    value = VALUES[mark].match(line, at)
    assert value is not None, "a value may be empty"
    if value[1]:
        return _unquote(value[1]), value.end(), True
    return value[2].strip(BLANKS), value.end(), False


def _end_of_object(line: str, at: int) -> int:
    """Where what has brackets as JSON does ends, that begins at a place of a line; 0 where that is nowhere."""
    depth = 0
    for sign in BRACKET.finditer(line, at):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(sign[0], 0)
        if depth == 0:
            return sign.end()
    return 0


def _prompts(lines: Sequence[str], pairs: Mapping[str, str] | None) -> tuple[str, str]:
    """Prompt and negative prompt of the lines above the pairs; None for `pairs` where there are none. Where another
    program than A1111 wrote them, they may begin with "Prompt:" and "Negative:"."""
    marks = NEGATIVES[:2]
    named = None
    if pairs is not None and not A1111.match(pairs.get("Version", "")):
        named = next((PROMPT.match(line) for line in lines if line), None)
        marks = [*marks, NEGATIVES[3 if named else 2]]
    border, begin = len(lines), 0
    for mark in marks:
        starts = [(i, found.end()) for i, line in enumerate(lines) if (found := mark.match(line))]
        if starts:
            border, begin = starts[0]
            break
    prompt = "\n".join(lines[:border]).strip(BLANKS)
    negative = "\n".join(lines[border:])[begin:].strip(BLANKS)
    if named and (head := PROMPT.match(prompt)):
        prompt = prompt[head.end() :]
    return prompt, negative


def _below(lines: Sequence[str], pairs: dict[str, str]) -> list[str]:
    """Puts the templates of Dynamic Prompts among the pairs, and gives the other lines that stand below those."""
    more: list[str] = []
    templates: dict[str, list[str]] = {}
    into = more
    for line in lines:
        head, colon, rest = line.partition(":")
        key = TEMPLATES.get(head.strip(BLANKS).lower()) if colon else None
        if key is not None and key not in pairs and key not in templates:
            into = templates[key] = [rest]
        elif line or into is not more:
            into.append(line)
    pairs.update((key, "\n".join(found).strip(BLANKS)) for key, found in templates.items())
    return more
