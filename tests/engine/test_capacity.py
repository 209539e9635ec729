"""What fits is learned in a few failures, is not tried at each step, and is found again when there is memory."""

from __future__ import annotations

import random

import pytest

from webui.engine.capacity import LONGEST_WAIT, SOON, WAIT, Capacity


def step(capacity: Capacity, shape: str, wanted: int, memory: int) -> int:
    """Makes one call of at most `wanted` rows; how many times it failed."""
    failures = 0
    while (rows := max(1, capacity.rows(shape, wanted))) > memory:
        capacity.failed(shape, rows)
        failures += 1
        assert failures < 20
    capacity.made(shape, rows)
    return failures


@pytest.mark.parametrize("memory", range(1, 16))
def test_a_batch_that_is_too_large_fails_a_few_times_and_not_at_each_step(memory: int) -> None:
    capacity = Capacity()
    assert step(capacity, "large", 16, memory) <= 4
    assert memory // 2 < capacity.rows("large", 16) <= memory
    assert sum(step(capacity, "large", 16, memory) for _ in range(WAIT - 1)) == 0
    assert capacity.rows("small", 16) == 16  # of which nothing is known


def test_memory_that_becomes_free_is_used_again() -> None:
    capacity = Capacity()
    step(capacity, "s", 16, 4)
    assert capacity.rows("s", 16) == 4
    failures = [step(capacity, "s", 16, 16) for _ in range(3 * WAIT)]
    assert sum(failures) == 0 and capacity.rows("s", 16) == 16
    step(capacity, "s", 16, 4)
    capacity.freed()
    assert sum(step(capacity, "s", 16, 16) for _ in range(3 * SOON + WAIT)) == 0
    assert capacity.rows("s", 16) > 4


def test_what_fails_again_is_tried_ever_more_seldom() -> None:
    capacity = Capacity()
    steps = 20 * LONGEST_WAIT
    failures = sum(step(capacity, "s", 16, 5) for _ in range(steps))
    assert failures < 2 + 8 + steps / LONGEST_WAIT


def test_one_row_that_does_not_fit_is_remembered_too() -> None:
    capacity = Capacity()
    capacity.failed("vae", 1)
    assert capacity.rows("vae", 1) == 0
    for _ in range(WAIT):
        assert capacity.rows("vae", 1) == 0
        capacity.made("vae", 0)
    assert capacity.rows("vae", 1) == 1


def test_shapes_are_not_remembered_without_end() -> None:
    capacity, dice = Capacity(), random.Random(1)
    for _ in range(5000):
        capacity.failed(dice.randrange(10**6), 16)
    assert len(capacity._learned) <= 256
