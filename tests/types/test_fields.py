"""Fields of dataclasses that are declared by controls."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from webui.types import Choice
from webui.types.fields import declared, of


@dataclass(frozen=True, slots=True, kw_only=True)
class Folded:
    grid: Any = of(
        Choice(label="Grid", choices=(("Off", ()), ("2 by 3", (2, 3))), default=(2, 3), omit=())
    )


def test_a_list_may_be_what_a_field_usually_is():
    """Written as a tuple; each value has a list of its own."""
    assert Folded().grid == [2, 3] == declared(Folded)["grid"].default
    assert Folded().grid is not Folded().grid is not declared(Folded)["grid"].default
    assert replace(Folded(), grid=[]).grid == []
