"""`jobs`: the jobs of a running server, told and changed from a terminal over its HTTP API."""

from __future__ import annotations

import base64
import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from webui.errors import EaselError, RequestError
from webui.options import SentenceParser
from webui.settings import Settings

__all__ = ["jobs", "jobs_parser"]

ANSWER_S = 30
PROMPT = 40  # characters in a table
HEADS = ("ID", "STATE", "PROGRESS", "AGE", "OWNER", "TASK", "MODEL", "PROMPT")
CHANGES = ("pause", "resume", "interrupt", "skip", "cancel")
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # what listens there answers here


def jobs_parser() -> SentenceParser:
    parser = SentenceParser(
        prog="python launch.py jobs",
        description="The jobs of the Easel that runs at --host and --port, or at --url.",
        add_help=False,
        allow_abbrev=False,
    )
    parser.add_argument(
        "what", nargs="?", default="list", metavar="|".join(("list", "show", *CHANGES))
    )
    parser.add_argument("job", nargs="*", metavar="ID", help="of the job; several to change them")
    parser.add_argument("--url", help="of the server (http://127.0.0.1:7860)")
    parser.add_argument("--json", action="store_true", help="what the API answers, as JSON")
    return parser


def jobs(words: Sequence[str], settings: Settings, logins: Sequence[tuple[str, str]] = ()) -> int:
    """Does what `words` say and prints how it stands then; gives 0. A server that asks for a login gets the
    first of `logins`.

    Raises `EaselError` with a sentence where no Easel answers, or it refuses.
    """
    asked = jobs_parser().parse_args(list(words))
    if asked.what not in ("list", "show", *CHANGES):
        known = ", ".join(("list", "show", *CHANGES[:-1]))
        raise RequestError(f"jobs {asked.what!r} is not known; use {known} or {CHANGES[-1]}")
    if (asked.what == "list") != (not asked.job):
        raise RequestError(
            "jobs list takes no ID" if asked.job else f"jobs {asked.what}: say which, by its ID"
        )
    host = EVERYWHERE.get(settings.host, settings.host)
    server = Server(asked.url or f"http://{host}:{settings.port}", logins[0] if logins else None)
    if asked.what == "list":
        answer = server.ask("GET", "/api/jobs?limit=1000")
        print(json.dumps(answer, indent=2) if asked.json else table(answer["jobs"]))
        return 0
    answers = []
    for job in asked.job:
        path = f"/api/jobs/{quote(job, safe='')}"
        if asked.what != "show":
            server.ask("POST", f"{path}/{asked.what}")
        answers.append(server.ask("GET", path))
    if asked.json:
        print(json.dumps(answers[0] if len(answers) == 1 else answers, indent=2))
    elif asked.what == "show":
        print("\n\n".join(map(shown, answers)))
    else:
        print(table(answers))
    return 0


class Server:
    """An Easel that answers at `url`, asked with `login` where there is one."""

    def __init__(self, url: str, login: tuple[str, str] | None) -> None:
        self._url = url.rstrip("/")
        if not self._url.startswith(("http://", "https://")):
            raise RequestError(f"--url {url}: give an address like http://127.0.0.1:7860")
        self._headers = {"Accept": "application/json"}
        if login is not None:
            pair = base64.b64encode(":".join(login).encode("utf-8")).decode("ascii")
            self._headers["Authorization"] = f"Basic {pair}"
        # Never through a proxy: it is this machine, or one that was named.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def ask(self, method: str, path: str) -> Any:
        """What it answers, as JSON."""
        try:
            request = urllib.request.Request(self._url + path, headers=self._headers, method=method)
            with self._opener.open(request, timeout=ANSWER_S) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as refusal:
            with refusal:
                raise EaselError(self._sentence(refusal)) from None
        except json.JSONDecodeError:
            raise EaselError(f"what answers at {self._url} is no Easel") from None
        except (OSError, ValueError) as fault:  # ValueError: no such URL
            reason = getattr(fault, "reason", fault)
            raise EaselError(
                f"no Easel answers at {self._url} ({reason}): start it, or say with --url where it is"
            ) from None

    def _sentence(self, refusal: urllib.error.HTTPError) -> str:
        try:
            sentence = str(json.load(refusal)["error"])
        except (ValueError, KeyError, TypeError):
            return f"what answers at {self._url} is no Easel (HTTP {refusal.code})"
        if refusal.code == 401:
            return f"{self._url} asks for a login: give it with --auth USER:PASS"
        return sentence


def table(told: Sequence[Mapping[str, Any]]) -> str:
    """A line for each job under a line of heads."""
    if not told:
        return "There are no jobs."
    rows = [HEADS, *map(row, told)]
    widths = [max(len(one[i]) for one in rows) for i in range(len(HEADS))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(one, widths, strict=True)).rstrip()
        for one in rows
    )


def row(job: Mapping[str, Any]) -> tuple[str, ...]:
    words = " ".join(job["prompt"].split())
    words = words if len(words) <= PROMPT else words[: PROMPT - 1] + "…"
    where = (job["id"], job["state"], progress(job), span(time.time() - job["created"]))
    return (*where, job["owner"], job["task"], job["model"], words)


def progress(job: Mapping[str, Any]) -> str:
    if job["position"]:
        return f"place {job['position']}"
    left = "" if job["eta"] is None else f", {job['eta']:.0f} s left"
    going = job["state"] in ("running", "paused")
    if not going:
        return f"{len(job['images'])} pictures"
    step = f"{job['step']}/{job['steps']}{left}"
    several = job["batch_size"] > 1
    return f"{job['made']} of {job['batch_size']} made, {step}" if several else step


def span(seconds: float) -> str:
    """A time in its largest unit."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def shown(job: Mapping[str, Any]) -> str:
    """All that is told of a job, a line each."""
    lines = [f"{name}: {value}" for name, value in told(job).items() if value not in (None, "")]
    for image in job["images"]:
        lines.append(f"image {image['number']}: {image['url']} (seed {image['seed']})")
        lines += [f"    {note}" for note in image.get("notes", ())]
    return "\n".join(lines)


def told(job: Mapping[str, Any]) -> dict[str, Any]:
    request = {k: v for k, v in job["request"].items() if k not in job and k != "extras"}
    extras = job["request"]["extras"]
    plain = {name: value for name, value in job.items() if name not in ("request", "images")}
    plain["running"] = ", ".join(
        f"picture {one['number']} at step {one['step']} of {one['steps']}"
        for one in job.get("running", ())
    )
    plain["skipped"] = ", ".join(map(str, job.get("skipped", ())))
    times = {name: time.ctime(job[name]) for name in ("created", "ended") if job[name]}
    return {**plain, **times, **request, **extras}
