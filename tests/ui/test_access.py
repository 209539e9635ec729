"""Everybody can use every tab: axe-core finds nothing serious, in light and in dark, wide and narrow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import axe_playwright_python
import pytest

AXE = Path(axe_playwright_python.__file__).with_name("axe.min.js").read_text(encoding="utf-8")
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]}
SERIOUS = ("serious", "critical")
# Gradio 6.31's own, which no markup of ours reaches.
THEIRS: tuple[str, ...] = ()


def tabs_of(page: Any) -> list[str]:
    names = page.locator(".easel-tabs [role=tab]").all_inner_texts()
    return list(dict.fromkeys(name.strip() for name in names if name.strip()))


def violations(page: Any) -> list[str]:
    """What is wrong, with the elements that it is about."""
    if not page.evaluate("() => Boolean(window.axe)"):
        page.evaluate(AXE)
    found = page.evaluate("(rules) => axe.run(document, rules)", RULES)
    return [
        f"{one['id']} ({one['impact']}): {one['help']}: {[node['html'][:160] for node in one['nodes']][:4]}"
        for one in found["violations"]
        if one["impact"] in SERIOUS and one["id"] not in THEIRS
    ]


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_no_tab_has_a_serious_fault(tab: Any, dark: bool, width: int) -> None:
    tab.set_viewport_size({"width": width, "height": 900})
    tab.evaluate("(dark) => document.body.classList.toggle('dark', dark)", dark)
    wrong, names = {}, tabs_of(tab)
    assert {"Text to image", "Inpaint", "Gallery", "Queue", "Settings"} <= set(names)
    for name in names:
        tab.get_by_role("tab", name=name, exact=True).first.click()
        found = violations(tab)
        if found:
            wrong[name] = found
    assert not wrong


def test_a_planted_fault_is_found(tab: Any) -> None:
    tab.evaluate(
        "() => document.querySelector('.easel-task').append(document.createElement('input'))"
    )
    assert any(one.startswith("label (") for one in violations(tab))
