"""Downloads from a hub on loopback: whole, in parts, on the hub's bad days; never half there under their name."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.store.hub import FakeHub, fake_hub
from webui.errors import EaselError, ModelFileError, RequestError
from webui.sentences import with_keys
from webui.store.downloads import Downloads
from webui.store.downloads.hub import Hub, HubError
from webui.store.downloads.places import MARGIN
from webui.types.library import Download

WEIGHTS = os.urandom(300_000)
FOLDER = {
    "model_index.json": b"{}",
    "unet/config.json": b'{"sample_size": 8}',
    "unet/diffusion_pytorch_model.safetensors": os.urandom(5000),
    "unet/diffusion_pytorch_model.fp16.safetensors": os.urandom(4000),
    "unet/diffusion_pytorch_model.non_ema.safetensors": os.urandom(4000),
    "vae/config.json": b"{}",
    "vae/diffusion_pytorch_model.safetensors": os.urandom(3000),
    "vae/diffusion_pytorch_model.bin": os.urandom(3000),
    "safety_checker/model.safetensors": os.urandom(3000),
    "README.md": b"read me",
}


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with fake_hub() as served:
        served.files["sub/good.safetensors"] = WEIGHTS
        yield served


@pytest.fixture
def make(tmp_path: Path, hub: FakeHub) -> Iterator[Callable[..., Downloads]]:
    """Makes the downloads of a folder, and closes all of them at the end."""
    made: list[Downloads] = []

    def one(**values: object) -> Downloads:
        given = {"hub": Hub(hub.url), "first_wait_s": 0.01, **values}
        made.append(Downloads(tmp_path / "models", tmp_path / "state", **given))  # type: ignore[arg-type]
        return made[-1]

    yield one
    hub.hold.set()
    for downloads in made:
        downloads.close()


def until(downloads: Downloads, download: str, *states: str) -> Download:
    deadline = time.monotonic() + 60
    while True:
        found = next(one for one in downloads.all() if one.id == download)
        if found.state in states:
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.005)


def ended(downloads: Downloads, path: str = "sub/good.safetensors", kind: str = "lora") -> Download:
    return until(downloads, downloads.add("owner/name", kind, path).id, "done", "failed")


def until_half(folder: Path, size: int) -> None:
    """Waits until that many bytes are on the disk."""
    deadline = time.monotonic() + 60
    while sum(path.stat().st_size for path in folder.rglob("*.safetensors")) < size:
        assert time.monotonic() < deadline
        time.sleep(0.005)


def hidden(folder: Path) -> list[Path]:
    return list(folder.rglob(".*.part"))


def test_a_file_arrives_whole_in_the_folder_of_its_kind(make, hub, tmp_path):
    arrived = []
    downloads = make(arrived=lambda: arrived.append(1))
    found = ended(downloads)
    assert (found.state, found.target, found.done) == (
        "done",
        "Lora/good.safetensors",
        len(WEIGHTS),
    )
    assert (tmp_path / "models" / found.target).read_bytes() == WEIGHTS
    assert not hidden(tmp_path / "models")
    deadline = time.monotonic() + 10
    while not arrived:
        assert time.monotonic() < deadline


def test_a_broken_connection_is_taken_up_where_it_broke(make, hub, tmp_path):
    hub.cut_after = 100_000
    found = ended(make())
    assert found.state == "done"
    assert (tmp_path / "models" / found.target).read_bytes() == WEIGHTS
    assert [asked for _, asked in hub.asked if asked] == [
        "bytes=100000-"
    ] * 2  # the redirect, then the file


def test_a_hub_without_ranges_begins_anew(make, hub, tmp_path):
    hub.cut_after, hub.ranges = 100_000, False
    found = ended(make())
    assert found.state == "done"
    assert (tmp_path / "models" / found.target).read_bytes() == WEIGHTS


def test_another_content_than_the_hub_told_is_thrown_away(make, hub, tmp_path):
    hub.wrong = True
    downloads = make()
    found = ended(downloads)
    assert found.state == "failed" and "checksum" in found.problem
    assert not (tmp_path / "models" / found.target).exists() and not hidden(tmp_path / "models")
    hub.wrong = False
    downloads.resume(found.id)
    assert until(downloads, found.id, "done", "failed").state == "done"


def test_a_small_file_is_checked_by_git_s_own_sum(make, hub):
    hub.files = {"tiny.safetensors": b"x" * 500}
    assert ended(make(), "tiny.safetensors").state == "done"
    hub.files = {"other.safetensors": b"y" * 500}
    hub.wrong = True
    assert "checksum" in ended(make(), "other.safetensors").problem


def test_a_pause_keeps_what_came_and_a_resume_asks_for_the_rest(make, hub, tmp_path):
    hub.files["sub/good.safetensors"] = big = os.urandom(6 << 20)
    hub.hold.clear()
    downloads = make()
    one = downloads.add("owner/name", "lora", "sub/good.safetensors")
    until_half(tmp_path / "models", len(big) // 2)
    assert downloads.pause(one.id).state == "paused"
    hub.hold.set()
    (part,) = hidden(tmp_path / "models")
    size = sum(path.stat().st_size for path in part.rglob("*.safetensors"))
    assert downloads.all()[0].state == "paused"
    downloads.resume(one.id)
    assert until(downloads, one.id, "done", "failed").state == "done"
    asked = [int(asked[6:-1]) for _, asked in hub.asked if asked]
    assert asked and min(asked) >= size >= len(big) // 2
    assert (tmp_path / "models" / one.target).read_bytes() == big


def test_a_restart_goes_on_where_it_stood(make, hub, tmp_path):
    hub.files["sub/good.safetensors"] = big = os.urandom(6 << 20)
    hub.hold.clear()
    downloads = make()
    one = downloads.add("owner/name", "lora", "sub/good.safetensors")
    until_half(tmp_path / "models", len(big) // 2)
    hub.hold.set()
    downloads.close()
    again = make()
    (kept,) = again.all()
    if kept.state != "done":  # the rest may have come before the thread ended
        assert (kept.id, kept.state) == (one.id, "waiting") and 0 < kept.done <= len(big)
    again.start()
    assert until(again, one.id, "done", "failed").state == "done"
    assert (tmp_path / "models" / one.target).read_bytes() == big


def test_a_removed_one_leaves_nothing(make, hub, tmp_path):
    hub.hold.clear()
    downloads = make()
    one = downloads.add("owner/name", "lora", "sub/good.safetensors")
    until(downloads, one.id, "running")
    downloads.remove(one.id)
    hub.hold.set()
    deadline = time.monotonic() + 60
    while hidden(tmp_path / "models"):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert downloads.all() == []
    assert not (tmp_path / "models" / one.target).exists()


@pytest.mark.parametrize(
    ("status", "words"),
    [(404, "nothing of that name"), (403, "HF_TOKEN"), (500, "error 500"), (429, "too many")],
)
def test_a_refusal_is_a_sentence(make, hub, status, words, monkeypatch):
    monkeypatch.delenv("HF_TOKEN", raising=False)
    downloads = make()
    hub.status = status
    with pytest.raises(HubError, match=words) as fault:
        downloads.look("owner/name")
    assert with_keys(fault.value.args[0])[0].startswith("{what}: ")  # for a page in any language


def test_the_token_comes_from_the_environment(make, hub, monkeypatch):
    hub.token = "hf_secret"
    downloads = make()
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with pytest.raises(HubError, match="HF_TOKEN"):
        downloads.look("owner/name")
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    assert ended(downloads).state == "done"


def test_a_bad_day_passes(make, hub):
    downloads = make(first_wait_s=0.05)
    hub.hold.clear()
    one = downloads.add("owner/name", "lora", "sub/good.safetensors")
    hub.status = 503
    hub.cut_after = 1
    hub.hold.set()
    deadline = time.monotonic() + 60
    while not hub.asked[2:]:
        assert time.monotonic() < deadline
    hub.status = 0
    assert until(downloads, one.id, "done", "failed").state == "done"


def test_without_room_nothing_is_begun(make, monkeypatch):
    few = SimpleNamespace(total=2 * MARGIN, used=MARGIN, free=MARGIN + len(WEIGHTS) - 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda place: few)
    downloads = make()
    with pytest.raises(EaselError, match=r"the disk has 1\.1 GB free"):
        downloads.add("owner/name", "lora", "sub/good.safetensors")
    assert downloads.all() == []


def test_pickles_are_refused_and_counted(make, hub):
    hub.files["model.ckpt"] = b"x" * 2000
    downloads = make()
    listing = downloads.look("https://huggingface.co/owner/name/tree/main")
    assert [one.path for one in listing.files] == ["sub/good.safetensors"] and listing.refused == 1
    with pytest.raises(RequestError, match="can run code"):
        downloads.add("owner/name", "checkpoint", "model.ckpt")


@pytest.mark.parametrize(
    "name", ["", "name", "../etc/passwd", "owner/..", "a b/c", "owner/na%2fme"]
)
def test_what_is_no_name_is_not_asked_for(make, hub, name):
    with pytest.raises(RequestError, match="owner/name"):
        make().look(name)
    assert hub.asked == []


def test_a_repository_s_paths_stay_inside(make, hub, tmp_path):
    names = ("../../evil.safetensors", "/etc/evil.safetensors", "a/../../evil.safetensors")
    hub.files = dict.fromkeys(names, b"x" * 2000) | {"odd\x01\u202ename?.safetensors": b"x" * 2000}
    downloads = make()
    (only,) = downloads.look("owner/name").files
    found = ended(downloads, only.path)
    assert found.target == "Lora/odd__name_.safetensors" and found.state == "done"
    with pytest.raises(RequestError, match="no file"):
        downloads.add("owner/name", "lora", names[0])


def test_an_answer_that_is_none_is_told(make, hub):
    for said in (b"<html>", b"[]", b'{"id": 3, "siblings": [7]}'):
        hub.listed = said
        with pytest.raises(HubError, match="not understood"):
            make().look("owner/name")


def test_no_file_is_replaced(make, hub, tmp_path):
    there = tmp_path / "models" / "Lora" / "good.safetensors"
    there.parent.mkdir(parents=True)
    there.write_bytes(b"mine")
    with pytest.raises(RequestError, match="is there already"):
        make().add("owner/name", "lora", "sub/good.safetensors")
    assert there.read_bytes() == b"mine"


def test_a_file_that_is_no_model_does_not_get_its_name(make, hub, tmp_path):
    def check(path: Path) -> None:
        raise ModelFileError(f"{path.name}: is not a safetensors file")

    found = ended(make(check=check))
    assert (found.state, found.problem) == ("failed", "good.safetensors: is not a safetensors file")
    assert not (tmp_path / "models" / found.target).exists()


def test_a_diffusers_folder_comes_as_one(make, hub, tmp_path):
    hub.files = dict(FOLDER)
    found = ended(make(), "", "checkpoint")
    assert (found.state, found.target) == ("done", "Stable-diffusion/name")
    top = tmp_path / "models" / found.target
    there = {path.relative_to(top).as_posix() for path in top.rglob("*") if path.is_file()}
    assert there == {
        "model_index.json",
        "unet/config.json",
        "unet/diffusion_pytorch_model.safetensors",
        "vae/config.json",
        "vae/diffusion_pytorch_model.safetensors",
    }


def test_of_a_folder_only_the_wrong_file_is_thrown_away(make, hub, tmp_path):
    hub.files = dict(FOLDER)
    good = FOLDER["vae/diffusion_pytorch_model.safetensors"]
    hub.hold.clear()
    downloads = make()
    one = downloads.add("owner/name", "checkpoint", "")
    hub.files["vae/diffusion_pytorch_model.safetensors"] = bytes(len(good))
    hub.hold.set()
    assert "checksum" in until(downloads, one.id, "done", "failed").problem
    (work,) = hidden(tmp_path / "models")
    there = {path.relative_to(work).as_posix() for path in work.rglob("*") if path.is_file()}
    assert there == {one.path for one in one.files} - {"vae/diffusion_pytorch_model.safetensors"}
    hub.files["vae/diffusion_pytorch_model.safetensors"] = good
    hub.asked.clear()
    downloads.resume(one.id)
    assert until(downloads, one.id, "done", "failed").state == "done"
    assert {path.rpartition("/")[2] for path, _ in hub.asked} == {
        "diffusion_pytorch_model.safetensors"
    }


def test_offline_nothing_is_asked(make, hub):
    downloads = make(offline=True)
    assert "--offline" in downloads.locked
    for act in (
        lambda: downloads.look("owner/name"),
        lambda: downloads.add("owner/name", "lora", "a"),
    ):
        with pytest.raises(EaselError, match="--offline"):
            act()
    downloads.start()
    assert hub.asked == []


def test_the_well_known_models_are_whole_entries(make):
    for one in make().known():
        said = {"name", "repo", "path", "kind", "family", "size", "gigabytes", "licence", "about"}
        assert set(one) == said | {"purpose", "memory_gb", "ram_gb"}
        assert one["size"] == f"about {one['gigabytes']:g} GB"
        assert one["purpose"] and 0 < one["memory_gb"] < one["ram_gb"]
        assert one["repo"].count("/") == 1 and one["path"].endswith((".safetensors", ""))


def test_the_short_list_begins_with_a_whole_model_for_small_machines(make):
    known = make().known()
    assert known[0]["kind"] == "checkpoint"
    assert known[0]["memory_gb"] == min(one["memory_gb"] for one in known)
    purposes = [one["purpose"] for one in known]
    assert [*dict.fromkeys(purposes)] == [  # each group once
        one for one, before in zip(purposes, [None, *purposes], strict=False) if one != before
    ]
