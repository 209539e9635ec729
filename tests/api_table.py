"""The parameters in docs/api.md, out of the declarations. `python -m tests.api_table` writes them, a test compares."""

from __future__ import annotations

import re
from collections.abc import Sequence

from webui.settings import ROOT
from webui.types import (
    DEFAULTS,
    Choice,
    Control,
    Mask,
    Number,
    Picture,
    Seed,
    Side,
    Switch,
    Task,
    Text,
)
from webui.ui.endpoints import parameters_of

PAGE = ROOT / "docs" / "api.md"
BLOCK = re.compile(r"(?<=<!-- parameters -->\n).*?(?=<!-- /parameters -->)", re.DOTALL)
HEAD = "| parameter | of | range | default |\n|---|---|---|---|\n"
LISTS = {
    "models": "/models",
    "samplers": "/samplers",
    "schedules": "/schedulers",
    "upscalers": "/upscalers",
}
EXTRAS = (
    "| `extras` | all | one JSON object with the controls of extensions and the options of samplers and schedules "
    "| their own defaults |\n"
)


def table(tasks: Sequence[Task]) -> str:
    """The rows of every parameter of `tasks`, in the order of the declaration."""
    of: dict[str, list[str]] = {}
    controls: dict[str, Control] = {}
    for task in sorted(
        tasks, key=lambda task: -len(parameters_of(task))
    ):  # the one with all goes first
        for control in parameters_of(task):
            controls.setdefault(control.name, control)
            of.setdefault(control.name, []).append(task.name)
    rows = ""
    for name, control in controls.items():
        names = [task.name for task in tasks if task.name in of[name]]
        whose = "all" if len(names) == len(tasks) else ", ".join(names)
        rows += f"| `{name}` | {whose} | {span(control)} | {usual(control)} |\n"
    return HEAD + rows + EXTRAS


def span(control: Control) -> str:
    info = f"; {control.info[0].lower()}{control.info[1:]}" if control.info else ""
    return kind(control) + info.replace("|", "\\|")


def kind(control: Control) -> str:
    match control:
        case Side():
            return f"{control.minimum:g} to {control.maximum:g} in steps of {control.step:g}"
        case Number():
            return f"{control.minimum:g} to {control.maximum:g}"
        case Seed():
            return f"a whole number up to {control.maximum}"
        case Switch():
            return "true or false"
        case Choice():
            own = [
                f"`{value!s}`" if control.source else f"{_json(value)} {label}"
                for label, value in control.choices
            ]
            listed = {"": [], "vaes": ["a file's name in models/VAE"]}
            return ", ".join(
                own + listed.get(control.source, [f"a name from `{LISTS.get(control.source)}`"])
            )
        case Picture() | Mask():
            return "a picture, at most 64 MB and 64 megapixels"
        case Text():
            return "text"
    return control.label


def _json(value: object) -> str:
    return (
        str(value).lower()
        if isinstance(value, bool)
        else f"`{value}`"
        if isinstance(value, str)
        else str(value)
    )


def usual(control: Control) -> str:
    value = DEFAULTS.get(control.name)
    if control.required:
        return "required"
    if isinstance(control, Choice) and control.source == "models":
        return "the first that can be used"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return f"{value:g}"
    if value is None:
        return "none"
    return str(value) or "empty"


def written(page: str, rows: str) -> str:
    assert BLOCK.search(page), "docs/api.md has lost its place for the parameters"
    return BLOCK.sub(lambda _: rows, page)


if __name__ == "__main__":
    from webui.engine.tasks import TASKS

    text = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(written(text, table(list(TASKS.values()))), encoding="utf-8")
