"""What was changed in the forms outlives a reload of the browser tab; a tab opened beside it is another one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.ui.conftest import opened
from tests.ui.hands import choose, module, number, paint
from tests.ui.painter import FlatPainter, until
from webui.types import GenerationRequest
from webui.ui import Page
from webui.ui.forms import Forms

KEPT = "Object.keys(JSON.parse(sessionStorage.getItem('easel-forms'))?.values ?? {})"


@pytest.fixture
def own(window: Any, page: Page) -> Iterator[Any]:
    """The page in a browser that has kept nothing of it, and keeps nothing afterwards."""
    with window.new_page() as tab:
        session = window.new_cdp_session(tab)
        kept_here = {"origin": page.url.rstrip("/"), "storageTypes": "local_storage,indexeddb"}
        session.send("Storage.clearDataForOrigin", kept_here)
        with opened(window, page) as opened_tab:
            yield opened_tab
        session.send("Storage.clearDataForOrigin", kept_here)


def kept(tab: Any, *names: str) -> None:
    """Waits until exactly these are kept."""
    tab.wait_for_function(f"(names) => {KEPT}.sort().join() === names.sort().join()", arg=names)


def again(tab: Any) -> None:
    tab.reload()
    tab.locator(".easel-task:visible .easel-generate").wait_for()


def shows(tab: Any, name: str, value: str) -> None:
    """Waits until the control of that id shows the value."""
    tab.wait_for_function(
        """([name, value]) => {
          const at = document.getElementById(name);
          const box = at?.matches("input") ? at : at?.querySelector("input[type=number], input, textarea");
          return box?.value === value;
        }""",
        arg=[name, value],
    )


def pick(tab: Any, name: str, option: str) -> None:
    tab.locator(f"#{name} input").click()
    tab.get_by_role("option", name=option, exact=True).click()


def test_what_was_changed_is_there_after_a_reload_and_is_sent(
    own: Any, page: Page, painter: FlatPainter
) -> None:
    pick(own, "easel-model", "wide")
    shows(own, "txt2img-width", "192")
    number(own, "txt2img-seed", 44)
    own.get_by_role("button", name="Sampling").click()
    number(own, "txt2img-steps", 4)  # what is usual with the model that the page is drawn with
    pick(own, "txt2img-sampler_name", "DDIM")
    choose(own, "Image to image")
    number(own, "img2img-denoising_strength", 0.25)
    kept(
        own,
        *(f"txt2img-{name}" for name in ("seed", "steps", "sampler_name")),
        "img2img-denoising_strength",
    )
    again(own)  # as it was left: on the other tab
    choose(own, "Text to image")
    own.locator(".group-values", has_text="steps 4").first.wait_for(state="attached")
    request = paint(own, painter)
    assert told(request) == ("wide", 192, 44, 4, "DDIM")
    own.get_by_role("button", name="3:2, 192 × 128").wait_for()  # what else the model brings
    request = paint(own, painter)
    assert told(request) == ("wide", 192, 44, 4, "DDIM")
    choose(own, "Image to image")
    shows(own, "img2img-denoising_strength", "0.25")
    shows(own, "img2img-width", "192")
    again(own)  # nothing was lost on the way
    choose(own, "Text to image")
    kept(
        own,
        *(f"txt2img-{name}" for name in ("seed", "steps", "sampler_name")),
        "img2img-denoising_strength",
    )
    assert told(paint(own, painter)) == ("wide", 192, 44, 4, "DDIM")
    with opened(own.context, page) as other:
        assert told(paint(other, painter)) != ("wide", 192, 44, 4, "DDIM")
        request = painter.submitted[-1]
        assert (request.model, request.steps) == ("flat", 4) and request.seed != 44


def test_an_extensions_values_are_kept_by_kind(own: Any, painter: FlatPainter) -> None:
    choose(own, "Poster")
    own.get_by_role("button", name="Print").click()
    number(own, "poster-border", 5)
    own.locator("#poster-tilt input, #poster-tilt textarea").first.fill("0.5")
    pick(own, "poster-paper", "Rice paper")
    own.locator("#poster-frame input").check()
    own.locator("#poster-caption textarea").fill("Summer")
    names = [f"poster-{name}" for name in ("border", "tilt", "paper", "frame", "caption")]
    kept(own, *names)
    again(own)
    choose(own, "Poster")
    shows(own, "poster-border", "5")
    given = {"border": 5, "tilt": 0.5, "paper": 1, "frame": True, "caption": "Summer"}
    extras = paint(own, painter).extras
    assert {name: extras.get(name) for name in given} == given
    own.locator("#poster-frame input").uncheck()  # as usual again: no longer kept
    kept(own, *(name for name in names if name != "poster-frame"))


WRITE = """([id, value]) => {
  const write = () => {
    const box = document.querySelector(`#${id} input[type=number]`);
    if (!box?.checkVisibility({ visibilityProperty: true })) return requestAnimationFrame(write);
    box.value = value;
    box.dispatchEvent(new Event("input", { bubbles: true }));
  };
  if (window === top) requestAnimationFrame(write);
}"""


def test_what_is_written_as_soon_as_the_page_is_back_stays(own: Any, painter: FlatPainter) -> None:
    number(own, "txt2img-seed", 44)
    number(own, "txt2img-height", 64)
    kept(own, "txt2img-seed", "txt2img-height")
    own.add_init_script(f"({WRITE})(['txt2img-seed', '45'])")
    again(own)
    shows(own, "txt2img-height", "64")
    request = paint(own, painter)
    assert (request.seed, request.height) == (45, 64)


def test_what_no_longer_exists_is_forgotten(own: Any, painter: FlatPainter) -> None:
    values = {
        "txt2img-sampler_name": "Gone",
        "txt2img-steps": 100_000,
        "txt2img-gone": 1,
        "img2img-seed": "words",
        "txt2img-seed": 44,
    }
    own.evaluate(
        "(kept) => addEventListener('pagehide', () => sessionStorage.setItem('easel-forms', JSON.stringify(kept)))",
        {"model": "gone", "usual": None, "values": values},
    )
    again(own)
    shows(own, "txt2img-seed", "44")
    shows(own, "easel-model", "flat")
    request = paint(own, painter)
    assert (request.model, request.seed, request.steps) == ("flat", 44, 4)
    kept(own, "txt2img-seed")


@pytest.mark.parametrize("late", [False, True])
def test_a_model_chosen_while_the_kept_one_is_asked_about_stays(
    own: Any, painter: FlatPainter, monkeypatch: pytest.MonkeyPatch, late: bool
) -> None:
    """Whichever the server answers first."""
    answers = []
    rebase = Forms.rebase
    spy = lambda *given: answers.append(rebase(*given)) or answers[-1]  # noqa: E731
    monkeypatch.setattr(Forms, "rebase", spy)
    pick(own, "easel-model", "wide")
    shows(own, "txt2img-width", "192")
    own.wait_for_function("JSON.parse(sessionStorage.getItem('easel-forms'))?.model === 'wide'")
    held: list[Any] = []

    def asks(request: Any, name: str) -> bool:
        return "/queue/join" in request.url and request.post_data_json["data"] == [name]

    def hold(route: Any) -> None:
        if any(asks(route.request, name) for name in ("wide", "flat")):
            held.append(route)
        else:
            route.continue_()

    answers.clear()
    own.route("**/queue/join*", hold)
    with own.expect_request(lambda request: asks(request, "wide")):
        again(own)
    shows(own, "easel-model", "wide")
    with own.expect_request(lambda request: asks(request, "flat")):
        pick(own, "easel-model", "flat")
    for nth, one in enumerate(reversed(held) if late else held, 1):
        one.continue_()
        until(lambda nth=nth: len(answers) == nth, "the server has answered")
    own.unroute("**/queue/join*")
    for _ in range(2):  # the picture comes by the same stream as the answers, after them
        shows(own, "txt2img-width", "128")
        own.get_by_role("button", name="3:2, 160 × 104").wait_for()
        request = paint(own, painter)
        assert (request.model, request.width, request.steps) == ("flat", 128, 4)


def test_settings_sent_from_a_picture_are_kept(own: Any, painter: FlatPainter) -> None:
    sent = "a cat\nSteps: 3, Sampler: DDIM, CFG scale: 2.5, Seed: 7, Size: 64x96, Model: wide"
    sending = f"{module('send-to.js')}.sendTo({{ to: 'txt2img', parameters: text }})"
    own.evaluate(f"async (text) => {sending}", sent)
    shows(own, "txt2img-seed", "7")
    shows(own, "easel-model", "wide")
    own.wait_for_function(f"{KEPT}.includes('txt2img-cfg_scale')")
    again(own)
    request = paint(own, painter)
    assert (request.prompt, *told(request), request.cfg_scale) == (
        *("a cat", "wide", 64, 7, 3, "DDIM"),
        2.5,
    )


def told(request: GenerationRequest) -> tuple[object, ...]:
    return (request.model, request.width, request.seed, request.steps, request.sampler_name)
