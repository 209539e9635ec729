"""What pictures that are made together share: the memory, the thread that owns the device, and no file between steps.

On the path that jobs take, from `submit` to the saved picture.
"""

from __future__ import annotations

import gc
import os
import shutil
import threading
import weakref
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from tests.engine.conftest import Bench, request
from tests.networks import tiny_folder
from webui.catalog.model_folders import AdapterFiles
from webui.engine import capacity
from webui.engine.tasks import TASKS
from webui.testing.families import FAMILIES, build, write
from webui.types import LoadModel, LoadNetwork, RunNetwork, Task

FULL = "DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"
Start = Callable[..., Bench]
UNET = diffusers.UNet2DConditionModel


def test_a_batch_that_does_not_fit_is_made_in_halves_and_not_tried_at_each_step(
    start: Start,
) -> None:
    """Memory for four rows, eight pictures of ten steps with guidance: 160 rows are 40 calls."""
    bench = start()
    bench.end(bench.engine.submit(request(steps=1)))
    runner: Any = bench.engine._runner
    denoise, counts = runner.denoise, Counter[str]()

    def four(calls: Any) -> Any:
        rows = sum(len(call.rows) for call in calls)
        counts["failed" if rows > 4 else "made"] += 1
        if rows > 4:
            raise RuntimeError(FULL)
        return denoise(calls)

    runner.denoise = four
    job = bench.engine.submit(request(steps=10, batch_size=8))
    assert bench.end(job).state == "done"
    assert counts["failed"] <= 2 and counts["made"] <= 40 + 4


def test_no_file_is_asked_for_between_the_steps_of_pictures(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = start()
    bench.end(bench.engine.submit(request(steps=1)))
    asked: list[str] = []
    for name in ("stat", "scandir", "open", "lstat"):
        real = getattr(os, name)

        def noted(*given: Any, real: Any = real, name: str = name, **more: Any) -> Any:
            if threading.current_thread().name == "easel-engine":
                asked.append(f"{name} {given[0]}")
            return real(*given, **more)

        monkeypatch.setattr(os, name, noted)
    jobs = [bench.engine.submit(request(seed=seed, steps=6)) for seed in range(4)]
    for job in jobs:
        assert bench.end(job).state == "done"
    assert asked == []


def test_networks_run_on_one_thread_while_models_are_loaded(
    start: Start, models_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where their predictions and preview colours are found out."""
    seen: set[tuple[str, str]] = set()
    for cls, name in (
        (diffusers.AutoencoderKL, "encode"),
        (diffusers.AutoencoderKL, "decode"),
        (diffusers.UNet2DConditionModel, "forward"),
    ):
        real = getattr(cls, name)

        def noted(self: Any, *given: Any, real: Any = real, name: str = name, **more: Any) -> Any:
            seen.add((name, threading.current_thread().name))
            return real(self, *given, **more)

        monkeypatch.setattr(cls, name, noted)
    fresh = tiny_folder(models_dir / "Stable-diffusion" / "fresh", seed=7)
    (fresh / "scheduler" / "scheduler_config.json").write_text("{}", encoding="utf-8")
    try:
        bench = start()
        assert bench.end(bench.engine.submit(request(model="fresh"))).state == "done"
        assert (fresh / "easel.json").is_file()
    finally:
        shutil.rmtree(fresh)
    assert {name for name, _ in seen} == {"encode", "decode", "forward"}
    assert {thread for _, thread in seen} == {"easel-engine"}


def test_networks_of_extensions_that_pictures_use_are_built_once(start: Start) -> None:
    """Five jobs, each with a network of its own, and room for none."""
    built: list[str] = []

    def make(asked: Any, studio: Any) -> Any:
        name = str(asked.seed)

        def build() -> nn.Module:
            built.append(name)
            return nn.Linear(4, 4)

        network = yield LoadNetwork("test", name, build)
        yield LoadModel(asked.model)
        for step in range(20):
            yield RunNetwork(network, (torch.ones(1, 4),), step, 20)
        return (yield from TASKS["txt2img"].make(asked, studio))

    bench = start(tasks={**TASKS, "five": Task("five", "Five", make)}, models_gb=0.0)
    jobs = [
        bench.engine.submit(request(task="five", seed=seed, steps=1), owner=str(seed))
        for seed in range(5)
    ]
    for job in jobs:
        assert bench.end(job).state == "done"
    assert sorted(built) == [*"01234"]
    runner: Any = bench.engine._runner
    assert not list(runner.parts.holders)
    assert all(part.pins == 0 for part in runner.parts)


def test_a_model_that_jobs_use_outlasts_one_that_was_loaded_later(
    start: Start, models_dir: Path
) -> None:
    third = models_dir / "Stable-diffusion" / "third"
    tiny_folder(third, seed=3)
    try:
        bench = start()
        for model in ("tiny", "tiny-inpainting", "tiny"):
            assert bench.end(bench.engine.submit(request(model=model, steps=1))).state == "done"
        runner: Any = bench.engine._runner
        runner.parts.limit = runner.parts.bytes()
        assert bench.end(bench.engine.submit(request(model="third", steps=1))).state == "done"
        assert runner.resident(LoadModel("tiny")) is not None
        assert runner.resident(LoadModel("tiny-inpainting")) is None
    finally:
        shutil.rmtree(third)


def test_a_paused_job_pins_nothing_and_goes_on(start: Start) -> None:
    bench = start()
    job = bench.engine.submit(request(steps=150))
    runner: Any = bench.engine._runner
    bench.until(job, lambda status: status.step > 2)
    runner = bench.engine._runner
    assert list(runner.parts.holders)
    bench.engine.pause(job)
    other = bench.engine.submit(request(steps=1))
    assert bench.end(other).state == "done"
    bench.until(job, lambda status: not list(runner.parts.holders))
    runner.parts.put_away(lambda part: False)  # all of it has to be read again
    bench.engine.resume(job)
    before = bench.engine.status(job).step
    bench.until(job, lambda status: status.step > before)
    bench.engine.cancel(job)
    assert bench.end(job).state == "cancelled"


def test_after_single_calls_a_larger_batch_is_tried_again(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capacity, "WAIT", 6)
    bench = start()
    bench.end(bench.engine.submit(request(steps=1)))
    runner: Any = bench.engine._runner
    denoise, most, seen = runner.denoise, [3], []

    def some(calls: Any) -> Any:
        seen.append(sum(len(call.rows) for call in calls))
        if seen[-1] > most[0]:
            raise RuntimeError(FULL)
        return denoise(calls)

    runner.denoise = some
    assert bench.end(bench.engine.submit(request(steps=2, batch_size=2))).state == "done"
    most[0] = 16
    seen.clear()
    assert bench.end(bench.engine.submit(request(steps=10, batch_size=2))).state == "done"
    assert seen[0] == 2 and 4 in seen


def test_what_is_loaded_for_a_paused_job_is_not_pinned(start: Start) -> None:
    bench = start()
    bench.end(bench.engine.submit(request(steps=1)))
    runner: Any = bench.engine._runner
    read, reading, go_on = runner.read, threading.Event(), threading.Event()

    def slow(call: Any, progress: Any = lambda part: None) -> Any:
        if call == LoadModel("tiny-inpainting"):
            reading.set()
            assert go_on.wait(60)
        return read(call, progress)

    runner.read = slow
    job = bench.engine.submit(request(model="tiny-inpainting"))
    assert reading.wait(60)
    bench.engine.pause(job)
    bench.end(bench.engine.submit(request(steps=1)))  # the pause has been seen
    go_on.set()
    while "tiny-inpainting" not in runner.model_cache:
        bench.end(bench.engine.submit(request(steps=1)))
    bench.end(bench.engine.submit(request(steps=1)))
    bench.end(bench.engine.submit(request(steps=1)))
    holders = list(runner.parts.holders)
    bench.engine.cancel(job)
    assert holders == []


def test_a_vae_beside_its_model_is_read_again_where_it_had_to_go(
    start: Start, models_dir: Path
) -> None:
    """While a job is paused, with its model and without, and for want of memory."""
    folder = models_dir / "Stable-diffusion"
    write(folder / "solo.safetensors", build(FAMILIES["sd1"], 5), "ldm")
    save_file(build(FAMILIES["sd1"], 9)["vae"].state_dict(), folder / "solo.vae.safetensors")
    try:
        bench = start(adapter_files=AdapterFiles([models_dir]))

        def asked() -> str:
            return bench.engine.submit(request(model="solo.safetensors", steps=20))

        job = asked()
        assert bench.end(job).state == "done"
        (whole,) = bench.pictures(job)
        runner: Any = bench.engine._runner
        for goes in (lambda part: len(part.key) == 4, lambda part: True):
            job = asked()
            bench.until(job, lambda status: status.step > 1)
            bench.engine.pause(job)
            bench.until(job, lambda status: not list(runner.parts.holders))
            runner.parts.put_away(lambda part, goes=goes: not goes(part))
            bench.engine.resume(job)
            status = bench.end(job)
            assert (status.state, bench.pictures(job)) == ("done", [whole]), status.error
        decode, failed = runner.decode, []

        def once(call: Any) -> Any:
            if not failed:
                failed.append(call)
                raise RuntimeError(FULL)
            return decode(call)

        runner.decode = once
        job = asked()
        status = bench.end(job)
        assert (status.state, bench.pictures(job)) == ("done", [whole]), status.error
    finally:
        for name in ("solo.safetensors", "solo.vae.safetensors"):
            (folder / name).unlink()


def test_an_adapter_that_has_left_is_kept_by_no_text_and_no_weights(
    start: Start, models_dir: Path
) -> None:
    path = models_dir / "Lora" / "leaving.safetensors"
    path.parent.mkdir(exist_ok=True)
    layer = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q"
    text = "lora_te_text_model_encoder_layers_0_self_attn_q_proj"
    unet = UNET.from_pretrained(models_dir / "Stable-diffusion" / "tiny" / "unet")
    width = unet.mid_block.attentions[0].transformer_blocks[0].attn1.to_q.in_features
    wide = unet.config.cross_attention_dim
    weights = {
        f"{name}.lora_{way}.weight": torch.ones(shape)
        for name, size in ((layer, width), (text, wide))
        for way, shape in (("up", (size, 1)), ("down", (1, size)))
    }
    save_file(weights, path)
    try:
        bench = start(adapter_files=AdapterFiles([models_dir]))
        job = bench.engine.submit(request(prompt="a cat <lora:leaving:1>", steps=1))
        assert bench.end(job).state == "done"
        runner: Any = bench.engine._runner
        (part,) = [one for one in runner.parts if one.kind == "lora"]
        (tensor, *_) = next(iter(part.value.changes.values())).tensors().values()
        change = weakref.ref(tensor)
        assert {"encoded text", "merged weights"} <= {one.kind for one in runner.parts}
        runner.parts.drop(part.key)
        del part, tensor, _
        bench.end(bench.engine.submit(request(steps=1)))  # the loop holds nothing of the last
        gc.collect()
        assert change() is None
    finally:
        path.unlink()
