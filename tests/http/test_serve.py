"""`serve` as a process: with logins, killed right after it has accepted a job."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading

import httpx

from tests.http.house import LONG
from tests.networks import tiny_folder
from webui.settings import ROOT, STORE


def test_a_job_that_was_answered_outlives_a_kill(tmp_path):
    tiny_folder(tmp_path / "models" / "Stable-diffusion" / "tiny")
    process = subprocess.Popen(
        [
            *(sys.executable, str(ROOT / "launch.py"), "--skip-install", "--no-browser"),
            *("--port", "0", "--device", "cpu", "--data-dir", str(tmp_path)),
            *("--auth", "ann:one,bob:two", "--safe-mode"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={k: v for k, v in os.environ.items() if not k.startswith("GRADIO")},
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().split()[-1].rstrip("/")
        assert httpx.get(f"{url}/api/jobs").status_code == 401
        assert "Login" in httpx.get(url).text or httpx.get(f"{url}/config").status_code == 401
        answer = httpx.post(f"{url}/api/jobs", json=LONG, auth=("bob", "two"), timeout=60)
        process.kill()
        assert answer.status_code == 201
    finally:
        process.kill()
        process.wait()
    with sqlite3.connect(tmp_path / STORE / "easel.db") as store:
        found = store.execute("SELECT id, owner, state FROM jobs").fetchall()
    assert len(found) == 1 and found[0][:2] == (answer.json()["id"], "bob")
    assert found[0][2] in ("queued", "running")


def test_one_key_sent_at_once_by_many_threads_is_one_job(open_house):
    """A client that gave up waiting and sends again, while the first request is still being accepted."""
    made, begin = [], threading.Barrier(6)

    def send() -> None:
        with httpx.Client(base_url=open_house.url, timeout=60) as http:
            begin.wait()
            answer = http.post(
                "/api/jobs", json={**LONG, "steps": 1}, headers={"Idempotency-Key": "at-once"}
            )
            made.append((answer.status_code, answer.text))

    threads = [threading.Thread(target=send) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 1 and made[0][0] == 201, made
