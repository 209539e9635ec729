"""The routes of settings: what a client is told, what it may change, and who may."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest

from tests.ui.painter import serving


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with (
        serving(tmp_path_factory.mktemp("settings")) as (_, page),
        httpx.Client(base_url=page.url, timeout=60) as client,
    ):
        yield client


def by_name(told: dict) -> dict[str, dict]:
    return {one["name"]: one for group in told["groups"] for one in group["settings"]}


def test_a_change_is_told_at_once_and_reset_by_name(studio):
    told = studio.patch("/api/settings", json={"quality": 70, "device": "cpu"}).json()
    found = by_name(told)
    assert (found["quality"]["value"], found["quality"]["changed"]) == (70, True)
    assert found["device"]["waiting"] and not found["quality"]["waiting"]
    assert by_name(studio.get("/api/settings").json()) == found
    told = studio.delete("/api/settings/quality").json()
    assert by_name(told)["quality"]["value"] == by_name(told)["quality"]["default"] == 90
    studio.patch("/api/settings", json={"device": None})


def test_what_is_wrong_is_a_sentence_with_its_field(studio):
    for values, field in (({"quality": 0}, "quality"), ({"qualiti": 3}, "qualiti")):
        answer = studio.patch("/api/settings", json=values)
        assert answer.status_code == 422 and answer.json()["field"] == field
    assert "did you mean 'quality'" in studio.patch("/api/settings", json={"qualiti": 3}).text
    assert studio.patch("/api/settings", content=b"[]").status_code in (415, 422)


def test_a_pattern_is_tried_on_a_made_up_picture(studio):
    told = studio.get("/api/settings/name", params={"pattern": "[model]/[seed]"}).json()
    assert told == {"name": "starter/1234567890.png", "error": ""}
    wrong = studio.get("/api/settings/name", params={"pattern": "[sed]"}).json()
    assert wrong["name"] == "" and "[seed]" in wrong["error"]


def test_chosen_defaults_are_checked_against_what_there_is(studio):
    def choose(values: dict, task: str = "txt2img") -> httpx.Response:
        entry = {"task": task, "model": "", "values": values}
        return studio.patch("/api/settings", json={"own_defaults": [entry]})

    for values in ({"steps": 5000}, {"sampler_name": "Eulr"}, {"width": 100}, {"cfg_scale": "x"}):
        assert choose(values).status_code == 422, values
    assert choose({"steps": 8}, "txt3img").status_code == 422
    assert choose({"steps": 8.0, "cfg_scale": 3}).status_code == 200
    studio.delete("/api/settings/own_defaults")


def test_a_language_is_fetched_once_while_it_is_the_same(studio):
    listed = studio.get("/api/look").json()
    codes = [code for code, _, _ in listed["languages"]]
    assert {"de", "zh-Hans"} <= set(codes)
    first = studio.get("/api/languages/de")
    assert first.json()["words"]["Cancel"] == "Abbrechen"
    again = studio.get("/api/languages/de", headers={"If-None-Match": first.headers["etag"]})
    assert again.status_code == 304 and not again.content
    assert studio.get("/api/languages/../settings.json").status_code == 404


def test_the_state_says_what_runs_and_which_model(studio):
    told = studio.get("/api/state", params={"model": "flat"}).json()
    assert told["model"] == {"name": "flat", "family": "SD 1.x", "hash": ""}
    assert (told["running"], told["waiting"]) == (0, 0)
    assert studio.get("/api/state").json()["model"] is None


def test_only_the_first_login_changes_settings(ann, bob, stranger):
    assert by_name(bob.get("/api/settings").json())["quality"]["value"] == 90
    assert "ann" in bob.get("/api/settings").json()["locked"]
    for client, status in ((stranger, 401), (bob, 403), (ann, 200)):
        answer = client.patch("/api/settings", json={"quality": 80})
        assert answer.status_code == status, json.dumps(answer.json())
    assert bob.delete("/api/settings/quality").status_code == 403
    assert ann.delete("/api/settings/quality").status_code == 200


def test_another_sites_page_changes_nothing(studio):
    answer = studio.patch(
        "/api/settings", json={"quality": 1}, headers={"Origin": "http://x.example"}
    )
    assert answer.status_code == 403


def test_on_an_address_that_others_reach_nothing_is_changed(tmp_path):
    with (
        serving(tmp_path, host="0.0.0.0") as (_, page),
        httpx.Client(base_url=page.url.replace("0.0.0.0", "127.0.0.1"), timeout=60) as client,
    ):
        assert "--listen" in client.get("/api/settings").json()["locked"]
        answer = client.patch("/api/settings", json={"quality": 80})
        assert (answer.status_code, "--auth" in answer.json()["error"]) == (403, True)
