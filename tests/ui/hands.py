"""What a person does on the page."""

from __future__ import annotations

from typing import Any

from tests.ui.painter import FlatPainter, until
from webui.types import GenerationRequest

__all__ = ["choose", "generate", "line", "module", "number", "paint", "whole"]

SHOWN = """([task, job]) => sessionStorage.getItem("easel-job-" + task) === JSON.stringify(job)
    && !document.querySelector(".easel-task[data-running]")"""


def generate(tab: Any) -> None:
    tab.locator(".easel-generate:visible").click()


def paint(tab: Any, painter: FlatPainter) -> GenerationRequest:
    """Presses Generate and waits until the result is shown; gives what the engine was asked for."""
    before = len(painter.submitted)
    generate(tab)
    until(lambda: len(painter.submitted) > before, "the job is with the engine")
    request = painter.submitted[-1]
    tab.wait_for_function(SHOWN, arg=[request.task, painter.last_job])
    return request


def whole(tab: Any) -> None:
    """Waits until the folded groups of the task on show are drawn, too."""
    tab.wait_for_function(
        """() => [...document.querySelectorAll(".easel-task")].filter((task) => task.offsetParent)
        .every((task) => !task.querySelector(".easel-group > button:not(.open)"))"""
    )


def line(tab: Any, text: str) -> Any:
    """The line under the picture, when it says `text`."""
    return tab.locator(".stage-line:visible", has_text=text)


def module(name: str) -> str:
    """JavaScript for a module of the page, the very one that the page runs; within a function that is `async`."""
    return f"(await import(document.querySelector('head script[src^=\"easel.\"]').src)).modules['{name}']"


def number(tab: Any, name: str, value: int) -> None:
    """Types a number into the control of that id."""
    box = tab.locator(f"#{name} input[type=number], input[type=number]#{name}").first
    box.fill(str(value))
    box.press("Tab")


def choose(tab: Any, name: str) -> None:
    """Opens a task's tab."""
    tab.get_by_role("tab", name=name).click()
    tab.locator(".easel-task:visible .easel-generate").wait_for()
