"""The states of jobs, the snapshots that everybody reads, and who is told: whatever happens, in whatever order."""

import ast
import random
import threading
from pathlib import Path

import pytest

from tests.engine.conftest import request
from webui.engine import jobs as jobs_module
from webui.engine import queue as queue_module
from webui.engine.job import TRANSITIONS, IllegalTransition, Job
from webui.engine.jobs import Jobs
from webui.engine.listeners import Listeners
from webui.errors import EaselError, RequestError
from webui.types import SavedPicture

LEGAL = {
    *(("queued", to) for to in ("running", "paused", "done", "failed", "cancelled")),
    *(("running", to) for to in ("paused", "done", "failed", "cancelled")),
    *(("paused", to) for to in ("queued", "running", "done", "failed", "cancelled")),
}
ASKED = "add pause resume interrupt skip end claim first save step".split()
ENGINE = Path(jobs_module.__file__).parent


def test_a_job_goes_where_the_table_says_and_nowhere_else():
    """Random walks: an illegal step raises and changes nothing, a legal one is told once."""
    draw = random.Random(7)
    for _ in range(200):
        job = Job("j", request())
        for _ in range(12):
            before, to = (job.state, job.status, job.events), draw.choice([*TRANSITIONS])
            if (job.state, to) in LEGAL:
                job.go(to)
                assert (job.state, job.status.state) == (to, to)
                assert len(job.events) == len(before[2]) + 1
                assert job.status.version > before[1].version
            else:
                with pytest.raises(
                    IllegalTransition, match=f"is {job.state} and cannot become {to}"
                ):
                    job.go(to)
                assert (job.state, job.status, job.events) == before
            assert job.ended == (job.state in ("done", "failed", "cancelled"))


def test_what_is_asked_of_jobs_never_leads_to_an_illegal_state():
    """Everything that faces and devices may ask, in any order: it is done or of no effect, and the lists agree."""
    draw = random.Random(11)
    for _ in range(60):
        jobs, count = Jobs(4), 0
        for _ in range(40):
            known = [jobs[status.id] for status in jobs.statuses()]
            job = draw.choice(known) if known else None
            what = draw.choice(ASKED)
            if what == "add" or job is None:
                count += 1
                jobs.add(Job(str(count), request(batch_size=2), draw.choice("ab")))
            elif what in ("pause", "resume"):
                getattr(jobs, what)(job)
            elif what == "interrupt":
                jobs.interrupt(job)
                assert job.interrupted or job.ended
            elif what == "skip":
                place = draw.choice([None, 0, 1])
                given_up = jobs.skip(job, place)
                assert given_up is None or job.pictures[given_up].state == "skipped"
            elif what == "end":
                ended = job.ended
                assert jobs.end(job, draw.choice(["failed", "cancelled"])) is not ended
            elif what == "claim":
                picture = jobs.claim()
                assert picture is None or (picture.state, picture.job.state) == (
                    "making",
                    "running",
                )
            elif what == "first":
                jobs.prioritise(job, draw.randint(-2, 2))
            else:
                making = [p for p in job.pictures if p.state == "making"]
                if making and what == "step":
                    jobs.stepped(making[0], 0, 4)
                elif making and jobs.made(making[0]):
                    jobs.saved(making[0], SavedPicture(Path("x"), 1, 8, 8, ""))
            for one in known:
                assert one.status.state == one.state
                assert (one.id in jobs.order().places, one in jobs.running()) == (
                    one.state == "queued",
                    one.state == "running",
                )
            places = sorted(s.position for s in jobs.statuses() if s.state == "queued")
            assert places == list(range(1, len(places) + 1))


def test_nobody_else_changes_a_job():
    """Assignments to what only `job.py` may change, in all of the engine."""
    private = {
        "state",
        "error",
        "place",
        "served",
        "saved",
        "status",
        "events",
        "priority",
        "interrupted",
    }
    found = []
    for path in ENGINE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            targets = getattr(node, "targets", [getattr(node, "target", None)])
            for target in targets if isinstance(node, ast.Assign | ast.AugAssign) else ():
                for one in ast.walk(target):
                    if isinstance(one, ast.Attribute) and one.attr in private:
                        if "job" in ast.unparse(one.value):
                            found.append(f"{path.name}:{node.lineno}")
    assert not found


def test_readers_take_no_lock():
    """While somebody holds it, everything that is asked is answered, of a queue that has just changed too."""
    jobs = Jobs(16)
    for name in "abc":
        jobs.add(Job(name, request(), name))
    answers = []

    def ask():
        answers.append([s.position for s in jobs.statuses()])
        answers.append((jobs.status("b").position, jobs.wait("b", 0, 0).state))
        answers.append([event.kind for event in jobs.events("a", 0)])
        with jobs.watch("", lambda: None):
            answers.append(len(jobs.open()))

    with jobs._lock:
        asking = threading.Thread(target=ask)
        asking.start()
        asking.join(60)
    assert answers == [[1, 2, 3], (2, "queued"), ["queued"], 3]


def test_the_order_is_worked_out_once_for_each_change(monkeypatch):
    jobs, looks = Jobs(16), []
    ordered = queue_module.ordered
    monkeypatch.setattr(queue_module, "ordered", lambda *given: looks.append(1) or ordered(*given))
    for number in range(50):
        jobs.add(Job(str(number), request()))
    for _ in range(20):
        assert jobs.status("49").position == 50 and len(jobs.statuses()) == 50
        assert jobs.status("0").position == 1
    assert len(looks) == 1
    jobs.prioritise(jobs["49"], 1)
    assert [jobs.status(name).position for name in ("49", "0")] == [1, 2] and len(looks) == 2


def test_a_long_queue_ends_in_time_that_grows_with_its_length(monkeypatch):
    """Each job that ends moved all that wait behind it: stopping with 1,640 of them took 34 s."""
    jobs, looks = Jobs(16), []
    for number in range(50):
        jobs.add(Job(str(number), request()))
    ordered = queue_module.ordered
    monkeypatch.setattr(queue_module, "ordered", lambda *given: looks.append(1) or ordered(*given))
    jobs.close()
    for job in jobs.open():
        jobs.end(job, "cancelled", later=True)
    assert not looks and all(status.state == "cancelled" for status in jobs.statuses())


class TestWatching:
    @pytest.fixture
    def jobs(self):
        jobs = Jobs(16)
        yield jobs
        jobs.listeners.stop()

    def test_a_change_wakes_who_listens_to_that_job_or_to_any(self):
        listeners, heard = Listeners(), []
        with (
            listeners.watch("a", lambda: heard.append("a")),
            listeners.watch("b", lambda: heard.append("b")),
            listeners.watch("", lambda: heard.append("any")),
        ):
            with listeners.watch("b", lambda: heard.append("gone")):
                pass
            listeners.changed("b")
            listeners.stop()  # after a last round
        assert sorted(heard) == ["any", "b"]

    def test_a_listener_that_fails_or_comes_twice_is_nobody_elses_matter(self, jobs):
        heard, fail = threading.Event(), lambda: 1 / 0
        jobs.add(Job("a", request()))
        with jobs.watch("a", fail), jobs.watch("a", fail), jobs.watch("a", heard.set):
            jobs.note(jobs["a"], "x")
            assert heard.wait(60)
        assert not jobs.listeners._wakes

    def test_waiting_jobs_are_told_their_places_with_a_new_version(self, jobs):
        for name in "abc":
            jobs.add(Job(name, request()))
        seen = jobs.wait("c", jobs.status("c").version, 60)
        assert (seen.position, jobs.events("c", 0)[-1].data) == (3, {"position": 3})
        jobs.end(jobs["a"], "cancelled")
        seen = jobs.wait("c", seen.version, 60)
        assert (seen.position, jobs.events("c", 0)[-1].data) == (2, {"position": 2})

    def test_a_job_that_is_not_known_cannot_be_watched(self, jobs):
        with pytest.raises(RequestError, match="not known"):
            jobs.watch("nobody", lambda: None)


def test_a_job_that_ends_while_it_is_written_to_stays_as_it_ended():
    jobs = Jobs(16)
    job = Job("a", request())
    jobs.add(job)
    picture = jobs.claim()
    assert jobs.end(job, "cancelled")
    before = job.status
    jobs.stepped(picture, 1, 4)
    jobs.note(job, "late")
    jobs.made(picture)
    assert not jobs.saved(picture, SavedPicture(Path("x"), 1, 8, 8, ""))
    assert job.status is before and jobs.events("a", 0)[-1].kind == "cancelled"


def test_no_job_is_taken_once_closed_and_the_oldest_ended_are_forgotten(monkeypatch):
    monkeypatch.setattr(jobs_module, "REMEMBERED", 2)
    jobs = Jobs(16)
    for name in "abcd":
        jobs.add(Job(name, request()))
        jobs.end(jobs[name], "cancelled")
    assert [status.id for status in jobs.statuses()] == ["c", "d"]
    jobs.close()
    with pytest.raises(EaselError, match="stopping"):
        jobs.add(Job("e", request()))
