"""How extensions are used, as their own pages say it (`ExtensionStatus.guide`).

Markdown becomes HTML here: headings, paragraphs, lists, tables, code, links; whatever else is text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from webui.http.documentation import STRICT, head
from webui.http.jobs import NotThere
from webui.http.views import Fault
from webui.types import ExtensionsFace

__all__ = ["as_html", "guide_routes"]

LONGEST = 500_000  # characters of a page
INLINE = re.compile(
    r"`([^`]+)`|\*\*([^*]+)\*\*|(?<!\w)\*([^*\s][^*]*)\*(?!\w)|!?\[([^\]]*)\]\(([^()\s]+)\)"
)
ITEM = re.compile(r"\s*(?:[-*+]|\d+\.)\s+")
CELLS = re.compile(r"(?<!\\)\|")


def guide_routes(extensions: ExtensionsFace) -> APIRouter:
    routes = APIRouter(prefix="/api/extensions", tags=["extensions"])

    @routes.get("/{name}/guide", responses={404: {"model": Fault}}, response_class=HTMLResponse)
    def guide(name: str) -> HTMLResponse:
        """How an extension is used, as a page to read."""
        status = next((one for one in extensions.statuses() if one.name == name), None)
        if status is None or status.guide is None:
            raise NotThere(f"there is no page about an extension {name!r}")
        try:
            text = status.guide.read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            raise NotThere(f"the page about {name!r} cannot be read: {error.strerror}") from None
        return HTMLResponse(
            f"{head(status.title or name)}{as_html(text[:LONGEST])}",
            headers={"Content-Security-Policy": STRICT},
        )

    return routes


def as_html(markdown: str) -> str:
    """The text of a page as HTML, whoever wrote it: nothing in it is markup of its own, and links lead to pages of the
    web alone."""
    return "\n".join(_blocks(markdown.splitlines()))


def _blocks(lines: list[str]) -> Iterator[str]:
    at = 0
    while at < len(lines):
        line = lines[at]
        end = at + 1
        if line.startswith("```"):
            while end < len(lines) and not lines[end].startswith("```"):
                end += 1
            yield f"<pre><code>{escape(chr(10).join(lines[at + 1 : end]))}</code></pre>"
            end += 1
        elif found := re.match(r"(#{1,6})\s+(.*)", line):
            level = len(found[1])
            yield f"<h{level}>{_inline(found[2])}</h{level}>"
        elif line.lstrip().startswith("|"):
            while end < len(lines) and lines[end].lstrip().startswith("|"):
                end += 1
            yield _table(lines[at:end])
        elif ITEM.match(line):
            while end < len(lines) and lines[end].strip():
                end += 1
            yield _list(lines[at:end])
        elif line.strip():
            while (
                end < len(lines)
                and lines[end].strip()
                and not re.match(r"```|#|\||\s*[-*+]\s", lines[end])
            ):
                end += 1
            yield f"<p>{_inline(' '.join(lines[at:end]))}</p>"
        at = end


def _list(lines: list[str]) -> str:
    items: list[str] = []
    for line in lines:
        begins = ITEM.match(line)
        if begins or not items:
            items.append(line[begins.end() if begins else 0 :])
        else:
            items[-1] += " " + line.strip()
    return f"<ul>{''.join(f'<li>{_inline(item)}</li>' for item in items)}</ul>"


def _table(lines: list[str]) -> str:
    rows = []
    for line in lines:
        cells = [cell.strip().replace("\\|", "|") for cell in CELLS.split(line.strip().strip("|"))]
        if not all(re.fullmatch(r":?-+:?", cell) for cell in cells):
            rows.append(cells)
    made = "".join(
        f"<tr>{''.join(f'<{tag}>{_inline(cell)}</{tag}>' for cell in cells)}</tr>"
        for tag, cells in zip(["th"] + ["td"] * len(rows), rows, strict=False)
    )
    return f"<table>{made}</table>"


def _inline(text: str) -> str:
    made, at = [], 0
    for found in INLINE.finditer(text):
        made.append(escape(text[at : found.start()]))
        code, bold, slanted, label, link = found.groups()
        if code is not None:
            made.append(f"<code>{escape(code)}</code>")
        elif bold is not None:
            made.append(f"<strong>{_inline(bold)}</strong>")
        elif slanted is not None:
            made.append(f"<em>{_inline(slanted)}</em>")
        elif link.startswith(("https://", "http://")) and not found[0].startswith("!"):
            made.append(f'<a href="{escape(link)}" rel="noreferrer">{_inline(label)}</a>')
        else:
            made.append(_inline(label))
        at = found.end()
    return "".join(made) + escape(text[at:])
