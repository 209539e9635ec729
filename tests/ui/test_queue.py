"""The Queue tab, and what the stage does with more than one job."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from PIL import Image

from tests.ui.conftest import opened
from tests.ui.hands import choose, generate, line, number
from tests.ui.painter import FlatPainter, catalog, serving, until
from tests.ui.test_acts import holds
from webui.engine.job import Job
from webui.engine.jobs import Jobs
from webui.errors import EaselError, RequestError
from webui.types import GenerationRequest, JobStatus
from webui.ui import Page
from webui.ui.pictures import OwnPictures
from webui.ui.queue import Board, summary
from webui.ui.queue_order import in_order, mine, moved, whose
from webui.ui.stage import job_value, link_new
from webui.ui.visitors import Visitors, login_or_address


def request(prompt: str = "", task: str = "txt2img", **values: Any) -> GenerationRequest:
    base = {"sampler_name": "Euler", "seed": 1, "steps": 4, "cfg_scale": 7.0}
    size = {"width": 64, "height": 64}
    return GenerationRequest(task=task, model="flat", prompt=prompt, **{**base, **size, **values})


def status(job: str, state: Any = "queued", **values: Any) -> JobStatus:
    return replace(JobStatus(job, state, 0, request(job)), **values)


# --- Order ---------------------------------------------------------------------------------------


def test_running_comes_first_then_paused_then_the_queue_as_it_starts() -> None:
    jobs = [
        status("old", "done"),
        status("second", position=2),
        status("runs", "running"),
        status("new", "failed"),
        status("held", "paused"),
        status("first", position=1),
    ]
    going, ended = in_order(jobs)
    assert [job.id for job in going] == ["runs", "held", "first", "second"]
    assert [job.id for job in ended] == ["new", "old"]
    assert summary(going) == "1 running, 1 paused, 2 waiting"


def waiting(jobs: Jobs, owner: str) -> list[JobStatus]:
    """An owner's waiting jobs in the engine's own queue, as faces see them."""
    return [status(j.id, priority=j.priority) for j in jobs.order().jobs if j.owner == owner]


def queue_of(owners: str, priorities: tuple[int, ...]) -> Jobs:
    jobs = Jobs(16)
    for name, priority, owner in zip("jklm", priorities, owners, strict=False):
        jobs.add(Job(name, request(), owner, priority))
    return jobs


@pytest.mark.parametrize("priorities", [(0, 0, 0, 0), (3, 0, 0, 0), (1, 1, 0, 0), (5, 4, 4, -2)])
@pytest.mark.parametrize("owners", ["aaaa", "aabb", "abca"])
def test_a_moved_job_starts_where_it_was_put(priorities: tuple[int, ...], owners: str) -> None:
    """Every move, done to the engine's queue: its owner's jobs then start in the order that was asked for."""
    for owner, name in zip(owners, "jklm", strict=True):
        for to in range(owners.count(owner)):
            jobs = queue_of(owners, priorities)
            before = waiting(jobs, owner)
            wanted = [job.id for job in before if job.id != name]
            wanted.insert(to, name)
            for changed, priority in moved(before, name, to).items():
                assert priority > jobs[changed].priority
                jobs.prioritise(jobs[changed], priority)
            assert [job.id for job in waiting(jobs, owner)] == wanted


def test_any_order_can_be_made_by_moving_up() -> None:
    for wanted in permutations("jkl"):
        jobs = queue_of("aaa", (0, 0, 0))
        for place, job in enumerate(wanted):
            for changed, priority in moved(waiting(jobs, "a"), job, place).items():
                jobs.prioritise(jobs[changed], priority)
        assert tuple(job.id for job in jobs.order().jobs) == wanted


def test_a_job_is_moved_among_its_owners_own(tmp_path: Path) -> None:
    painter = FlatPainter(tmp_path)
    board = Board(painter, catalog(), OwnPictures(painter))
    theirs = [status("mine", owner="me", position=2), status("last", owner="me", position=3)]
    jobs = [status("yours", owner="you", position=1), *theirs]
    acts = {row["id"]: row["acts"] for row in board.told(jobs, "me")["open"]}  # type: ignore[index]
    assert {"up", "first", "down"} & {*acts["yours"]} == set()
    assert {"up", "first", "down"} & {*acts["mine"]} == {"down"}
    assert {"up", "first", "down"} & {*acts["last"]} == {"up", "first"}


@pytest.mark.parametrize(
    ("owner", "words"),
    [
        ("me", "you"),
        ("visitor-f74194f2b8b2", "another visitor"),
        ("10.0.0.7", "somebody at 10.0.0.7"),
        ("::1", "somebody at ::1"),
        ("somebody", "somebody"),
        ("", "somebody"),
        ("ann", "ann"),
    ],
)
def test_whose_a_job_is_has_words(owner: str, words: str) -> None:
    assert whose(status("a", owner=owner), "me") == words


# --- What may be done ----------------------------------------------------------------------------


@pytest.fixture
def idle(tmp_path: Path) -> FlatPainter:
    """A painter without a page, that starts nothing."""
    painter = FlatPainter(tmp_path)
    painter.at_once = 0
    return painter


def test_what_a_job_can_no_longer_do_is_a_sentence(idle: FlatPainter) -> None:
    board = Board(idle, catalog(), OwnPictures(idle))
    first, second = idle.submit(request("a")), idle.submit(request("b"))

    def refused(job: str, what: object) -> str:
        with pytest.raises(RequestError) as error:
            board.act(idle.status(job), what, idle.jobs(), "me")
        return str(error.value)

    assert refused(first, "up") == "'up' does not go with a job that is queued"  # it is the first
    assert refused(second, "down").startswith("'down'")
    assert refused(first, "resume").startswith("'resume'")
    assert refused(first, ["x"]).startswith("['x']")
    idle.cancel(second)
    until(lambda: idle.status(second).ended, "it is cancelled")
    assert refused(second, "pause") == "'pause' does not go with a job that is cancelled"


def test_a_running_job_may_be_interrupted_and_a_picture_of_it_skipped(tmp_path: Path) -> None:
    painter = FlatPainter(tmp_path)
    painter.hold.clear()
    board = Board(painter, catalog(), OwnPictures(painter))
    job = painter.submit(request("a", batch_size=3))
    until(lambda: painter.status(job).running, "it runs")
    (row,) = board.told(painter.jobs(), "")["open"]  # type: ignore[index]
    assert row["acts"] == ["pause", "interrupt", "skip", "cancel", "repeat", "open"]
    board.act(painter.status(job), "skip", painter.jobs(), "")
    assert painter.status(job).skipped == (0,)
    board.act(painter.status(job), "interrupt", painter.jobs(), "")
    assert painter.status(job).interrupted
    painter.hold.set()
    until(lambda: painter.status(job).ended, "it is over")


def test_a_paused_job_looks_as_it_was_left(tmp_path: Path) -> None:
    painter = FlatPainter(tmp_path)
    painter.hold.clear()
    board = Board(painter, catalog(), OwnPictures(painter))
    job = painter.submit(request("a", batch_size=3))
    until(lambda: painter.status(job).step, "it runs")
    painter.pause(job)
    (row,) = board.told(painter.jobs(), "")["open"]  # type: ignore[index]
    assert row["state"] == "paused" and row["preview"].startswith("data:image/")
    painter.cancel(job)
    painter.hold.set()
    until(lambda: painter.status(job).ended, "it is over")


def test_all_of_ones_own_jobs_are_cancelled_at_once(idle: FlatPainter) -> None:
    board = Board(idle, catalog(), OwnPictures(idle))
    jobs = {owner: idle.submit(request(owner), owner[0]) for owner in ("a1", "a2", "b1")}
    told = board.told(idle.jobs(), "a")
    assert told is not None and told["mine"] == 2
    board.cancel_all(mine(idle.jobs(), "a"))
    until(lambda: idle.status(jobs["a2"]).ended, "they are cancelled")
    assert not idle.status(jobs["b1"]).ended
    assert board.told(idle.jobs(), "a")["mine"] == 0  # type: ignore[index]


def test_what_was_cleared_away_is_not_listed(idle: FlatPainter) -> None:
    board = Board(idle, catalog(), OwnPictures(idle))
    jobs = [
        status("old", "done", ended_s=5.0),
        status("new", "done", ended_s=20.0),
        status("runs", "running"),
    ]
    told = board.told(jobs, "", cleared_s=10.0)
    assert told is not None
    assert [row["id"] for row in told["ended"]] == ["new"] and len(told["open"]) == 1


def test_repeat_asks_the_engine_and_shows_its_refusal(idle: FlatPainter) -> None:
    board = Board(idle, catalog(), OwnPictures(idle))
    image = Image.new("RGB", (64, 64))
    job = idle.submit(request("a", "img2img", image=image), "you")
    board.act(idle.status(job), "repeat", idle.jobs(), "me")
    again = idle.jobs()[-1]
    assert (again.request.image, again.owner) == (image, "me")
    idle.cancel(job)
    until(lambda: idle.status(job).ended, "it is cancelled")
    with pytest.raises(EaselError, match="its pictures are gone"):
        board.act(idle.status(job), "repeat", idle.jobs(), "me")


def test_only_what_has_changed_is_told(idle: FlatPainter) -> None:
    board = Board(idle, catalog(), OwnPictures(idle))
    idle.submit(request("a"), "x")
    seen = board.told(idle.jobs(), "x")
    assert seen is not None
    assert board.told(idle.jobs(), "x", tuple(seen["marks"])) is None
    job = idle.submit(request("b"), "y")
    now = board.told(idle.jobs(), "x", tuple(seen["marks"]))
    assert now is not None and now["ended"] is None
    assert [row["whose"] for row in now["open"]] == [
        ["you", {}],
        "y",
    ]  # told only where owners differ
    idle.cancel(job)


def test_a_picture_that_somebody_deleted_is_left_out(tmp_path: Path) -> None:
    painter = FlatPainter(tmp_path, step_s=0)
    job = painter.submit(request(batch_size=2))
    until(lambda: painter.status(job).ended, "it is done")
    board = Board(painter, catalog(), OwnPictures(painter))
    painter.status(job).pictures[0].path.unlink()
    (row,) = board.told(painter.jobs(), "")["ended"]  # type: ignore[index]
    assert (len(row["pictures"]), row["number"]) == (1, 2)
    linked: dict[str, Any] = {}
    link_new(painter.status(job), OwnPictures(painter), linked)
    shown = job_value(painter.status(job), {}, linked)
    assert len(shown["pictures"]) == 1 and shown["line"][0] == "{line}; {gone} no longer on disk"


@pytest.mark.parametrize(
    ("username", "sees"), [(None, ["a", "b"]), ("ann", ["a"]), ("bob", ["b"]), ("eve", [])]
)
def test_with_a_login_everybody_has_their_own_jobs(
    username: str | None, sees: list[str], idle: FlatPainter
) -> None:
    jobs = {"a": idle.submit(request(), "ann"), "b": idle.submit(request(), "bob")}
    who: Any = SimpleNamespace(username=username, client=SimpleNamespace(host="10.0.0.7"))
    visitors = Visitors()
    assert [name for name, job in jobs.items() if visitors.of(who).sees(idle.status(job))] == sees
    for name, job in jobs.items():
        if name not in sees:
            with pytest.raises(RequestError, match="is not known"):
                visitors.status(idle, job, who)
    assert login_or_address(who).owner == (username or "10.0.0.7")
    with pytest.raises(RequestError, match="is not known"):
        visitors.status(idle, ["no", "id"], who)


# --- In the browser -------------------------------------------------------------------------------


@pytest.fixture
def busy(tmp_path: Path) -> Iterator[tuple[FlatPainter, Page]]:
    """A page of its own: one job at a time, held after its first step."""
    with serving(tmp_path) as (painter, page):
        painter.at_once = 1
        painter.hold.clear()
        yield painter, page
        painter.hold.set()


def rows(tab: Any) -> list[list[str]]:
    """[state, prompt] of every row, as they stand."""
    found: list[list[str]] = tab.locator(".job").evaluate_all(
        "(all) => all.map((one) => [one.dataset.state, one.querySelector('.job-prompt').textContent])"
    )
    return found


def press(tab: Any, prompt: str, name: str) -> None:
    tab.locator(".job", has_text=prompt).locator(f".job-{name}").click()


@pytest.mark.browser
def test_the_queue_does_what_its_buttons_say(window: Any, busy: tuple[FlatPainter, Page]) -> None:
    painter, page = busy
    evil = "<img src=x onerror=alert(1)>"
    jobs = {name: painter.submit(request(name)) for name in ("alpha", "beta", "gamma", evil)}
    with opened(window, page) as tab:
        tab.get_by_role("tab", name="Queue").click()
        first = tab.locator(".job", has_text="alpha")
        first.locator(".job-line", has_text="Step 1 of 4, 1.0 s left").wait_for()
        assert first.get_by_role("progressbar").get_attribute("aria-valuenow") == "25"
        first.locator("img[alt=Preview][src^='data:image/jpeg']").wait_for()
        assert rows(tab) == [
            ["running", "alpha"], ["queued", "beta"], ["queued", "gamma"], ["queued", evil]
        ]  # fmt: skip
        assert tab.locator(".queue-sum").text_content() == "1 running, 3 waiting"

        press(tab, "onerror", "first")
        press(tab, "gamma", "up")
        until(
            lambda: [r[1] for r in rows(tab)] == ["alpha", evil, "gamma", "beta"], "the asked order"
        )
        assert [job.id for job in in_order(painter.jobs())[0]][1:3] == [jobs[evil], jobs["gamma"]]
        press(tab, "onerror", "cancel")
        tab.locator(".queue-ended .job[data-state=cancelled]", has_text="onerror").wait_for()
        assert not tab.locator(".job-prompt img").count()

        press(tab, "alpha", "pause")
        tab.locator(".job[data-state=paused]", has_text="Paused at step 1 of 4").wait_for()
        held = tab.locator(".job-resume:focus")  # the focus went along
        painter.hold.set()
        held.press("Enter")
        tab.locator(".queue-ended .job[data-state=done]", has_text="alpha").wait_for()
        tab.locator(".queue-ended .job", has_text="alpha").locator("img").wait_for()
        press(tab, "alpha", "repeat")
        until(lambda: len(painter.submitted) == 5, "it is asked for once more")
        assert painter.submitted[4] == painter.submitted[0]


@pytest.mark.browser
def test_another_browser_sees_a_job_and_opens_it(
    browser: Any, busy: tuple[FlatPainter, Page]
) -> None:
    painter, page = busy
    image, mask = Image.new("RGB", (64, 64)), Image.new("L", (64, 64))
    job = painter.submit(request("far", "inpaint", image=image, mask=mask))
    later = painter.submit(request("near", "inpaint", image=image, mask=mask))
    other = browser.new_context(viewport={"width": 1280, "height": 800})
    with opened(other, page) as tab:  # where nobody has opened the task's tab yet
        tab.get_by_role("tab", name="Queue").click()
        tab.locator(".job", has_text="far").locator(".job-open").click()
        line(tab, "Step 1 of 4").wait_for()
        tab.locator("#inpaint-stage .stage-picture[src^='data:image/jpeg']").wait_for()
        holds(tab, "inpaint-prompt", "far")  # with its settings and its picture in the form
        tab.locator("#inpaint-image canvas:visible").wait_for()
        tab.get_by_role("tab", name="Queue").click()
        tab.locator(".job", has_text="near").locator(".job-open").click()
        line(tab, "Position 1 in the queue").wait_for()  # now the stage follows this one alone
        tab.locator(".easel-pause:visible").click()
        line(tab, "Paused").wait_for()
        assert painter.status(later).state == "paused"
        holds(tab, "inpaint-prompt", "near")
        tab.locator(".easel-toast", has_text="Settings taken.").get_by_role("button").click()
        holds(tab, "inpaint-prompt", "far")
        painter.hold.set()
        until(lambda: painter.status(job).ended, "the other goes on")
        tab.locator(".easel-resume:visible").click()
        line(tab, "1 picture in").wait_for()
        shown = tab.locator(".stage-strip:visible > [aria-current=true]")
        assert (shown.get_attribute("data-key") or "").startswith(later)
        tab.locator(f".stage-strip:visible > [data-key^='{job}']").wait_for()  # it was looked at
    other.close()


@pytest.mark.browser
def test_added_jobs_are_shown_one_after_the_other(
    window: Any, busy: tuple[FlatPainter, Page]
) -> None:
    painter, page = busy
    with opened(window, page) as tab:
        number(tab, "txt2img-seed", 7)
        generate(tab)
        line(tab, "Step 1 of 4").wait_for()
        number(tab, "txt2img-seed", 8)
        tab.locator(".easel-add:visible").click()
        line(tab, "1 more added").wait_for()
        number(tab, "txt2img-seed", 9)
        tab.locator(".easel-add:visible").click()
        line(tab, "Step 1 of 4, 1.0 s left · 2 more added").wait_for()
        tab.reload()  # what is added is not forgotten
        line(tab, "2 more added").wait_for()
        first, second, third = (job.id for job in painter.jobs())
        tab.locator(".easel-cancel:visible").click()
        line(tab, "1 more added").wait_for()
        assert painter.status(first).state == "cancelled"
        assert not painter.status(second).ended
        painter.hold.set()
        line(tab, "1 picture in").wait_for()
        tab.locator(".easel-generate:visible").wait_for()
        until(lambda: painter.status(third).ended, "the last one is done")
        tab.locator(".stage-facts:visible", has_text="seed 9").wait_for()
        assert tab.locator(".stage-strip:visible button").count() == 2


@pytest.mark.browser
def test_the_tab_fits_and_names_everything(window: Any, busy: tuple[FlatPainter, Page]) -> None:
    painter, page = busy
    painter.submit(request("long" * 100))
    painter.submit(request("word " * 90), "somebody" * 9)
    painter.submit(request("please fail"))
    with opened(window, page) as tab:
        tab.get_by_role("tab", name="Queue").click()
        tab.locator(
            ".job[data-state=failed] .job-error", has_text="the paint <b>dried</b> up"
        ).wait_for()
        for width in (390, 1280, 1920):
            tab.set_viewport_size({"width": width, "height": 800})
            tab.wait_for_timeout(100)
            assert tab.evaluate("document.documentElement.scrollWidth") <= width
        names = tab.locator(".job button:visible").evaluate_all(
            "(all) => all.map((one) => one.ariaLabel)"
        )
        assert all(names) and len(names) > 10
        asked: list[str] = []
        tab.on("request", lambda r: asked.append(r.url) if "queue/join" in r.url else None)
        tab.wait_for_timeout(1300)
        assert asked  # it looks again while it is open
        choose(tab, "Text to image")
        tab.wait_for_timeout(200)
        asked.clear()
        tab.wait_for_timeout(1300)
        assert not asked  # and not while it is not


# --- By HTTP ----------------------------------------------------------------------------------------


def sent(url: str, event: str, **values: Any) -> str:
    """Posts an event of the page; gives what the stream of events says."""
    with httpx.Client(base_url=url, timeout=60) as http:
        functions = http.get("/config").json()["dependencies"]
        (index,) = [f["id"] for f in functions if any(e == event for _, e in f["targets"])]
        call = {"data": [], "fn_index": index, "session_hash": "s", "event_data": values}
        http.post("/gradio_api/queue/join", json=call)
        return http.get("/gradio_api/queue/data", params={"session_hash": "s"}).text


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"job": "nobody", "act": "cancel"}, "job 'nobody' is not known"),
        ({"job": {"a": 1}, "act": "cancel"}, "is not known"),
        ({}, "job {job} is not known"),  # as its key, with None for it
    ],
)
def test_an_unknown_job_is_a_sentence(page: Page, values: Any, sentence: str) -> None:
    said = sent(page.url, "act", **values)
    assert sentence in said and '"success":true' in said
    assert sentence in sent(page.url, "visit", **values)


def test_a_wrong_action_is_a_sentence(page: Page, painter: FlatPainter) -> None:
    job = painter.submit(request("a"))
    until(lambda: painter.status(job).ended, "it is done")
    events = sent(page.url, "act", job=job, act="<b>").splitlines()
    (said,) = [event for event in events if '"msg":"log"' in event]
    assert "{what} does not go with a job that is {state}" in said
    assert "'&lt;b&gt;'" in said and "<b>" not in said
