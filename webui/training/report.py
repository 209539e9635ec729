"""One page about a run: curves, sheets and tables of all its stages. Needs nothing but the work directory."""

import html
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

PARTS = (
    "scenes",
    "features",
    "autoencoder",
    "diffusion",
    "decoder",
    "judge",
    "evaluation",
)  # folders, in order
CURVE = (360, 120)  # pixels
STYLE = """body{font:15px/1.5 system-ui,sans-serif;max-width:1100px;margin:2em auto;padding:0 1em}
figure{display:inline-block;margin:0 1em 1em 0}figcaption{font-size:13px}
svg{background:#f6f6f6}img{max-width:100%}td,th{padding:.2em 1em .2em 0;text-align:left}"""


def write_report(work: Path) -> Path:
    """Write `report.html` into the work directory, with what there is of each of its `PARTS`, and return its path."""
    parts = [_stage(work, part) for part in PARTS]
    page = f"""<!doctype html><html lang="en"><meta charset="utf-8"><title>Training report</title>
<style>{STYLE}</style><h1>Training report</h1>{"".join(parts)}</html>
"""
    path = work / "report.html"
    path.write_text(page, encoding="utf-8")
    return path


def read_figures(path: Path) -> dict[str, list[tuple[int, float]]]:
    """Each figure of a `report.jsonl` by name: (step, value), in order. Of a step that was run twice, as after a kill,
    the later line counts; a line that was cut short does not."""
    found: dict[str, dict[int, float]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            figures: dict[str, float] = json.loads(line)
        except ValueError:
            continue
        step = int(figures.pop("step"))
        for name, value in figures.items():
            found.setdefault(name, {})[step] = value
    return {name: sorted(points.items()) for name, points in found.items()}


def curve(points: list[tuple[int, float]]) -> str:
    """An SVG line through the points, as high and as wide as `CURVE`."""
    width, height = CURVE
    steps, values = [s for s, _ in points], [v for _, v in points]
    wide, high = max(steps) - min(steps) or 1, max(values) - min(values) or 1.0
    line = " ".join(
        f"{(s - min(steps)) / wide * width:.1f},{height - (v - min(values)) / high * height:.1f}"
        for s, v in points
    )
    return (
        f'<svg width="{width}" height="{height}" viewBox="0 -2 {width} {height + 4}">'
        f'<polyline points="{line}" fill="none" stroke="#2d5fdc" stroke-width="1.5"/></svg>'
    )


def table(figures: dict[str, Any]) -> str:
    """Nested figures as rows; lists are left out."""
    rows = "".join(
        f"<tr><td>{html.escape(name)}</td><td>{html.escape(str(value))}</td></tr>"
        for name, value in _flat(figures)
    )
    return f"<table>{rows}</table>"


def _flat(figures: dict[str, Any], before: str = "") -> Iterable[tuple[str, Any]]:
    for name, value in figures.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{name} ")
        elif not isinstance(value, list):
            yield f"{before}{name}", round(value, 4) if isinstance(value, float) else value


def _stage(work: Path, stage: str) -> str:
    parts = []
    report, folder = work / stage / "report.jsonl", work / stage
    if report.is_file():
        for name, points in read_figures(report).items():
            last = f"{html.escape(name)}: {points[-1][1]:.4g} at step {points[-1][0]}"
            parts.append(f"<figure>{curve(points)}<figcaption>{last}</figcaption></figure>")
    for sheet in sorted(folder.glob("*.png")):
        where = html.escape(sheet.relative_to(work).as_posix())
        parts.append(
            f'<figure><img src="{where}" alt="{where}"><figcaption>{where}</figcaption></figure>'
        )
    if (folder / "figures.json").is_file():
        parts.append(table(json.loads((folder / "figures.json").read_text(encoding="utf-8"))))
    return f"<h2>{html.escape(stage)}</h2>{''.join(parts)}" if parts else ""
