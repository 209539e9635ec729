"""Who may ask what: every route of the running app, logins, cookies, and other sites' pages."""

from __future__ import annotations

from http.client import HTTPConnection
from urllib.parse import urlsplit

import httpx
import pytest

from tests.http.conftest import LOGINS
from tests.http.house import SMALL
from webui.http.gate import OPEN, is_ours

OURS = {
    "/health": "open",
    "/metrics": "guarded",
    "/docs": "guarded",
    "/openapi.json": "guarded",
    "/api/jobs": "guarded",
    "/api/jobs/{job}": "guarded",
    "/api/jobs/{job}/pause": "guarded",
    "/api/jobs/{job}/resume": "guarded",
    "/api/jobs/{job}/cancel": "guarded",
    "/api/jobs/{job}/repeat": "guarded",
    "/api/jobs/{job}/images/{number}": "guarded",
    "/api/jobs/{job}/images/{number}/preview": "guarded",
    "/api/jobs/{job}/interrupt": "guarded",
    "/api/jobs/{job}/skip": "guarded",
    "/api/jobs/{job}/events": "guarded",
    "/api/pictures": "guarded",
    "/api/pictures/facets": "guarded",
    "/api/pictures/version": "guarded",
    "/api/pictures/archive": "guarded",
    "/api/pictures/trash": "guarded",
    "/api/pictures/restore": "guarded",
    "/api/pictures/empty-trash": "guarded",
    "/api/pictures/{picture}": "guarded",
    "/api/pictures/{picture}/file": "guarded",
    "/api/pictures/{picture}/thumbnail": "guarded",
    "/api/tokens": "guarded",
    "/api/styles": "guarded",
    "/api/examples/{number}": "guarded",
    "/api/extensions/{name}/guide": "guarded",
    "/api/settings": "guarded",
    "/api/settings/name": "guarded",
    "/api/settings/fields": "guarded",
    "/api/settings/{name}": "guarded",
    "/api/languages/{code}": "guarded",
    "/api/look": "guarded",
    "/api/state": "guarded",
    "/api/models/files": "guarded",
    "/api/models/files/{file}": "guarded",
    "/api/models/files/{file}/preview": "guarded",
    "/api/models/version": "guarded",
    "/api/models/rescan": "guarded",
    "/api/downloads": "guarded",
    "/api/downloads/repository": "guarded",
    "/api/downloads/{download}": "guarded",
    "/api/downloads/{download}/pause": "guarded",
    "/api/downloads/{download}/resume": "guarded",
}
# Gradio's: the page and its files are open (they hold nothing), the rest asks for its login. Where it does not,
# what is asked for has a name that nobody can guess (an event, a session).
GRADIO = (
    *(
        "/",
        "/config",
        "/login",
        "/logout",
        "/favicon.ico",
        "/robots.txt",
        "/theme.css",
        "/manifest.json",
    ),
    *("/assets/", "/static/", "/svelte/", "/pwa_icon", "/monitoring", "/gradio_api/"),
)


def paths(routes) -> set[str]:
    """Every path of an app, with those of the routers in it."""
    found = set()
    for route in routes:
        if hasattr(route, "path"):
            found.add(route.path)
        for inner in getattr(route, "routes", None) or getattr(
            getattr(route, "original_router", None), "routes", ()
        ):
            found |= paths([inner])
    return found


def test_every_route_of_the_running_app_is_known_here(guarded):
    assert set(guarded.app.openapi()["paths"]) | {"/docs", "/openapi.json"} == set(OURS)
    assert paths(guarded.app.routes) >= set(OURS)
    assert {path for path, how in OURS.items() if how == "open"} == set(OPEN)
    assert all(is_ours(path) for path in OURS)
    gradio = paths(guarded.page._blocks.app.routes)
    assert len(gradio) > 40
    unknown = {
        p for p in gradio if (p.rstrip("/") or "/") not in GRADIO and not p.startswith(GRADIO[8:])
    }
    assert unknown == set() and not any(map(is_ours, gradio))


@pytest.mark.parametrize("path", sorted(OURS))
def test_what_is_guarded_demands_the_login(guarded, stranger, path):
    url = path.format(job="x", number=0, picture=0, name="x", code="de", file=0, download=0)
    methods = ("GET", "POST", "PATCH", "DELETE", "HEAD", "PUT", "OPTIONS")
    answers = {method: stranger.request(method, url).status_code for method in methods}
    if OURS[path] == "open":
        assert answers["GET"] == 200
    else:
        assert set(answers.values()) == {401}
        wrong = (("ann", "geheim:zwölf"), ("ann", ""), ("", ""), ("", "secret one"), ("eve", "x"))
        for login in wrong:
            answer = stranger.get(url, auth=login)
            assert answer.status_code == 401 and "Basic" in answer.headers["WWW-Authenticate"]
            assert "secret" not in answer.text
        assert stranger.get(url, auth=LOGINS[0]).status_code != 401


@pytest.mark.parametrize(
    "path",
    [
        "//api/jobs",
        "/x/../api/jobs",
        "/API/jobs",
        "/api",
        "/api/",
        "/docs/",
        "/%61pi/jobs",
        "/api%2Fjobs",
        "/api/jobs/",
    ],
)
def test_paths_that_look_like_ours_open_nothing(guarded, path):
    connection = HTTPConnection(urlsplit(guarded.url).netloc, timeout=60)  # sends it as it is
    connection.request("GET", path)
    assert connection.getresponse().status in (401, 404)
    connection.close()


def test_the_pages_login_opens_the_api_and_a_wrong_password_beside_it_does_not(guarded):
    with httpx.Client(base_url=guarded.url) as browser:
        browser.post("/login", data={"username": "bob", "password": LOGINS[1][1]})
        assert browser.get("/api/jobs").status_code == 200
        job = guarded.submit(browser)
        assert browser.get(f"/api/jobs/{job}").json()["owner"] == "bob"
        assert browser.get("/api/jobs", auth=("bob", "wrong")).status_code == 401
        browser.get("/logout")
        assert browser.get("/api/jobs").status_code == 401
    forged = {"access-token-unsecure": "x", "easel_owner": "bob"}
    assert httpx.get(f"{guarded.url}/api/jobs", cookies=forged).status_code == 401


def test_a_user_has_their_own_jobs_alone(guarded, ann, bob):
    job = guarded.submit(ann, prompt="mine", seed=88)
    told = guarded.end(ann, job)
    assert told["owner"] == "ann" and ann.get(told["images"][0]["url"]).status_code == 200
    assert job in [one["id"] for one in ann.get("/api/jobs").json()["jobs"]]
    assert job not in [one["id"] for one in bob.get("/api/jobs").json()["jobs"]]
    assert bob.get("/api/jobs", params={"owner": "ann"}).json() == {"jobs": []}
    unknown = bob.get("/api/jobs/lost").json()["error"]
    tries = [
        *(("GET", path) for path in ("", "/images/0", "/events")),
        *(("POST", f"/{what}") for what in ("pause", "resume", "cancel", "repeat")),
        ("PATCH", ""),
    ]
    for method, path in tries:
        answer = bob.request(method, f"/api/jobs/{job}{path}", json={"priority": 1})
        assert answer.status_code == 404
        assert answer.json()["error"] == unknown.replace("'lost'", f"'{job}'")


def test_a_job_of_the_gradio_api_is_the_logins_too(guarded, bob):
    from gradio_client import Client

    client = Client(guarded.url, auth=LOGINS[1], verbose=False)
    _, info = client.predict(prompt="by Gradio", seed=4, api_name="/txt2img")
    assert bob.get(f"/api/jobs/{info['job']}").json()["owner"] == "bob"


def test_two_users_keys_are_two_keys(guarded, ann, bob):
    key = {"Idempotency-Key": "same"}
    first, again, other = (
        who.post("/api/jobs", json=SMALL, headers=key).json()["id"] for who in (ann, ann, bob)
    )
    assert first == again != other


def test_a_browser_has_a_cookie_of_ours_and_keeps_it(open_house):
    with httpx.Client(base_url=open_house.url) as browser:
        (given,) = browser.get("/").headers.get_list("set-cookie")
        assert "HttpOnly" in given and "SameSite=Lax" in given
        assert "set-cookie" not in browser.get("/").headers
        owner = browser.get(f"/api/jobs/{open_house.submit(browser)}").json()["owner"]
        assert owner.startswith("visitor-")
        name = next(iter(browser.cookies))
        browser.cookies.set(name, "0123456789ab." + "0" * 64)
        forged = httpx.get(f"{open_house.url}/", cookies={name: "0123456789ab." + "0" * 64})
        assert "set-cookie" in forged.headers
    with httpx.Client(base_url=open_house.url) as program:
        assert (
            "set-cookie" not in program.get("/api/jobs").headers
        )  # curl has none, and stays one owner


@pytest.mark.parametrize(
    "origin",
    ["null", "http://evil.example", "http://127.0.0.1:1", "https://localhost", "", "http://["],
)
def test_another_sites_page_is_told_nothing_and_changes_nothing(open_house, http, origin):
    job = open_house.submit(http)
    headers = {"Origin": origin}
    tries = (
        ("GET", "/api/jobs"),
        ("POST", f"/api/jobs/{job}/cancel"),
        ("POST", "/api/jobs"),
        ("GET", "/metrics"),
    )
    for method, path in tries:
        answer = http.request(
            method, path, headers=headers, json=SMALL if method == "POST" else None
        )
        assert answer.status_code == 403 and job not in answer.text
    assert http.get("/api/jobs", headers={"Origin": open_house.url}).status_code == 200


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""]
)
def test_only_json_is_taken(http, kind):
    headers = {"Content-Type": kind} if kind else {}
    answer = http.post("/api/jobs", content=b'{"task": "txt2img"}', headers=headers)
    assert answer.status_code == 415 and "JSON" in answer.json()["error"]


def test_the_page_and_its_api_still_answer(open_house, http):
    assert "Easel" in http.get("/").text
    assert http.get("/gradio_api/info").status_code == 200
    assert http.get("/config").status_code == 200


def test_health_is_told_to_whoever_asks_by_head_too(http, stranger):
    for client in (http, stranger):
        answer = client.head("/health")
        assert (answer.status_code, answer.content) == (200, b"")
        assert answer.headers["content-length"] == str(len(client.get("/health").content))


def test_what_is_not_there_is_a_sentence(http):
    assert http.get("/api/nothing").json() == {"error": "there is no /api/nothing", "field": None}
    answer = http.delete("/api/jobs")
    assert answer.status_code == 405 and "DELETE" in answer.json()["error"]


def test_a_foreign_name_for_this_machine_is_refused(http):
    """DNS rebinding: the page of another site, under a name that now points here."""
    for path in ("/api/jobs", "/health", "/metrics"):
        assert http.get(path, headers={"Host": "evil.example"}).status_code == 400
