"""Whoever presses again before the last job is shown has both pictures in the strip, the newest on show."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

from tests.ui.hands import SHOWN, line, module
from tests.ui.painter import FlatPainter, until
from tests.ui.test_stage import REQUEST
from webui.job_stream import Interest
from webui.types import JobStatus
from webui.ui.background_jobs import Added, collected
from webui.ui.stage_streams import Newest

NOTE = Added.note
STRIP = "() => [...document.querySelectorAll('#txt2img-stage .stage-strip > *')].map((one) => one.dataset.key)"


def press_at_once(tab: Any, times: int) -> None:
    """Before the page can hear of the first."""
    tab.evaluate(
        """(times) => {
            const button = [...document.querySelectorAll(".easel-generate")].find((one) => one.offsetParent);
            for (let n = 0; n < times; n++) button.click();
        }""",
        times,
    )


def all_shown(tab: Any, painter: FlatPainter, count: int) -> list[str]:
    """Waits until the strip has so many pictures and no job is on the way; gives their keys."""
    tab.wait_for_function(f"() => ({STRIP})().length === {count}")
    tab.locator(".easel-task:visible:not([data-running])").wait_for()
    keys: list[str] = tab.evaluate(STRIP)
    assert {key.split("/")[0] for key in keys} == {job.id for job in painter.jobs()[-count:]}
    return keys


@pytest.mark.parametrize("reload", [False, True], ids=["", "reloaded"])
def test_every_press_has_its_picture_in_the_strip(
    tab: Any, painter: FlatPainter, reload: bool
) -> None:
    painter.hold.clear()
    press_at_once(tab, 3)
    until(lambda: len(painter.submitted) == 3, "all jobs are with the engine")
    line(tab, "Step 1 of 4").wait_for()
    if reload:
        tab.wait_for_function(
            "() => JSON.parse(sessionStorage['easel-aside-txt2img']).length === 2"
        )
        tab.reload()
        line(tab, "Step 1 of 4").wait_for()
    painter.hold.set()
    keys = all_shown(tab, painter, 3)
    shown = tab.locator("#txt2img-stage .stage-strip > [aria-current=true]")
    assert shown.get_attribute("data-key") == keys[0]
    assert tab.evaluate("() => JSON.parse(sessionStorage['easel-job-txt2img'])") in keys[0]
    assert tab.evaluate("() => sessionStorage['easel-aside-txt2img']") == "[]"


def test_jobs_added_at_once_are_all_shown(tab: Any, painter: FlatPainter) -> None:
    painter.hold.clear()
    tab.locator(".easel-generate:visible").click()
    line(tab, "Step 1 of 4").wait_for()
    tab.evaluate(
        """() => {
            const button = [...document.querySelectorAll(".easel-add")].find((one) => one.offsetParent);
            for (let n = 0; n < 3; n++) button.click();
        }"""
    )
    until(lambda: len(painter.submitted) == 4, "all jobs are with the engine")
    painter.hold.set()
    all_shown(tab, painter, 4)


def test_a_job_whose_answer_was_lost_is_shown_all_the_same(
    tab: Any, painter: FlatPainter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two updates of the page that come at once, Gradio lets the first go."""
    monkeypatch.setattr(Added, "note", lambda added, *of: NOTE(added, *of)[:0])
    painter.hold.clear()
    tab.locator(".easel-generate:visible").click()
    line(tab, "Step 1 of 4").wait_for()
    tab.locator(".easel-add:visible").click()
    until(lambda: len(painter.submitted) == 2, "both jobs are with the engine")
    painter.hold.set()
    all_shown(tab, painter, 2)


def test_a_job_opened_from_the_queue_leaves_the_one_before_in_the_strip(
    tab: Any, painter: FlatPainter
) -> None:
    painter.hold.clear()
    press_at_once(tab, 1)
    line(tab, "Step 1 of 4").wait_for()
    first = painter.last_job
    second = painter.submit(painter.submitted[-1], painter.status(first).owner)
    show = f"{module('shown-jobs.js')}.showJob('txt2img', job)"
    tab.evaluate(f"async (job) => {{ {show}; }}", second)
    tab.wait_for_function(
        "(job) => sessionStorage['easel-job-txt2img'] === JSON.stringify(job)", arg=second
    )
    painter.hold.set()
    all_shown(tab, painter, 2)
    tab.wait_for_function(SHOWN, arg=["txt2img", second])


def test_a_stream_knows_which_jobs_it_has_overtaken() -> None:
    newest = Newest()
    with newest.stream("here", "a") as (wanted_a, of_a):
        with newest.stream("here", "b") as (wanted_b, of_b):
            assert not wanted_a() and wanted_b()
            with (
                newest.stream("elsewhere", "x") as (_, of_x),
                newest.stream("here", "c") as (_, of_c),
            ):
                assert (of_a, of_b, of_c, of_x) == ((), ("a",), ("a", "b"), ())
            with newest.stream("here", "d") as (_, of_d):  # c has come to its end
                assert of_d == ()


def test_the_higher_number_is_the_newer_stream() -> None:
    newest = Newest()
    with newest.stream("here", "", 2) as (second, _), newest.stream("here", "", 1) as (first, _):
        assert second() and not first()


def test_jobs_that_a_stopped_server_broke_off_are_asked_for_again() -> None:
    """The page is told of none of them, so it keeps asking when the server is back."""
    stopped = JobStatus("j", "cancelled", 1, REQUEST, error="Easel was stopped")
    cancelled = JobStatus("k", "cancelled", 1, REQUEST)
    engine = SimpleNamespace(
        status={"j": stopped, "k": cancelled}.__getitem__, watch=lambda job, wake: nullcontext()
    )

    async def told() -> list[dict[str, Any]]:
        return [found async for found in collected(engine, None, ["j", "k"], Interest())]  # type: ignore[arg-type]

    with ThreadPoolExecutor(1) as pool:  # the browser has a loop on this thread
        heard = pool.submit(lambda: asyncio.run(told())).result()
    assert [[*found] for found in heard] == [["k"]]
