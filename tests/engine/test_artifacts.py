"""A task may give a file of its own: from bytes, or from the folder that it was given, which is its own until then."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.engine.conftest import request
from webui.engine import calls
from webui.engine.calls import CallType, register
from webui.store.jobs import JobStore
from webui.types import Call, File, PostProcessor, Task


@dataclass(frozen=True, slots=True)
class Idle(Call):
    """Does nothing."""


@pytest.fixture
def idle():
    register(Idle, CallType(run=lambda runner, call: None))
    yield
    del calls._TABLE[Idle]


def bundle(make) -> dict[str, Task]:
    return {"bundle": Task("bundle", "Bundle", make, samples=False, suffix=".zip")}


def test_a_file_of_bytes_goes_by_the_same_road_and_past_the_post_processors(start):
    def make(asked, studio):
        return File(".zip", b"PK", "application/zip")
        yield

    seen = []
    step = PostProcessor("see", lambda picture, asked, studio: seen.append(picture))
    bench = start(tasks=bundle(make), postprocessors=[step])
    job = bench.engine.submit(request(task="bundle"))
    assert bench.end(job).state == "done"
    (finished,) = bench.finished
    assert finished.picture.content == b"PK" and finished.picture.bytes == 2 and not seen


@pytest.mark.parametrize("stored", [True, False])
def test_a_file_in_the_tasks_folder_is_there_until_it_is_saved(start, tmp_path, stored):
    folders = []

    def make(asked, studio):
        folders.append(studio.folder)
        assert studio.folder == folders[-1] and not list(studio.folder.iterdir())
        (studio.folder / "made").write_bytes(b"by the task")
        return File(".bin", studio.folder / "made")
        yield

    store = JobStore(tmp_path / "kept") if stored else None
    bench = start(tasks=bundle(make), persistence=store)
    write, contents = bench.engine._write, []

    def save(finished):
        contents.append(finished.picture.content.read_bytes())
        return write(finished)

    bench.engine._write = save
    job = bench.engine.submit(request(task="bundle", batch_size=2))
    assert bench.end(job).state == "done"
    bench.engine.stop()
    assert contents == [b"by the task"] * 2 and len(set(folders)) == 2
    assert not any(folder.exists() for folder in folders)
    if store is not None:
        assert all(folder.parent == tmp_path / "kept" / "files" for folder in folders)
        store.close()


def test_a_file_elsewhere_is_refused(start, tmp_path):
    there = tmp_path / "secret"
    there.write_bytes(b"!")

    def make(asked, studio):
        return File(".bin", there if asked.seed == 1 else studio.folder / ".." / "nothing")
        yield

    bench = start(tasks=bundle(make))
    for seed in (1, 2):
        status = bench.end(bench.engine.submit(request(task="bundle", seed=seed)))
        assert (
            status.state == "failed" and "no file in the folder that it was given" in status.error
        )


def test_what_a_task_wrote_is_there_after_a_restart_and_gone_with_its_job(start, tmp_path, idle):
    found = []

    def make(asked, studio):
        checkpoint = studio.folder / "checkpoint"
        found.append(checkpoint.exists())
        checkpoint.write_text("half")
        while len(found) < 2:
            yield Idle()
        return File(".txt", checkpoint)

    store = JobStore(tmp_path / "kept")
    bench = start(tasks=bundle(make), persistence=store)
    job = bench.engine.submit(request(task="bundle"))
    bench.until(job, lambda s: bool(found) or s.ended)
    bench.engine.stop()
    store.close()
    store = JobStore(tmp_path / "kept")
    again = start(tasks=bundle(make), persistence=store)
    assert again.end(job).state == "done" and found == [False, True]
    again.engine.stop()
    left = store.folder("nobody", 0)
    left.mkdir(parents=True)
    store.tidy()
    assert not left.exists() and not list((tmp_path / "kept" / "files").iterdir())
    store.close()


@pytest.mark.parametrize("suffix", ["", "zip", ".ZIP", "./x", ".a/b", ".", ".tar.gz.x"])
def test_a_suffix_is_an_ending(suffix):
    with pytest.raises(ValueError, match="give one like"):
        File(suffix, b"")
    assert File(".tar.gz", Path("x")).suffix == ".tar.gz"
    with pytest.raises(ValueError, match="give one like"):
        File(".zip", b"", "text/html\r\nX: y")
