"""The language of templates: choices in braces, wildcards between double underscores. Knows no files.

    {a|b|c}         one of them, each as likely; an option may be empty, and hold further choices
    {3::a|b}        weights: a three times as often as b; 1 where none is given
    {2$$a|b|c}      two different ones, joined by ", "; {1-2$$...} one or two, {2$$ and $$...} joined by " and ";
                    {-2$$...} at most two, {2-$$...} at least two
    __name__        one of the options of the list of that name; {2$$__name__} two different ones
    \\{  \\}  \\|  \\__   the characters themselves

Whatever else somebody writes means itself: braces without a bar, a weight or a number (`{masterpiece}`), braces that
are never closed, bars and braces outside, `__x__` inside of a longer word. Inside of tags (`<lora:my__style:1>`) there
are choices, and no wildcards.

What comes out is a template for itself: escapes stay as they were typed (the engine takes the backslashes away, as it
does in front of brackets), so the prompt in a picture gives the same prompt again.
"""

from __future__ import annotations

import random
import re
from bisect import bisect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise

from webui.api import Prompt, Sentence, parse_prompt

__all__ = ["Drawing", "Options", "TemplateError", "Unknown", "marks_of"]

DEPTH_MAX = 10  # lists within lists
NESTED_MAX = 16  # choices within choices of one text; deeper braces mean themselves
DRAWS_MAX = 1000  # so that lists that name lists that name lists come to an end
LENGTH_MAX = 20_000  # characters, as a prompt's

WILDCARD = r"__(?P<name>[^\s_{}|<>][^{}|<>\n]*?)__"
TOKEN = re.compile(r"\\__|\\[{}|]|[{}|]|" + WILDCARD)
OTHER_TAG = re.compile(r"<[a-z]\w*:[^<>\n]*>", re.IGNORECASE)
# Letters of scripts that put blanks between words: `bad__hands__v5` is a word, and a Chinese sentence is none.
LETTER = re.compile(r"[0-9A-Za-z\u00aa\u00b5\u00ba\u00c0-\u0dff]")
COUNT = re.compile(r"\s*(?:(\d{1,3})(-?)(\d{1,3})?|-(\d{1,3}))\s*\$\$(?:([^{}|$]*)\$\$)?")
WEIGHT = re.compile(r"\s*(\d{1,6}(?:\.\d{0,6})?|\.\d{1,6})::")


class TemplateError(ValueError):
    """A template that means nothing; the message says why."""


class Unknown(TemplateError):
    """A wildcard that no list has the name of."""


@dataclass(frozen=True, slots=True)
class Options:
    """What may be drawn, with weights (and their running sums)."""

    weights: Sequence[float]
    sums: Sequence[float] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sums", list(accumulate(self.weights)))


@dataclass(frozen=True, slots=True)
class Lines(Options):
    """The options of a list."""

    texts: Sequence[str]

    @classmethod
    def of(cls, options: Sequence[str]) -> Lines:
        parts = [weighted(option, 0, len(option)) for option in options]
        return cls(
            [w for w, _ in parts], [o[at:] for o, (_, at) in zip(options, parts, strict=True)]
        )


@dataclass(slots=True)
class Mark:
    """A sign in a text, from `start` to `end`. `name` is a wildcard's; `bars` and `close` are marks by their numbers,
    of a brace that opens a choice."""

    sign: str
    start: int
    end: int
    name: str = ""
    bars: tuple[int, ...] = ()
    close: int = 0  # 0: the brace means itself


@dataclass(slots=True)
class Drawing:
    """Resolves templates, the draws of one random state in order.

    `lists(name)` gives a wildcard's options and raises `Unknown`; `words` are further names that hold underscores
    and mean themselves (textual inversions), in lower case.
    """

    random: random.Random
    lists: Callable[[str], Sequence[str]]
    words: frozenset[str] = frozenset()
    draws: int = 0
    _lines: dict[str, Lines] = field(default_factory=dict)

    def resolved(self, template: str) -> str:
        """What `template` comes to, as a template for itself. Only the options that are drawn are looked into."""
        done = self._resolved(template, 0)
        return done if done == template else self._escaped(done)

    def _resolved(self, template: str, depth: int) -> str:
        if depth > DEPTH_MAX:
            raise TemplateError(
                Sentence(
                    "more than {depth_max} wildcards inside each other (at {shortened}): "
                    "does a list name itself?",
                    depth_max=DEPTH_MAX,
                    shortened=shortened(template),
                )
            )
        marks = marks_of(template, self.words)
        return self._between(template, marks, 0, 0, len(template), depth)

    def _between(
        self, text: str, marks: Sequence[Mark], first: int, at: int, end: int, depth: int
    ) -> str:
        """What the part of `text` from `at` to `end` comes to, whose marks begin at number `first`."""
        done, i = [], first
        while i < len(marks) and marks[i].start < end:
            mark = marks[i]
            if mark.start < at or not (mark.close or mark.name):
                i += 1
                continue
            done.append(text[at : mark.start])
            if mark.close:
                done.append(self._choice(text, marks, i, depth))
                i = mark.close + 1
                at = marks[mark.close].end
            else:
                done.append(self._wildcard(text, mark, depth))
                i, at = i + 1, mark.end
        done.append(text[at:end])
        if sum(map(len, done)) > LENGTH_MAX:
            raise TemplateError(
                Sentence("comes to more than {length_max} characters", length_max=LENGTH_MAX)
            )
        return "".join(done)

    def _wildcard(self, text: str, mark: Mark, depth: int) -> str:
        lines = self._lines_of(text, mark)
        return mark.sign if lines is None else self._drawn(lines, depth, 1)[0]

    def _lines_of(self, text: str, mark: Mark) -> Lines | None:
        """The options of a wildcard. None for one that is not known, and may be part of a word, or a word itself."""
        try:
            if mark.name not in self._lines:
                self._lines[mark.name] = Lines.of(self.lists(mark.name))
        except Unknown:
            known = mark.sign.lower() in self.words or mark.name.lower() in self.words
            if known or LETTER.match(text, mark.end):
                return None
            raise
        return self._lines[mark.name]

    def _choice(self, text: str, marks: Sequence[Mark], number: int, depth: int) -> str:
        """What `{...}` comes to, by the options between its bars."""
        opened = marks[number]
        edges = [number, *opened.bars, opened.close]
        parts = [  # the first mark of each option, where it begins and ends
            (one + 1, marks[one].end, marks[two].start) for one, two in pairwise(edges)
        ]
        low = high = 1
        joint = ", "
        head = COUNT.match(text, parts[0][1], parts[0][2])
        if head is not None:
            parts[0] = parts[0][0], head.end(), parts[0][2]
            joint = ", " if head[5] is None else head[5]
            bare = self._bare(text, marks, *parts[0]) if len(parts) == 1 else None
            many = len(bare.texts) if bare else len(parts)
            low = int(head[1] or 1)
            high = int(head[3] or head[4] or (many if head[2] else low))
            if not low <= high <= many:
                raise TemplateError(
                    Sentence(
                        "{{strip}...} draws from {many} options", strip=head[0].strip(), many=many
                    )
                )
            if bare is not None:
                return joint.join(self._drawn(bare, depth, self._number(low, high)))
        heads = [weighted(text, at, end) for _, at, end in parts]

        def resolved(option: int) -> str:
            first, _, end = parts[option]
            return self._between(text, marks, first, heads[option][1], end, depth)

        drawn = self._draw(
            Options([w for w, _ in heads]), self._number(low, high) if head else 1, resolved
        )
        return joint.join(drawn)

    def _bare(
        self, text: str, marks: Sequence[Mark], first: int, at: int, end: int
    ) -> Lines | None:
        """The options of the wildcard that is all there is between `at` and `end`."""
        inside = [mark for mark in marks[first : first + 2] if mark.start < end]
        if len(inside) != 1 or not inside[0].name:
            return None
        around = text[at : inside[0].start] + text[inside[0].end : end]
        return None if around.strip() else self._lines_of(text, inside[0])

    def _number(self, low: int, high: int) -> int:
        return low + int(self.random.random() * (high - low + 1))

    def _drawn(self, lines: Lines, depth: int, count: int) -> list[str]:
        """`count` different lines of a list, resolved."""
        return self._draw(lines, count, lambda i: self._resolved(lines.texts[i], depth + 1))

    def _draw(self, options: Options, count: int, resolved: Callable[[int], str]) -> list[str]:
        """`count` different options, `resolved` by their numbers, in the order in which they are drawn."""
        drawn: list[str] = []
        left, sums = list(range(len(options.weights))) if count > 1 else None, options.sums
        for _ in range(count):
            self.draws += 1
            if self.draws > DRAWS_MAX:
                raise TemplateError(
                    Sentence("more than {draws_max} choices to make", draws_max=DRAWS_MAX)
                )
            if not sums or sums[-1] <= 0:
                raise TemplateError(Sentence("no option has a weight above 0"))
            place = bisect(sums, self.random.random() * sums[-1], 0, len(sums) - 1)
            number = place
            if left is not None:
                number = left.pop(place)
                sums = list(accumulate(options.weights[i] for i in left))
            drawn.append(resolved(number))
        return drawn

    def _escaped(self, text: str) -> str:
        """`text`, which is resolved, so that it means itself: parts of it may have become a template beside others."""
        if not any(sign in text for sign in ("|", "$$", "::", "__")):
            return text  # there is no choice without one of them
        marks = marks_of(text, self.words)
        if not any(mark.close or (mark.name and self._means(text, mark)) for mark in marks):
            return text
        done, at = [], 0
        for mark in marks:
            if mark.sign in "{|}" or (mark.name and self._means(text, mark)):
                done += text[at : mark.start], "\\"
                at = mark.start
        return "".join([*done, text[at:]])

    def _means(self, text: str, mark: Mark) -> bool:
        try:
            return self._lines_of(text, mark) is not None
        except TemplateError:
            return True


def marks_of(text: str, words: frozenset[str] = frozenset()) -> list[Mark]:
    """The signs of a template in their order, braces with what belongs to them; in one pass."""
    marks: list[Mark] = []
    opened: list[tuple[int, int, list[int]]] = []  # braces: the mark, the tag that it is in, bars
    prompt = parse_prompt(text, [word for word in words if "__" in word])
    tags = _tag_spans(text, prompt)
    kept = prompt.inversion_spans()
    tag = word = 0  # how many of them have ended
    for token in TOKEN.finditer(text):
        start, end = token.span()
        sign = token[0]
        within = -1
        if tags:
            while tag < len(tags) and tags[tag][1] <= start:
                tag += 1
            within = tag if tag < len(tags) and tags[tag][0] < start else -1
            while opened and opened[-1][1] not in (-1, within):
                opened.pop()  # its tag has ended
        here = opened and opened[-1][1] == within
        mark = Mark(sign, start, end)
        if token.lastgroup:
            while word < len(kept) and kept[word][1] <= start:
                word += 1
            inside = word < len(kept) and kept[word][0] <= start
            longer = inside and kept[word] != (start, end)
            if within < 0 and not longer and not (start and LETTER.match(text, start - 1)):
                mark.name = token["name"]
        elif sign == "{":
            opened.append((len(marks), within, []))
        elif here and sign == "|":
            opened[-1][2].append(len(marks))
        elif here and sign == "}":
            number, _, bars = opened.pop()
            marks[number].bars, marks[number].close = tuple(bars), len(marks)
        elif within >= 0 and sign in "|}":
            mark.sign = ""  # part of a name
        marks.append(mark)
    _keep_choices(text, marks)
    return marks


def _keep_choices(text: str, marks: list[Mark]) -> None:
    """Braces that hold no bar, no number and no weight mean themselves, and so do those that lie too deep."""
    ends: list[int] = []  # of the choices around
    for number, mark in enumerate(marks):
        while ends and ends[-1] <= number:
            ends.pop()
        if not mark.close:
            continue
        limits = mark.end, marks[mark.close].start
        meant = mark.bars or COUNT.match(text, *limits) or WEIGHT.match(text, *limits)
        if meant and len(ends) < NESTED_MAX:
            ends.append(mark.close)
        else:
            mark.close = 0


def _tag_spans(text: str, prompt: Prompt) -> list[tuple[int, int]]:
    """Where the tags of a prompt stand, and those of other programs, which are words to the engine."""
    known = prompt.tag_spans()
    starts = [start for start, _ in known]
    others = []
    for found in OTHER_TAG.finditer(text):
        start, end = found.span()
        near = bisect(starts, start)
        begun = near and known[near - 1][1] > start
        if not begun and not (near < len(known) and known[near][0] < end):
            others.append((start, end))
    return sorted([*known, *others])


def weighted(text: str, at: int, end: int) -> tuple[float, int]:
    """The weight of the option between `at` and `end`, and where it goes on."""
    head = WEIGHT.match(text, at, end)
    return (float(head[1]), head.end()) if head else (1.0, at)


def shortened(text: str) -> str:
    return repr(text if len(text) <= 30 else text[:27] + "...")
