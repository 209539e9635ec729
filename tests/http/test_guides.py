"""The pages about extensions: ours and others' Markdown as HTML that is nobody's markup."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from tests.ui import painter as paint
from webui.http import Metrics, face
from webui.http.guides import as_html
from webui.settings import ROOT, Settings

PAGES = sorted((ROOT / "docs" / "extensions").glob("*.md"))


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("# One\nand *two*,\n**three**", "<h1>One</h1>\n<p>and <em>two</em>, <strong>three</strong></p>"),
        ("- a\n  more\n- `b<c`", "<ul><li>a more</li><li><code>b&lt;c</code></li></ul>"),
        ("| A | B |\n|---|---|\n| `x\\|y` | 2 |", "<table><tr><th>A</th><th>B</th></tr>"
         "<tr><td><code>x|y</code></td><td>2</td></tr></table>"),
        ("```bash\na <b>\n```\nc", "<pre><code>a &lt;b&gt;</code></pre>\n<p>c</p>"),
        ("[our](../page.md) ![p](a.png) 2 * 3 * 4", "<p>our p 2 * 3 * 4</p>"),
        ("[w](https://a.b/?x=\"1)", '<p><a href="https://a.b/?x=&quot;1" rel="noreferrer">w</a></p>'),
        ("[w](javascript:alert`1`) <img src=x onerror=y>", "<p>w &lt;img src=x onerror=y&gt;</p>"),
        ("```\nnever closed", "<pre><code>never closed</code></pre>"),
        ("", ""),
    ],
)  # fmt: skip
def test_markdown_becomes_html(text: str, html: str) -> None:
    assert as_html(text) == html


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_our_own_pages_are_read_whole(page: Path) -> None:
    html = as_html(page.read_text(encoding="utf-8"))
    outside = html.partition("<pre>")[0]
    assert html.startswith("<h1>") and "](" not in outside and "|---" not in outside


def test_a_card_s_link_leads_to_its_page(tmp_path: Path) -> None:
    shelf = paint.shelf()
    (tmp_path / "README.md").write_text("# Mine\n", encoding="utf-8")
    mine = shelf.found["mine"]
    shelf.found["mine"] = replace(mine, title="My <own>", guide=tmp_path / "README.md")
    painter = paint.FlatPainter(tmp_path / "outputs")
    settings = Settings.at(tmp_path, port=0)
    with TestClient(
        face(painter, paint.catalog(), settings, Metrics(), extensions=shelf)
    ) as client:
        answer = client.get("/api/extensions/mine/guide")
        assert answer.text.endswith("<h1>Mine</h1>")
        assert "<title>My &lt;own&gt;</title>" in answer.text
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        for nobody in ("film_grain", "nobody", "..%2f..%2fREADME"):
            assert client.get(f"/api/extensions/{nobody}/guide").status_code == 404
