"""The styles that come with Easel, from `webui/styles.csv`: A1111's columns and `group`. Nobody writes that file."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from webui.store.style_tables import Style, parse

__all__ = ["SHIPPED", "ShippedStyle", "shipped_styles"]

SHIPPED = Path(__file__).parents[1] / "styles.csv"


@dataclass(frozen=True, slots=True)
class ShippedStyle:
    """A style of ours, and the name of the group that it stands in."""

    style: Style
    group: str


@cache
def shipped_styles(path: Path = SHIPPED) -> tuple[ShippedStyle, ...]:
    """All of them in the order of their file, which begins with the starter model's; none where there is no file."""
    if not path.is_file():
        return ()
    table = parse(path.read_text(encoding="utf-8"))
    place = table.others.index("group")
    return tuple(
        ShippedStyle(Style(one.name, one.prompt, one.negative_prompt), one.others[place])
        for one in table.found
    )
