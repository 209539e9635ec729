"""Patches are values: equal contents are one patch, here and after a restart; what is compared by identity is
refused."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch

from webui.plugins.guards import no_patches
from webui.types import Patch, Tensors
from webui.types.patches import no_value


@dataclass(frozen=True)
class Scaled(Patch):
    by: float
    parts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Told(Patch):
    """As an image prompt: keys and values of its own."""

    tensors: Tensors
    weight: float = 1.0


def told(seed: int = 1) -> Told:
    generator = torch.Generator().manual_seed(seed)
    keys = torch.randn(4, 8, generator=generator)
    return Told(Tensors(keys=keys, values=keys.half()))


def test_tensors_are_equal_by_contents() -> None:
    assert told() == told() and hash(told()) == hash(told()) and told().key() == told().key()
    assert told() != told(2) and told().key() != told(2).key()
    assert Tensors(a=torch.zeros(2, 3)) != Tensors(a=torch.zeros(3, 2))
    assert Tensors(a=torch.zeros(2)) != Tensors(b=torch.zeros(2))
    assert Tensors(a=torch.zeros(2)) != Tensors(a=torch.zeros(2).half())
    assert Tensors(a=torch.zeros(2)).keys() == {"a"} and Tensors() == Tensors()
    assert Tensors(a=torch.ones(2).bfloat16()) != Tensors(a=torch.zeros(2).bfloat16())


def test_kinds_with_equal_values_are_told_apart() -> None:
    @dataclass(frozen=True)
    class Other(Patch):
        by: float
        parts: tuple[str, ...] = ()

    assert Scaled(0.5).key() != Other(0.5).key() != Scaled(0.5, ("mid",)).key()


KEY = "import tests.types.test_patches as t; print(t.told().key(), t.Scaled(0.1).key())"


def test_a_key_is_the_same_in_another_process() -> None:
    other = subprocess.run([sys.executable, "-c", KEY], capture_output=True, text=True, check=True)
    assert other.stdout.strip() == f"{told().key()} {Scaled(0.1).key()}"


class Plain(Patch):
    pass


@dataclass(frozen=True, eq=False)
class Same(Patch):
    pass


@dataclass(frozen=True)
class Calls(Patch):
    function: Callable[[], int]


@dataclass(frozen=True)
class Raw(Patch):
    tensor: object


@dataclass
class Loose(Patch):
    by: float


@dataclass(frozen=True)
class Listed(Patch):
    parts: list[int]


@pytest.mark.parametrize(
    ("patch", "why"),
    [
        (Plain(), "Plain is compared by identity; make it a frozen dataclass"),
        (Same(), "Same is compared by identity; make it a frozen dataclass"),
        (Calls(lambda: 1), "Calls.function (function) is compared by identity; use plain values"),
        (Raw(torch.ones(2)), "Raw.tensor holds Tensor; put tensors into a Tensors"),
        (Raw(np.ones(2)), "Raw.tensor holds ndarray; put tensors into a Tensors"),
        (Raw(object()), "Raw.tensor (object) is compared by identity; use plain values"),
        (Loose(1.0), "Loose cannot be compared and hashed"),
        (Listed([1]), "Listed cannot be compared and hashed"),
    ],
)
def test_what_is_no_value_is_refused_with_its_reason(patch: Patch, why: str) -> None:
    assert why in no_value(patch)
    assert why in no_patches((patch,))


def test_what_is_not_compared_may_be_anything() -> None:
    @dataclass(frozen=True)
    class Kept(Patch):
        name: str
        cache: object = field(default_factory=object, compare=False)

    for patch in (Kept("a"), Scaled(0.5), told()):
        assert no_value(patch) == "" and no_patches((patch,)) == ""
