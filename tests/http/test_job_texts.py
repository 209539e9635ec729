"""The JSON of a job is made once for each change of it, and a preview once for all who listen."""

from __future__ import annotations

import asyncio
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from typing import Any

import pytest
from PIL import Image

from tests.engine.conftest import request
from webui.http import job_texts
from webui.http.job_texts import AT_ONCE, SPARE, JobTexts
from webui.http.previews import Previews
from webui.http.views import view
from webui.types import JobStatus


def run(main: Any) -> Any:
    """On a thread of its own: a browser of other tests may have a loop on this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, main).result()


def status(number: int, **values: Any) -> JobStatus:
    return JobStatus(f"j{number}", "queued", 1, request(prompt="ü"), position=number, **values)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The jobs that are put into words."""
    made: list[str] = []

    def noted(one: JobStatus) -> Any:
        made.append(one.id)
        return view(one)

    monkeypatch.setattr(job_texts, "view", noted)
    return made


@pytest.mark.parametrize("count", [0, 3, AT_ONCE + 1])
def test_a_list_says_what_each_job_says_and_says_it_once(count: int, made: list[str]) -> None:
    texts, jobs = JobTexts(), [status(number) for number in range(count)]

    def listed() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(run(texts.listed(jobs)))["jobs"]
        return found

    assert listed() == [asdict(view(job)) for job in jobs]
    assert listed() == listed() and len(made) == count
    if count:
        jobs[1] = replace(jobs[1], version=2, step=7)
        jobs[2] = replace(jobs[2], position=1)  # others have moved
        assert listed() == [asdict(view(job)) for job in jobs]
        assert made[count:] == ["j1", "j2"]


def test_texts_of_jobs_that_are_gone_go_too(made: list[str]) -> None:
    texts = JobTexts()
    for begin in range(0, 3 * SPARE, SPARE // 2):
        run(texts.listed([status(begin + n) for n in range(SPARE // 2)]))
    assert len(texts._texts) <= 2 * SPARE


def test_a_preview_is_drawn_once_for_all_who_listen() -> None:
    drawn, threads = [], set[threading.Thread]()

    class Engine:
        def preview(self, job: str, picture: int) -> Image.Image:
            drawn.append(job)
            assert threading.current_thread() not in threads
            return Image.new("RGB", (8, 8))

    async def main() -> None:
        threads.add(threading.current_thread())
        previews, running = Previews(Engine()), status(1, step=3)  # type: ignore[arg-type]
        first = asyncio.create_task(previews.of(running))
        await asyncio.sleep(0)
        first.cancel()  # whoever asked first goes; the others are told all the same
        told = await asyncio.gather(*(previews.of(running) for _ in range(100)))
        assert len(set(told)) == 1 and str(told[0]).startswith("data:image/jpeg;base64,")
        assert drawn == ["j1"]
        await previews.of(replace(running, step=4))
        assert drawn == ["j1", "j1"]
        for number in range(200):
            await previews.of(status(number, step=1))
        assert len(previews._drawn) <= 64

    run(main())
