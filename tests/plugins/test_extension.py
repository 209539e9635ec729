"""One extension's boundary: what is said of an error, how much is remembered, what does not come back."""

from __future__ import annotations

import sys
import threading
import time

import pytest

from webui.errors import ModelFileError, RequestError
from webui.plugins.clock import Clock
from webui.plugins.extension import PROBLEMS, Extension, Fault, Limits, sentence_of
from webui.plugins.finding import Found
from webui.plugins.worker import on_worker
from webui.types import on_behalf_of


@pytest.fixture
def guest() -> Extension:
    extension = Extension(Found("guest", __file__), Clock(), Limits(failures=1000))
    extension.loaded = True
    return extension


def until(met) -> None:
    limit = time.monotonic() + 60
    while not met():
        assert time.monotonic() < limit
        time.sleep(0.01)


def here() -> int:
    return sys._getframe(1).f_lineno


def test_an_error_is_told_with_the_extensions_own_line(guest):
    """The innermost one of its own source, not where a library stumbled."""
    line = 0

    def fail() -> None:
        nonlocal line
        line = here() + 1
        int("no number", base=99)

    with pytest.raises(Fault) as caught:
        guest.call("startup", fail)
    assert f"(test_extension.py, line {line})" in str(caught.value)


def test_an_error_on_purpose_keeps_its_sentence():
    assert (
        sentence_of(ModelFileError("x.pth: use safetensors"), Found("a", "b"))
        == "x.pth: use safetensors"
    )


def test_problems_are_remembered_once_and_not_without_end(guest):
    for number in range(100):
        guest.problem(f"number {number}")
        guest.problem("number 0")
    assert len(guest.status().problems) == PROBLEMS
    assert guest.status().problems[0] == "number 0 (101 times)"


def test_a_call_with_a_limit_answers_raises_or_is_left_behind():
    assert on_worker(lambda: 7, 5, "test").value == 7
    error = on_worker(lambda: sys.exit(3), 5, "test").error
    assert isinstance(error, SystemExit) and error.code == 3

    go = threading.Event()

    def wait_in_here() -> None:
        go.wait(60)

    assert "wait_in_here" in on_worker(wait_in_here, 0.1, "test").stack
    go.set()


def test_of_a_hook_that_hangs_one_call_for_each_visitor_is_left_behind(guest):
    """So that nobody fills the machine with threads by sending again what it hangs over."""
    go, begun = threading.Event(), []

    def hang() -> None:
        begun.append(asker_named)
        go.wait(60)

    for asker_named in ("ann", "ann", "bob"):
        with on_behalf_of(asker_named), pytest.raises(Fault, match="come back"):
            guest.limited("change_request", hang, 0.1)
    assert begun == ["ann", "bob"]
    go.set()
    until(lambda: not guest._stuck)
    with on_behalf_of("ann"):
        assert guest.limited("change_request", lambda: 7, 5) == 7


def test_what_is_said_on_purpose_is_told_and_not_counted():
    extension = Extension(Found("guest", __file__), Clock(), Limits(failures=1))
    extension.loaded = True

    def refuse() -> None:
        raise RequestError("prompt: no unicorns", "prompt")

    with pytest.raises(Fault, match="no unicorns"):
        extension.limited("image_saved", refuse, 5)
    with pytest.raises(RequestError, match="no unicorns"):
        extension.call("wrap_denoise", refuse)
    assert extension.active
    assert extension.status().problems == ("image_saved: prompt: no unicorns",)


def test_an_exit_ends_the_call_and_not_the_thread(guest):
    with pytest.raises(Fault, match=r"it called sys\.exit\('bye'\)"):
        guest.limited("startup", lambda: sys.exit("bye"), 5)
    with pytest.raises(Fault, match=r"it called sys\.exit\(0\)"):
        guest.call("image_saved", sys.exit, 0)
