"""Calls with a limit count what they do, not how slow the machine is."""

from __future__ import annotations

import threading
import time

import pytest

from webui.plugins.worker import Patience, on_worker


def seen(limit_s: float, *looks: tuple[float, float]) -> list[bool]:
    """What is decided at each look: (seconds by the clock, of the processor)."""
    patience = Patience(limit_s)
    return [patience.ended(wall, own, own) for wall, own in looks]


def test_a_call_that_gets_a_tenth_of_a_processor_has_ten_times_as_long() -> None:
    assert not any(seen(8, *((wall, wall / 10) for wall in range(1, 79))))
    assert seen(8, (80, 7.9)) == [True]


def test_a_call_that_takes_the_processor_ends_at_its_limit() -> None:
    assert seen(8, (7.9, 7.8), (8.1, 8.0)) == [False, True]


def test_a_call_that_does_nothing_ends_at_its_limit() -> None:
    assert seen(8, (1, 0.001), (7.9, 0.001), (8.1, 0.002)) == [False, False, True]


def test_a_call_that_stops_working_has_its_limit_from_then_on() -> None:
    assert seen(8, (6, 3.0), (13.9, 3.0), (14.1, 3.0)) == [False, False, True]


def test_a_call_that_waits_for_others_imports_is_not_idle() -> None:
    patience = Patience(8)
    assert not any(patience.ended(wall, 0.1, wall / 2) for wall in range(1, 40))


def test_a_value_and_an_error_come_back() -> None:
    assert on_worker(lambda: 7, 5, "test").value == 7
    assert isinstance(on_worker(lambda: 1 / 0, 5, "test").error, ZeroDivisionError)


@pytest.mark.parametrize("way", ["sleeps", "spins"])
def test_what_does_not_come_back_is_left_where_it_is(way: str) -> None:
    stop = threading.Event()

    def sleeps() -> None:
        stop.wait(60)

    def spins() -> None:
        until = time.monotonic() + 60
        while not stop.is_set() and time.monotonic() < until:
            pass

    outcome = on_worker({"sleeps": sleeps, "spins": spins}[way], 0.05, "test")
    stop.set()
    assert way in outcome.stack
