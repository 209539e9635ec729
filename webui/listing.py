"""Extensions as text: the table and the JSON of `ext list`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

from webui.types import ExtensionStatus

__all__ = ["as_json", "as_table"]

COLUMNS = ("NAME", "VERSION", "STATE", "IMPORT", "HOOKS", "SOURCE")


def as_table(statuses: Sequence[ExtensionStatus]) -> str:
    """A line for each extension, and under it a line for each problem and for what a restart changes."""
    if not statuses:
        return "There are no extensions."
    rows = [COLUMNS, *(row(status) for status in statuses)]
    widths = [max(len(cells[i]) for cells in rows) for i in range(len(COLUMNS))]
    lines = []
    for number, cells in enumerate(rows):
        padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        lines.append("  ".join(padded).rstrip())
        lines += [] if number == 0 else [f"    {note}" for note in notes(statuses[number - 1])]
    return "\n".join(lines)


def row(status: ExtensionStatus) -> tuple[str, ...]:
    return (
        status.name,
        status.version or "-",
        status.state,
        f"{status.import_s * 1000:.0f} ms",
        ", ".join(status.hooks) or "-",
        "bundled" if status.bundled else status.source,
    )


def notes(status: ExtensionStatus) -> list[str]:
    """Each problem in a line of its own, what hangs, and what a restart changes."""
    found = [f"problem: {' '.join(problem.split())}" for problem in status.problems]
    found += [f"does not come back: {status.hanging}"] if status.hanging else []
    found += [f"note: {status.restart}"] if status.restart else []
    return found


def as_json(statuses: Sequence[ExtensionStatus]) -> str:
    """Everything that is known, a list of objects."""
    return json.dumps(
        [asdict(status) for status in statuses], indent=1, ensure_ascii=False, default=str
    )
