"""Jobs over a real socket, on a real engine with a real store."""

from __future__ import annotations

import base64
import http.client
import io
import json
import re
import sqlite3
import threading
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from PIL import Image, ImageChops

from tests.http.house import LONG, SMALL, house, told_by
from webui.errors import EaselError
from webui.types import (
    COMMON,
    PROMPTS,
    Decode,
    EncodeText,
    LoadModel,
    Mask,
    Picture,
    SubmissionKey,
    Task,
)

ENDED = ("done", "failed", "cancelled")


def png(colour: str = "red", size: tuple[int, int] = (64, 64)) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, "PNG")
    return out.getvalue()


def in_base64(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def test_a_job_is_in_the_database_when_it_is_answered(open_house, http):
    job = open_house.submit(http, prompt="kept", priority=3)
    with sqlite3.connect(f"file:{open_house.folder}/data/easel.db?mode=ro", uri=True) as store:
        (row,) = store.execute("SELECT request, priority, owner FROM jobs WHERE id = ?", [job])
    assert '"prompt": "kept"' in row[0] and row[1:] == (3, "127.0.0.1")


def test_what_cannot_be_kept_is_not_accepted(tmp_path, models_dir):
    class Full:
        def __init__(self, store: Any) -> None:
            self.store = store

        def __getattr__(self, name: str) -> Any:
            return getattr(self.store, name)

        def accept(self, job: Any, key: SubmissionKey | None) -> str:
            raise EaselError("the disk is full")

    with house(tmp_path, models_dir, persistence=Full) as served:
        answer = httpx.post(f"{served.url}/api/jobs", json=SMALL)
        assert (answer.status_code, answer.json()["error"]) == (503, "the disk is full")
        assert httpx.get(f"{served.url}/api/jobs").json() == {"jobs": []}
        served.engine.stop()
        answer = httpx.post(f"{served.url}/api/jobs", json=SMALL)
        assert answer.status_code == 503 and "stopping" in answer.json()["error"]


def test_a_repeated_submission_is_the_same_job(open_house, http):
    def send(key: str, **headers: str) -> str:
        answer = http.post("/api/jobs", json=SMALL, headers={"Idempotency-Key": key, **headers})
        assert answer.status_code == 201
        assert answer.headers["Location"] == f"/api/jobs/{answer.json()['id']}"
        job: str = answer.json()["id"]
        return job

    first = send("order-1")
    assert send("order-1") == first != send("order-2")
    with httpx.Client(base_url=open_house.url) as browser:
        browser.get("/")  # gives a cookie: another owner, whose keys are their own
        answer = browser.post("/api/jobs", json=SMALL, headers={"Idempotency-Key": "order-1"})
        assert answer.status_code == 201 and answer.json()["id"] != first
    assert (
        http.post("/api/jobs", json=SMALL, headers={"Idempotency-Key": "k" * 201}).status_code
        == 422
    )


def test_an_option_that_was_a_field_is_told_as_it_was_given(open_house, http):
    given = {**SMALL, "sampler_name": "Euler a", "eta": 0.5}
    job = http.post("/api/jobs", json=given).json()["id"]
    told = http.get(f"/api/jobs/{job}").json()["request"]
    assert told["eta"] == 0.5 and "eta" not in told["extras"]
    assert open_house.engine.status(job).request.extras["eta"] == 0.5


def test_a_key_that_comes_again_with_another_body_is_refused(open_house, http):
    def send(**values: Any) -> httpx.Response:
        return http.post("/api/jobs", json=values, headers={"Idempotency-Key": "other-body"})

    first = send(**SMALL).json()["id"]
    assert send(**dict(reversed(SMALL.items()))).json()["id"] == first  # it says the same
    known = len(open_house.engine.jobs())
    for other in ({**SMALL, "seed": 2}, {**SMALL, "priority": 1}, {**SMALL, "prompt": "x"}):
        answer = send(**other)
        assert answer.status_code == 422
        assert answer.json()["field"] == "Idempotency-Key"
        assert "another request" in answer.json()["error"]
    assert len(open_house.engine.jobs()) == known


def test_a_picture_comes_as_it_was_saved(open_house, http):
    job = open_house.submit(http, prompt="a cat", batch_size=2, seed=70)
    told = open_house.end(http, job)
    assert (told["state"], told["progress"], told["error"]) == ("done", 1, None)
    assert told["created"] <= told["ended"]
    assert [image["seed"] for image in told["images"]] == [70, 71]
    for image in told["images"]:
        answer = http.get(image["url"])
        (saved,) = open_house.folder.glob(f"outputs/*/*-{image['seed']}.png")
        assert answer.content == saved.read_bytes()
        assert answer.headers["content-type"] == "image/png"
        assert "immutable" in answer.headers["cache-control"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert Image.open(io.BytesIO(answer.content)).info["parameters"] == image["parameters"]
    for wrong, why in (("2", "2 pictures"), ("-1", "2 pictures"), ("one", "number")):
        answer = http.get(f"/api/jobs/{job}/images/{wrong}")
        assert answer.status_code in (404, 422) and why in answer.json()["error"]
    saved.unlink()
    answer = http.get(told["images"][1]["url"])
    assert answer.status_code == 404 and "moved or deleted" in answer.json()["error"]


def test_a_picture_that_is_not_finished_is_not_there_yet(open_house, http):
    job = open_house.submit(http, **LONG)
    assert http.post(f"/api/jobs/{job}/pause").status_code == 200
    answer = http.get(f"/api/jobs/{job}/images/7")
    assert answer.status_code == 404 and "not finished yet" in answer.json()["error"]
    http.post(f"/api/jobs/{job}/cancel")
    open_house.end(http, job)
    assert "was not made" in http.get(f"/api/jobs/{job}/images/7").json()["error"]


def test_an_interrupted_job_ends_with_what_there_is(open_house, http):
    job = open_house.submit(http, **{**LONG, "batch_size": 12})
    told = open_house.until(http, job, lambda told: told["step"] >= 2)
    assert [one["number"] for one in told["running"]] == list(range(8))
    assert told["running"][0]["steps"] == 150 and 0 < told["running"][0]["progress"] < 1
    look = http.get(f"/api/jobs/{job}/images/3/preview")
    assert (look.status_code, look.headers["content-type"]) == (200, "image/jpeg")
    assert Image.open(io.BytesIO(look.content)).size == (64, 64)
    assert http.get(f"/api/jobs/{job}/images/11/preview").status_code == 404
    answer = http.post(f"/api/jobs/{job}/interrupt")
    assert answer.status_code == 200 and answer.json()["interrupted"] is True
    told = open_house.end(http, job)
    assert (told["state"], told["skipped"], told["made"]) == ("done", [8, 9, 10, 11], 8)
    assert told["running"] == [] and told["progress"] == 1
    for image in told["images"]:
        made = re.search(r", Interrupted: (\d+)/150, ", image["parameters"])
        assert made and 2 <= int(made[1]) < 150
        assert Image.open(io.BytesIO(http.get(image["url"]).content)).size == (64, 64)
    gone = http.get(f"/api/jobs/{job}/images/9")
    assert gone.status_code == 404
    assert gone.json()["error"].endswith(
        "was not made: it was skipped, or the job was interrupted before"
    )
    assert http.get(f"/api/jobs/{job}/images/3/preview").status_code == 404
    for what in ("interrupt", "skip"):
        answer = http.post(f"/api/jobs/{job}/{what}")
        assert answer.status_code == 409 and "is done" in answer.json()["error"]
        assert http.post(f"/api/jobs/nowhere/{what}").status_code == 404


def test_a_skipped_picture_is_left_out(open_house, http):
    job = open_house.submit(http, **{**LONG, "batch_size": 3})
    open_house.until(http, job, lambda told: len(told["running"]) == 3)
    skip = f"/api/jobs/{job}/skip"
    assert http.post(skip, json={"picture": 1}).json()["skipped"] == [1]
    assert http.post(skip).json()["skipped"] == [0, 1]  # the running one with the lowest number
    assert http.post(skip, json={}).status_code == 200
    told = open_house.end(http, job)
    assert (told["state"], told["skipped"], told["images"]) == ("cancelled", [0, 1, 2], [])
    gone = http.get(f"/api/jobs/{job}/images/1")
    assert gone.status_code == 404 and gone.json()["error"].endswith("not made: it was skipped")
    assert http.post(skip).status_code == 409


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"picture": 3}, "picture 3: the job has 3, counted from 0"),
        ({"picture": -1}, "picture -1: the job has 3"),
        ({"picture": "1"}, "a picture's number, from 0"),
        ({"picture": True}, "a picture's number, from 0"),
        ({"number": 1}, 'give {"picture": number}, or nothing'),
    ],
)
def test_a_picture_to_skip_is_one_of_the_job(open_house, http, body, words):
    job = open_house.submit(http, **{**LONG, "batch_size": 3})
    answer = http.post(f"/api/jobs/{job}/skip", json=body)
    assert answer.status_code == 422 and words in answer.json()["error"]
    assert answer.json()["field"] == next(iter(body))
    http.post(f"/api/jobs/{job}/cancel")


def test_a_finished_picture_is_not_skipped(open_house, http):
    job = open_house.submit(http, **{**LONG, "batch_size": 12, "steps": 30})
    open_house.until(http, job, lambda told: told["made"] >= 8)
    answer = http.post(f"/api/jobs/{job}/skip", json={"picture": 0})
    assert answer.status_code == 409
    http.post(f"/api/jobs/{job}/cancel")


def test_pictures_come_in_as_base64(open_house, http):
    given, mask = png("red"), png("white")
    forms = (
        in_base64(given),
        "data:image/png;base64," + in_base64(given),
        base64.encodebytes(given).decode("ascii"),  # in lines
    )
    made = set()
    for image in forms:
        job = open_house.submit(http, task="img2img", image=image, denoising_strength=0.5, steps=4)
        told = open_house.end(http, job)
        assert "image" not in told["request"] and told["request"]["denoising_strength"] == 0.5
        made.add(Image.open(io.BytesIO(http.get(told["images"][0]["url"]).content)).tobytes())
    assert len(made) == 1
    words = {"task": "inpaint", "image": in_base64(given), "mask": in_base64(mask)}
    assert open_house.end(http, open_house.submit(http, **words))["state"] == "done"


@pytest.mark.parametrize(
    ("values", "status", "field", "words"),
    [
        ({"task": "paint"}, 422, "task", "'paint' is not known"),
        ({"task": None}, 422, "task", "task None"),
        ({"width": 65}, 422, "width", "multiple of 8"),
        ({"steps": "many"}, 422, "steps", "steps"),
        ({"sampler_name": "Eulr"}, 422, "sampler_name", "did you mean 'Euler'"),
        ({"stepz": 3}, 422, "stepz", "did you mean 'steps'"),
        ({"extras": [1]}, 422, "extras", "JSON object"),
        ({"prompt": "\ud800"}, 422, "prompt", "half a character"),
        ({"priority": 1e9}, 422, "priority", "whole number"),
        ({"prompt": "<lora:nope:1>"}, 422, "prompt", "no such file in models/Lora"),
        ({"missing": "never"}, 422, "missing", "use 'refuse', 'warn'"),
        ({"prompt": "BREAK " * 40}, 422, "prompt", "41 chunks of 75 tokens; use at most 32"),
        (
            {"negative_prompt": f"(x:{'9' * 47})"},
            422,
            "negative_prompt",
            "weight of “x” is too large",
        ),
        ({"task": "img2img"}, 422, "image", "give one"),
        ({"task": "img2img", "image": "/etc/passwd"}, 422, "image", "damaged"),
        ({"task": "img2img", "image": "http://here/x.png"}, 422, "image", "damaged"),
        ({"task": "img2img", "image": {"path": "/etc/passwd"}}, 422, "image", "base64"),
        ({"task": "img2img", "image": "AAAA"}, 422, "image", "not a whole picture"),
    ],
)
def test_what_is_wrong_is_one_sentence_about_its_field(http, values, status, field, words):
    body = json.dumps({**SMALL, **values})
    answer = http.post("/api/jobs", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == status
    assert answer.json()["field"] == field
    assert words in answer.json()["error"] and "\n" not in answer.json()["error"]


@pytest.mark.parametrize("body", [b"", b"[]", b"3", b"{", b'{"steps": NaN}', b"[" * 100_000])
def test_a_body_that_is_no_object_is_refused(http, body):
    answer = http.post(
        "/api/jobs", content=body, headers={"Content-Type": "application/json; charset=utf-8"}
    )
    assert answer.status_code == 422 and "body" in answer.json()["error"]


def test_what_is_too_large_is_refused_before_it_is_read(open_house):
    connection = http.client.HTTPConnection(urlsplit(open_house.url).netloc, timeout=60)
    connection.putrequest("POST", "/api/jobs")
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Content-Length", str(2**40))
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()


def test_a_job_pauses_goes_on_and_is_cancelled(open_house, http):
    job = open_house.submit(http, **LONG)
    open_house.until(http, job, lambda told: told["step"] > 1)
    assert http.post(f"/api/jobs/{job}/pause").json()["state"] == "paused"
    calls = open_house.engine.describe()["calls"]
    other = open_house.submit(http)
    assert open_house.end(http, other)["state"] == "done"  # while the first one stands
    stands = open_house.until(http, job, lambda told: told["state"] == "paused")["step"]
    assert stands < 150 and calls != open_house.engine.describe()["calls"]
    assert http.get(f"/api/jobs/{job}").json()["step"] == stands
    assert http.post(f"/api/jobs/{job}/resume").json()["state"] == "running"
    open_house.until(http, job, lambda told: told["step"] > stands)
    assert http.patch(f"/api/jobs/{job}", json={"priority": 5}).json()["priority"] == 5
    assert http.post(f"/api/jobs/{job}/cancel").status_code == 200
    assert open_house.end(http, job)["state"] == "cancelled"
    assert http.post(f"/api/jobs/{job}/cancel").status_code == 200  # sent again
    for what in ("pause", "resume"):
        answer = http.post(f"/api/jobs/{job}/{what}")
        assert answer.status_code == 409 and "is cancelled" in answer.json()["error"]
    assert http.patch(f"/api/jobs/{job}", json={"priority": 5}).status_code == 409
    assert http.post(f"/api/jobs/{other}/cancel").status_code == 409


@pytest.mark.parametrize(
    "body", [{}, {"priority": True}, {"priority": "1"}, {"priority": 1, "x": 2}]
)
def test_only_a_priority_can_be_changed(open_house, http, body):
    job = open_house.submit(http)
    answer = http.patch(f"/api/jobs/{job}", json=body)
    assert (answer.status_code, answer.json()["field"]) == (422, "priority")


def apart(http, one, other) -> int:
    """How many grey levels the first pictures of two jobs differ at most."""
    contents = [http.get(told["images"][0]["url"]).content for told in (one, other)]
    a, b = (Image.open(io.BytesIO(content)) for content in contents)
    return max(high for _, high in ImageChops.difference(a, b).getextrema())


def test_a_repeated_job_is_the_same_picture(open_house, http):
    first = open_house.end(http, open_house.submit(http, prompt="again", seed=9, steps=3))
    answer = http.post(f"/api/jobs/{first['id']}/repeat")
    assert answer.status_code == 201
    second = open_house.end(http, answer.json()["id"])
    assert second["id"] != first["id"] and second["request"] == first["request"]
    assert apart(http, first, second) <= 2  # another job may have shared a call with one of them


def test_a_repeated_job_has_its_pictures_again_or_is_refused(open_house, http):
    """Never a picture made from something else."""
    values = {"task": "img2img", "image": in_base64(png("#123456")), "steps": 2}
    first = open_house.end(http, open_house.submit(http, **values))
    again = http.post(f"/api/jobs/{first['id']}/repeat")
    assert again.status_code == 201, again.text
    second = open_house.end(http, again.json()["id"])
    assert apart(http, first, second) <= 2
    for kept in (open_house.folder / "data" / "pictures").iterdir():
        kept.unlink()
    answer = http.post(f"/api/jobs/{first['id']}/repeat")
    assert answer.status_code == 409 and "is gone" in answer.json()["error"]


def test_the_list_can_be_narrowed(open_house, http):
    done = open_house.submit(http)
    open_house.end(http, done)
    paused = open_house.submit(http, **LONG)
    http.post(f"/api/jobs/{paused}/pause")

    def ids(**query: Any) -> list[str]:
        return [job["id"] for job in http.get("/api/jobs", params=query).json()["jobs"]]

    assert ids()[:2] == [paused, done] and ids(limit=1) == [paused]
    assert paused in ids(state="paused") and done not in ids(state="paused")
    assert {paused, done} <= set(ids(state=["paused", "done"]))
    assert {paused, done} <= set(ids(owner="mine")) == set(ids(owner="127.0.0.1"))
    assert ids(owner="nobody") == []
    http.post(f"/api/jobs/{paused}/cancel")
    for wrong in ({"state": "lost"}, {"limit": 0}, {"limit": "all"}):
        answer = http.get("/api/jobs", params=wrong)
        assert (answer.status_code, answer.json()["field"]) == (422, next(iter(wrong)))


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("PATCH", ""),
        *(("POST", f"/{what}") for what in ("pause", "resume", "cancel", "repeat")),
        ("GET", "/images/0"),
        ("GET", "/events"),
    ],
)
def test_an_unknown_job_is_404(http, method, path):
    answer = http.request(method, f"/api/jobs/lost{path}", json={"priority": 1})
    assert answer.status_code == 404 and "job 'lost' is not known" in answer.json()["error"]


def test_a_submission_that_takes_long_holds_up_nobody(tmp_path, models_dir):
    """An extension's `change_request` that does not come back, more often than it may run at once."""
    go_on = threading.Event()

    def change(request: Any) -> Any:
        go_on.wait(60)
        return request

    with house(tmp_path, models_dir, change=change) as served:
        url = f"{served.url}/api/jobs"
        sending = [
            threading.Thread(target=httpx.post, args=(url,), kwargs={"json": SMALL})
            for _ in range(9)
        ]
        for thread in sending:
            thread.start()
        assert httpx.get(f"{served.url}/health", timeout=60).json() == {"status": "ok"}
        assert httpx.get(url, timeout=60).json() == {"jobs": []}
        assert httpx.get(served.url, timeout=60).status_code == 200
        go_on.set()
        for thread in sending:
            thread.join()
        assert len(httpx.get(url).json()["jobs"]) == 9


# --- Events ---------------------------------------------------------------------------------------


def test_who_comes_back_gets_what_was_missed_and_nothing_twice(open_house, http):
    job = open_house.submit(http, steps=6, batch_size=3)
    told = []
    with http.stream("GET", f"/api/jobs/{job}/events") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        for event in told_by(stream.iter_lines()):
            if event.number is not None:
                told.append(event)
            if len(told) == 2:
                break  # and the connection is dropped
    open_house.end(http, job)
    back = {"Last-Event-ID": str(told[-1].number)}
    with http.stream("GET", f"/api/jobs/{job}/events", headers=back) as stream:
        told += [event for event in told_by(stream.iter_lines()) if event.number is not None]
    numbers = [event.number for event in told]
    assert numbers == sorted(set(numbers))
    left = {event.number for event in open_house.engine.events(job)}
    assert left <= set(numbers)  # of steps in a row the engine forgets the older ones
    assert (told[0].kind, told[-1].kind) == ("queued", "done")
    assert [event.data["seed"] for event in told if event.kind == "saved"] == [1, 2, 3]
    for nothing in ({"Last-Event-ID": str(numbers[-1])}, {}):
        query = {} if nothing else {"after": numbers[-1]}
        answer = http.get(f"/api/jobs/{job}/events", headers=nothing, params=query)
        assert answer.status_code == 204  # so that a browser stops coming back


def test_previews_are_pictures_and_come_only_where_they_are_wanted(open_house, http):
    job = open_house.submit(http, **LONG)
    with http.stream("GET", f"/api/jobs/{job}/events") as stream:
        preview = next(e for e in told_by(stream.iter_lines()) if e.kind == "preview")
    head, _, content = preview.data["image"].partition(",")
    assert head == "data:image/jpeg;base64" and preview.number is None
    assert Image.open(io.BytesIO(base64.b64decode(content))).size == (64, 64)
    http.post(f"/api/jobs/{job}/pause")
    plain = http.stream("GET", f"/api/jobs/{job}/events", params={"previews": False})
    with plain as stream:
        kinds = set()
        http.post(f"/api/jobs/{job}/cancel")
        for event in told_by(stream.iter_lines()):
            kinds.add(event.kind)
    assert "cancelled" in kinds and "preview" not in kinds


def streams(http: httpx.Client) -> float:
    lines = http.get("/metrics").text.splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("easel_event_streams "))


def test_a_closed_connection_ends_its_stream(open_house, http):
    job = open_house.submit(http, **LONG)
    http.post(f"/api/jobs/{job}/pause")
    before = streams(http)
    with http.stream("GET", f"/api/jobs/{job}/events") as stream:
        events = told_by(stream.iter_lines())
        next(events)
        assert streams(http) == before + 1
    open_house.until(http, job, lambda told: streams(http) == before)
    assert open_house.until(http, job, lambda told: True)["state"] == "paused"  # it goes on without
    http.post(f"/api/jobs/{job}/cancel")


# --- Extras ---------------------------------------------------------------------------------------


def stamped(request, studio):
    """Text to image with an extension's picture in its corner."""
    model = yield LoadModel(request.model)
    cond = yield EncodeText(model, request.prompt, request.negative_prompt)
    sampling = studio.sampling(cond)
    noise = studio.first_noise(model.latent_shape(request.width, request.height))
    latent = yield from studio.sample(sampling, noise * sampling.sigmas[0])
    picture = studio.picture((yield Decode(model, latent)))
    picture.paste(
        request.extras["stamp"].crop((0, 0, 8, 8)),
        (0, 0),
        request.extras["hole"].crop((0, 0, 8, 8)),
    )
    return picture


def test_pictures_among_the_extras_come_in_as_base64_too(tmp_path, models_dir):
    extras = (
        Picture(name="stamp", label="Stamp", required=True),
        Mask(name="hole", label="Hole", over="stamp"),
    )
    task = Task("stamped", "Stamped", stamped, (*PROMPTS, *COMMON, *extras))
    with (
        house(tmp_path, models_dir, tasks=(task,)) as served,
        httpx.Client(base_url=served.url) as http,
    ):
        given = {"stamp": in_base64(png("blue")), "hole": in_base64(png("white"))}
        told = served.end(http, served.submit(http, task="stamped", extras=given))
        assert told["error"] is None and told["request"]["extras"] == {"stamp": None, "hole": None}
        made = Image.open(io.BytesIO(http.get(told["images"][0]["url"]).content)).convert("RGB")
        assert made.crop((0, 0, 8, 8)).getcolors() == [(64, (0, 0, 255))]
        answer = http.post("/api/jobs", json={**SMALL, "task": "stamped", "extras": {"stamp": "?"}})
        assert (answer.status_code, answer.json()["field"]) == (422, "stamp")
