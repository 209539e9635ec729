"""What a browser loads first: packed, kept for good where the name says the content, and nothing of other hosts."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse
from starlette.testclient import TestClient
from starlette.types import ASGIApp

from tests.ui.conftest import opened
from tests.ui.hands import paint
from tests.ui.painter import FlatPainter, serving
from webui.ui import Page
from webui.ui.asset_cache import AssetCache
from webui.ui.gradio_adapter import BUILT
from webui.ui.theme import scripts

FOREVER = "public, max-age=31536000, immutable"


def asked(app: ASGIApp, path: str, method: str = "GET", **headers: str) -> httpx.Response:
    client = TestClient(app, follow_redirects=False)
    return client.request(method, path, headers=headers)


def config_of(page: str) -> dict[str, Any]:
    found = re.search(r"window\.gradio_config = (\{.*?\});</script>", page, re.DOTALL)
    assert found
    told: dict[str, Any] = json.loads(found[1])
    return told


# --- The page ------------------------------------------------------------------------------------


def test_the_page_is_packed_and_names_no_other_host(http: httpx.Client) -> None:
    answer = http.get("/")
    assert answer.headers["content-encoding"] == "gzip"
    head = answer.text[: answer.text.index("<script>window.gradio_config")]
    assert "<title>Easel</title>" in head and "https://" not in head and "og:" not in head


def test_a_machine_too_busy_to_answer_within_seconds_serves_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gradio.networking.url_ok", lambda url: False)  # as after its 3 s
    with serving(tmp_path) as (_, page):
        assert httpx.get(page.url, timeout=60).status_code == 200


def test_every_picture_that_an_installed_page_would_have_is_there(http: httpx.Client) -> None:
    """A browser asks for them as soon as the page is open, and complains in its console."""
    icons = http.get("/manifest.json").json()["icons"]
    answers = [http.get(icon["src"]) for icon in icons]
    assert [(one.status_code, one.headers["content-type"]) for one in answers] == [
        (200, icon["type"]) for icon in icons
    ]
    assert icons and http.get("/pwa_icon/192").status_code == 404  # Gradio's, for no drawing


def test_our_scripts_have_an_address_of_their_own_and_are_kept(http: httpx.Client) -> None:
    page = http.get("/").text
    address = re.search(r'<script type="module" src="(easel\.\w+\.js)">', page)
    assert address and "js_on_load" in page and "Object.freeze" not in page
    answer = http.get(f"/{address[1]}")
    assert answer.text == scripts()
    assert answer.headers["cache-control"] == FOREVER


def test_what_only_programs_need_stays_out_of_the_page(http: httpx.Client) -> None:
    shown, told = config_of(http.get("/").text), http.get("/config").json()
    kinds = {one["type"] for one in shown["components"]}
    assert "api" not in kinds and "html" in kinds
    assert {one["type"] for one in told["components"]} == kinds | {"api"}
    names = {one["api_name"] for one in told["dependencies"] if one["api_visibility"] == "public"}
    assert "txt2img" in names
    assert not names & {one["api_name"] for one in shown["dependencies"]}
    numbers = {one["id"] for one in shown["components"]}
    assert set(shown["page"][""]["components"]) == numbers
    explained = config_of(http.get("/?view=api").text)
    assert len(explained["components"]) == len(told["components"])


def test_a_form_overtaken_is_told_to_the_page() -> None:
    now = [False]
    front = AssetCache(HTMLResponse("<html><head></head></html>"), lambda: now[0])
    assert "easel-form" not in asked(front, "/").text
    now[0] = True
    assert '<meta name="easel-form" content="stale">' in asked(front, "/").text


def test_the_login_page_carries_no_scripts_of_ours() -> None:
    page = '<head></head><script>window.gradio_config = {"auth_required":true};</script>'
    assert "easel." not in asked(AssetCache(HTMLResponse(page)), "/").text


@pytest.mark.parametrize(
    "answer", [RedirectResponse("/login"), HTMLResponse("no", 401), PlainTextResponse("<head>")]
)
def test_another_answer_comes_as_it_is(answer: Any) -> None:
    came = asked(AssetCache(answer), "/")
    assert came.content == answer.body and came.status_code == answer.status_code


# --- Files ---------------------------------------------------------------------------------------


def test_gradios_files_are_packed_once_and_kept(http: httpx.Client) -> None:
    name = next(file.name for file in sorted(BUILT.glob("index-*.js")))
    answer = http.get(f"/assets/{name}")
    assert answer.text == (BUILT / name).read_text(encoding="utf-8")
    assert answer.headers["cache-control"] == FOREVER
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["content-type"].startswith("text/javascript")


def test_who_cannot_unpack_gets_it_plain() -> None:
    front = AssetCache(HTMLResponse("<html><head></head></html>"))
    page = asked(front, "/", **{"accept-encoding": "identity"})
    assert "content-encoding" not in page.headers and "<title>Easel</title>" in page.text
    address = re.search(r"easel\.\w+\.js", page.text)
    assert address
    plain = asked(front, f"/{address[0]}", **{"accept-encoding": "identity"})
    assert plain.text == scripts()


@pytest.mark.parametrize(
    "path", ["/assets/missing-12345678.js", "/assets/..%2Findex-12345678.js", "/assets/logo.svg"]
)
def test_what_it_does_not_know_gradio_answers(path: str) -> None:
    assert asked(AssetCache(PlainTextResponse("Gradio's")), path).text == "Gradio's"
    assert asked(AssetCache(PlainTextResponse("Gradio's")), path, "HEAD").status_code == 200


def test_packing_is_undone_by_any_gzip() -> None:
    front = AssetCache(HTMLResponse("<html><head></head></html>"))
    [(kind, packed)] = front._files.values()
    assert (kind, gzip.decompress(packed).decode()) == ("text/javascript", scripts())


# --- In the browser ------------------------------------------------------------------------------


def test_opening_the_page_asks_nothing_of_the_queue(
    window: Any, page: Page, painter: FlatPainter
) -> None:
    with opened(window, page) as tab:
        asked_for: list[str] = []
        tab.on("request", lambda request: asked_for.append(request.url))
        tab.reload()
        tab.locator(".easel-generate:visible").wait_for()
        tab.locator(
            ".easel-folded[data-drawn]:visible"
        ).first.wait_for()  # all else is done by then
        assert not [url for url in asked_for if "queue/join" in url]


def test_what_stands_in_a_folded_group_is_there_soon_and_at_once_for_who_unfolds_it(
    tab: Any,
) -> None:
    folded = tab.locator(".easel-task:visible .easel-folded").first
    inside = folded.locator("input").first
    inside.wait_for(state="attached")
    assert not inside.is_visible()
    folded.locator("button").first.click()
    inside.wait_for()


AT_ONCE = """() => new Promise((done) => {
  const find = () => document.querySelector("#txt2img-steps input[type=number]");
  [...document.querySelectorAll(".easel-group > button")].find((one) => /Sampling/.test(one.textContent)).click();
  const write = () => {
    if (!find()?.checkVisibility({ visibilityProperty: true })) return requestAnimationFrame(write);
    find().value = "9";
    find().dispatchEvent(new Event("input", { bubbles: true }));
    setTimeout(() => done(find().value), 500);
  };
  write();
})"""


def test_what_is_written_as_soon_as_a_group_unfolds_stays(tab: Any, painter: FlatPainter) -> None:
    assert tab.evaluate(AT_ONCE) == "9"
    assert paint(tab, painter).steps == 9


IN_A_NEW_TAB = """() => new Promise((done) => {
  const at = (name) => document.querySelector(`#img2img-${name} :is(textarea, input[type=number])`);
  [...document.querySelectorAll("[role=tab]")].find((one) => /Image to image/.test(one.textContent)).click();
  const write = () => {
    if (!at("seed")?.checkVisibility({ visibilityProperty: true })) return requestAnimationFrame(write);
    for (const [name, value] of [["prompt", "a cat"], ["seed", "7"]]) {
      at(name).value = value;
      at(name).dispatchEvent(new Event("input", { bubbles: true }));
    }
    setTimeout(() => done([at("prompt").value, at("seed").value]), 500);
  };
  write();
})"""


def test_what_is_written_as_soon_as_a_tab_opens_stays(tab: Any) -> None:
    assert tab.evaluate(IN_A_NEW_TAB) == ["a cat", "7"]


def test_defaults_chosen_since_the_page_was_drawn_are_there_when_it_opens(
    window: Any, page: Page, http: httpx.Client
) -> None:
    entry = {"task": "txt2img", "model": "", "values": {"clip_skip": 2}}
    assert http.patch("/api/settings", json={"own_defaults": [entry]}).status_code == 200
    try:
        with opened(window, page) as tab:
            tab.wait_for_function(
                "document.querySelector('#txt2img-clip_skip input[type=number]')?.value === '2'"
            )
    finally:
        http.delete("/api/settings/own_defaults")
    assert 'name="easel-form"' not in http.get("/").text


def test_the_page_explains_the_endpoints(window: Any, page: Page) -> None:
    tab = (
        window.new_page()
    )  # without the look at the console: Gradio asks here for what we have switched off
    tab.goto(page.url)
    tab.locator(".foot-api").click()
    tab.locator(".api-docs").get_by_text("/txt2img").first.wait_for()
    assert "view=api" in tab.url
    tab.close()
