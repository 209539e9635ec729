"""Whose seconds they are, told by a clock that the test turns by hand."""

from __future__ import annotations

import logging
import threading

import pytest

from webui.plugins.clock import IMPORT, Clock, Watchdog


class Hands:
    """A clock's hands: seconds that only move when they are moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
def clock(hands) -> Clock:
    return Clock(hands)


def test_code_of_another_extension_pauses_the_outer_one(clock, hands):
    clock.enter("outer", "task")
    hands.now += 1
    clock.enter("inner", "sampler")
    hands.now += 10
    clock.leave()
    hands.now += 2
    clock.leave()
    hands.now += 50  # nobody's
    assert clock.seconds("outer") == (0, 3)
    assert clock.seconds("inner") == (0, 10)


def test_importing_is_counted_by_itself(clock, hands):
    clock.enter("slow", IMPORT)
    hands.now += 4
    clock.leave()
    clock.enter("slow", "startup")
    hands.now += 1
    clock.leave()
    assert clock.seconds("slow") == (4, 1)


def test_a_stay_is_as_long_as_it_has_run_without_coming_back(clock, hands):
    """Entering an inner one and coming back begins anew: the outer one did give signs of life."""
    clock.enter("outer", "task")
    hands.now += 4
    clock.enter("inner", "sampler")
    hands.now += 4
    assert clock.hanging("outer", 5) == clock.hanging("inner", 5) == ""
    hands.now += 2
    assert clock.hanging("inner", 5) == "sampler for 6 s"
    assert clock.hanging("outer", 5) == ""
    clock.leave()
    assert clock.hanging("inner", 5) == ""
    hands.now += 6
    assert clock.hanging("outer", 5) == "task for 6 s"


def test_the_watchdog_names_what_hangs_once_and_shows_where(clock, hands, caplog):
    entered, leave = threading.Event(), threading.Event()

    def hang_here() -> None:
        clock.enter("stuck", "wrap_denoise")
        entered.set()
        leave.wait(60)
        clock.leave()

    thread = threading.Thread(target=hang_here)
    thread.start()
    entered.wait(60)
    dog = Watchdog(clock, after_s=5, every_s=1)
    with caplog.at_level(logging.WARNING):
        dog.look()
        assert not caplog.records
        hands.now += 7
        dog.look()
        dog.look()
    leave.set()
    thread.join()
    (record,) = caplog.records
    assert "'stuck': wrap_denoise has not come back for 7 s" in record.message
    assert "hang_here" in record.message
    assert clock.overdue(0) == []


def test_each_thread_has_its_own_stack(clock, hands):
    inside = threading.Barrier(2)
    done = threading.Barrier(2)

    def other() -> None:
        clock.enter("b", "hook")
        inside.wait()
        done.wait()
        clock.leave()

    thread = threading.Thread(target=other)
    clock.enter("a", "hook")
    thread.start()
    inside.wait()
    hands.now += 3
    assert {stay.extension for _, stay, _ in clock.overdue(1)} == {"a", "b"}
    done.wait()
    thread.join()
    clock.leave()
    assert clock.seconds("a") == clock.seconds("b") == (0, 3)
