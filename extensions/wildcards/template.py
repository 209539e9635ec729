"""The language of templates: choices in braces, wildcards between double underscores. Knows no files.

    {a|b|c}         one of them, each as likely; an option may be empty, and hold further choices
    {3::a|b}        weights: a three times as often as b; 1 where none is given
    {2$$a|b|c}      two different ones, joined by ", "; {1-2$$...} one or two, {2$$ and $$...} joined by " and "
    __name__        one of the options of the list of that name; {2$$__name__} two different ones
    \\{  \\}  \\|  \\__   the characters themselves

Outside braces `|` and `}` mean themselves.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

__all__ = ["Drawing", "TemplateError"]

DEPTH_MAX = 10  # choices within choices within lists
DRAWS_MAX = 1000  # so that lists that name lists that name lists come to an end
LENGTH_MAX = 20_000  # characters, as a prompt's

WILDCARD = r"__(?P<name>[^\s_{}|][^{}|\n]*?)__"
TOKEN = re.compile(r"\\__|\\[{}|]|[{}|]|" + WILDCARD)
BARE = re.compile(r"\s*" + WILDCARD + r"\s*")
COUNT = re.compile(r"(\d{1,3})(?:-(\d{1,3}))?\$\$(?:([^{}|$]*)\$\$)?")
WEIGHT = re.compile(r"\s*(\d{1,6}(?:\.\d{1,6})?)::")


class TemplateError(ValueError):
    """A template that means nothing; the message says why."""


@dataclass(slots=True)
class Drawing:
    """Resolves templates, the draws of one random state in order. `lists(name)` gives a wildcard's options."""

    random: random.Random
    lists: Callable[[str], Sequence[str]]
    draws: int = 0

    def resolved(self, template: str, depth: int = 0) -> str:
        """What `template` comes to. Only the options that are drawn are looked into."""
        if depth > DEPTH_MAX:
            raise TemplateError(
                f"more than {DEPTH_MAX} choices and wildcards inside each other"
                f" (at {shortened(template)}): does a list name itself?"
            )
        done, at = [], 0
        while match := TOKEN.search(template, at):
            done.append(template[at : match.start()])
            token, at = match.group(), match.end()
            if token == "{":
                options, at = options_from(template, at)
                token = self._choice(options, depth)
            elif token.startswith("\\"):
                token = token[1:]
            elif match["name"]:
                token = self._draw(self.lists(match["name"]), depth)[0]
            done.append(token)
        done.append(template[at:])
        if sum(map(len, done)) > LENGTH_MAX:
            raise TemplateError(f"comes to more than {LENGTH_MAX} characters")
        return "".join(done)

    def _choice(self, options: Sequence[str], depth: int) -> str:
        """What `{...}` comes to, by the options between its bars."""
        head = COUNT.match(options[0])
        if head is None:
            return self._draw(options, depth)[0]
        low, high = int(head[1]), int(head[2] or head[1])
        options = [options[0][head.end() :], *options[1:]]
        if len(options) == 1 and (bare := BARE.fullmatch(options[0])):
            options = self.lists(bare["name"])
        if not low <= high <= len(options):
            raise TemplateError(f"{{{head[0]}...}} draws from {len(options)} options")
        count = low + int(self.random.random() * (high - low + 1))
        return (", " if head[3] is None else head[3]).join(self._draw(options, depth, count))

    def _draw(self, options: Sequence[str], depth: int, count: int = 1) -> list[str]:
        """`count` different options, resolved, in the order in which they are drawn."""
        left = [weighted(option) for option in options]
        drawn = []
        for _ in range(count):
            self.draws += 1
            if self.draws > DRAWS_MAX:
                raise TemplateError(f"more than {DRAWS_MAX} choices to make")
            weights = [weight for weight, _ in left]
            if sum(weights) <= 0:
                raise TemplateError("no option has a weight above 0")
            (number,) = self.random.choices(range(len(left)), weights)
            drawn.append(self.resolved(left.pop(number)[1], depth + 1))
        return drawn


def options_from(template: str, start: int) -> tuple[list[str], int]:
    """The options of the choice whose brace was opened before `start`, unresolved, and where it ends."""
    options, at, inside = [], start, 0
    for match in TOKEN.finditer(template, start):
        token = match.group()
        if token in "|}" and not inside:
            options.append(template[at : match.start()])
            at = match.end()
            if token == "}":
                return options, at
        inside += (token == "{") - (token == "}")
    raise TemplateError(f"{shortened(template[start - 1 :])} is never closed; \\{{ is a brace")


def weighted(option: str) -> tuple[float, str]:
    """An option's weight, and what follows it."""
    head = WEIGHT.match(option)
    return (float(head[1]), option[head.end() :]) if head else (1.0, option)


def shortened(text: str) -> str:
    return repr(text if len(text) <= 30 else text[:27] + "...")
