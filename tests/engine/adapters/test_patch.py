"""What lies between two prompts' adapters."""

from __future__ import annotations

from typing import Any

import pytest

from webui.engine.adapters.merged_weights import MergedWeightCache
from webui.engine.adapters.patch import LoraPatch
from webui.engine.part_cache import PartCache
from webui.types import Patch

A, B, NET = "a", "b", "net"  # stand for adapters, which are told apart by what they are


def lora(*unet: Any, hypernetworks: Any = ()) -> LoraPatch:
    return LoraPatch(
        unet, tuple((one, strength / 2) for one, strength in unet), KEPT, hypernetworks
    )


KEPT = MergedWeightCache(PartCache(1 << 30))


def test_strengths_lie_on_a_straight_line() -> None:
    first, last = lora((A, 1.0), (B, 0.4)), lora((A, 0.5), hypernetworks=((NET, 2.0),))
    half = first.towards(last, 0.5)
    assert isinstance(half, LoraPatch)
    assert dict(half.unet) == pytest.approx({A: 0.75, B: 0.2})
    assert dict(half.text) == pytest.approx({A: 0.375, B: 0.1})
    assert dict(half.hypernetworks) == {NET: 1.0}


def test_the_ends_are_the_ends() -> None:
    first, last = lora((A, 1.0)), lora((B, 0.4))
    assert (first.towards(last, 0), first.towards(last, 1)) == (first, last)


def test_nothing_stands_for_the_model_as_it_is() -> None:
    only = lora((A, 1.0))
    assert only.towards(None, 0) == only
    assert only.towards(None, 1) is None
    quarter = only.towards(None, 0.75)
    assert isinstance(quarter, LoraPatch) and quarter.unet == ((A, 0.25),)


def test_a_patch_without_strengths_changes_half_way() -> None:
    one, other = Patch(), lora((A, 1.0))
    assert [one.towards(other, part) is other for part in (0.0, 0.4, 0.6, 1.0)] == [
        *(False, False),
        *(True, True),
    ]
