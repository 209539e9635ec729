"""A request out of words: one option for each control of any task, and what their values mean."""

from __future__ import annotations

import argparse
from collections.abc import Container, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from webui import types
from webui.cli.jobs import check_output
from webui.defaults import complete
from webui.errors import RequestError
from webui.options import SentenceParser, flags
from webui.registry import Catalog
from webui.settings import Settings
from webui.types import (
    PLACED,
    Choice,
    Control,
    GenerationRequest,
    Mask,
    Number,
    Picture,
    Seed,
    Switch,
    Task,
)

__all__ = ["generate_parser", "read_request"]

# What tells the tasks apart.
OWN_PICTURES = frozenset(
    name for name, one in types.FIELDS.items() if one.required and isinstance(one, Picture | Mask)
)
EXTRA = "extras."  # before the names of values that travel in `extras`


def generate_parser(catalog: Catalog) -> SentenceParser:
    """One option per control of any task; help says which tasks have it where not all do."""
    parser = SentenceParser(
        prog="python launch.py generate",
        usage='python launch.py generate "PROMPT" [-o FILE] [options]',
        description="Makes pictures, saves them under outputs/ and prints their paths.",
        epilog="What is left out takes the model's own default. See also: python launch.py --help",
        add_help=False,
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
    )
    parser.add_argument("prompt", metavar="PROMPT", help="what the picture shows")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FILE",
        help="file (PNG; animations WebP, GIF) or folder",
    )
    parser.add_argument(
        "--task",
        metavar="NAME",
        help=f"{', '.join(catalog.tasks)}; when left out, the first that takes what is given",
    )
    listed = [one for one in controls(catalog.tasks.values()) if one[0].name != "prompt"]
    taken = {*flags(), "--output", "--task", "--help"}
    for control, tasks in sorted(listed, key=lambda one: one[0].name not in PLACED):
        everywhere = len(tasks) == len(catalog.tasks)
        names = option_names(control, taken)
        taken.update(names, (name.replace("--", "--no-", 1) for name in names))
        add_option(parser, names, control, "" if everywhere else f" ({', '.join(tasks)})")
    return parser


def controls(tasks: Iterable[Task]) -> list[tuple[Control, list[str]]]:
    """Every control of any task once, with the names of the tasks that have it; hidden ones are left out."""
    found: dict[str, tuple[Control, list[str]]] = {}
    for task in tasks:
        for control in task.flat_controls():
            if control.hidden:
                continue
            found.setdefault(control.name, (control, []))[1].append(task.name)
    return list(found.values())


def option_names(control: Control, taken: Container[str]) -> list[str]:
    """A control's options. One of an extension whose name is an option already gets `--extra-NAME`."""
    name = "--" + control.name.replace("_", "-")
    if control.name in PLACED:
        return [name, f"--{control.short}"] if control.short else [name]
    while name in taken or name.replace("--", "--no-", 1) in taken:
        name = name.replace("--", "--extra-", 1)
    return [name]


def add_option(
    parser: argparse.ArgumentParser, names: Sequence[str], control: Control, where: str
) -> None:
    dest = control.name if control.name in PLACED else EXTRA + control.name
    text = control.label + (f": {control.info}" if control.info else "") + where
    text = text.replace("%", "%%")
    if isinstance(control, Switch):
        parser.add_argument(*names, dest=dest, action=argparse.BooleanOptionalAction, help=text)
        return
    parser.add_argument(*names, dest=dest, metavar=placeholder(control), help=text)


def placeholder(control: Control) -> str:
    match control:
        case Number():
            return f"{control.minimum:g}..{control.maximum:g}"
        case Seed():
            return "N"
        case Picture() | Mask():
            return "FILE"
        case Choice():
            return "NAME"
    return "TEXT"


def typed(control: Control, word: Any) -> Any:
    """What a word from the command line means for a control; what it cannot be stays as it is, so
    that `complete` says the same sentence as on every other face."""
    match control:
        case Picture() | Mask():
            if not Path(word).is_file():
                raise RequestError(f"{control.name}: there is no file {word}", control.name)
            return Path(word)
        case Choice() if control.choices:
            for label, value in control.choices:
                if word.lower() in (label.lower(), str(value).lower()):
                    return value
        case Number() | Seed():
            for kind in (int, float):
                try:
                    return kind(word)
                except ValueError:
                    continue
    return word


def chosen_task(catalog: Catalog, given: Mapping[str, Any]) -> Task:
    """The task that is named, else the first whose `image` and `mask` are just the given ones, of these
    the first that has every given extra."""
    if "task" in given:
        return catalog.tasks[catalog.tasks.find(given["task"])]

    def pictures(task: Task) -> set[str]:
        own = (c.name for c in task.flat_controls() if isinstance(c, Picture | Mask))
        return set(OWN_PICTURES.intersection(own))

    def misses(task: Task) -> int:
        return len(extras - {EXTRA + c.name for c in task.flat_controls()})

    extras = {name for name in given if name.startswith(EXTRA)}
    wanted = OWN_PICTURES.intersection(given)
    fitting = [task for task in catalog.tasks.values() if pictures(task) == wanted]
    if not fitting:
        raise RequestError(f"no task takes {' and '.join(sorted(wanted))} alone; add --task NAME")
    return min(fitting, key=misses)


def read_request(
    words: Sequence[str], catalog: Catalog, settings: Settings
) -> tuple[GenerationRequest, Path | None]:
    """The complete request that `words` mean, and the -o file or folder for copies of its pictures.

    A wrong option or value raises `RequestError`.
    """
    given = vars(generate_parser(catalog).parse_args(list(words)))
    task = chosen_task(catalog, given)
    output: Path | None = given.pop("output", None)
    given.pop("task", None)
    known = {control.name: control for control, _ in controls(catalog.tasks.values())}
    known |= {control.name: control for control in task.flat_controls()}
    values: dict[str, Any] = {}
    extras: dict[str, Any] = {}
    for key, word in given.items():
        name = key.removeprefix(EXTRA)
        (values if name in PLACED else extras)[name] = typed(known[name], word)
    if extras:
        values["extras"] = extras
    request = complete(task.name, values, catalog, settings)
    if output is not None:
        check_output(output, task.suffix)
    return request, output
