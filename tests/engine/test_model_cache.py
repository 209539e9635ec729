"""How many models stay, which go, and that none is lost for a bad one."""

import gc
import re
import threading
import weakref

import pytest
import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file, save_file

from tests.engine.conftest import request
from tests.networks import tiny_folder
from webui.catalog.checkpoints import list_models
from webui.engine import guidance, loading
from webui.engine.model_cache import free_bytes
from webui.engine.placement import place
from webui.engine.runner import Runner
from webui.errors import CapacityError, ModelFileError
from webui.types import Decode, Denoise, EncodeText, LoadModel

PLACEMENT = place("cpu", "float32", "sdpa")
NAMES = ("a", "b", "c")


@pytest.fixture
def folder(tmp_path):
    for seed, name in enumerate(NAMES):
        tiny_folder(tmp_path / "Stable-diffusion" / name, seed=seed)
    return tmp_path


def runner_of(folder, models_bytes):
    return Runner(lambda: list_models([folder]), PLACEMENT, models_bytes)


def size_of_one(folder):
    runner = runner_of(folder, 0)
    runner.load(LoadModel("a"))
    return runner.model_cache.bytes


def test_bytes_are_those_of_the_weights(folder):
    runner = runner_of(folder, 0)
    networks = runner.networks(runner.load(LoadModel("a")))
    modules = (networks.unet, networks.vae, networks.text.model)
    counted = sum(p.nbytes for module in modules for p in module.parameters())
    assert networks.bytes == runner.model_cache.bytes == runner.parts.bytes() == counted


def use(runner, model):
    """A call of each of a model's networks, as pictures make them."""
    texts = runner.run([EncodeText(model, "a cat", "")])[0].texts
    runner.run([Denoise(model, torch.zeros(4, 8, 8), 1.0, guidance.rows(texts, 1.0))])
    runner.run([Decode(model, torch.zeros(4, 8, 8))])


def test_the_models_used_last_stay_as_far_as_they_fit(folder):
    """What uses them are the calls of pictures, not loading."""
    runner = runner_of(folder, int(2.2 * size_of_one(folder)))
    first, _ = (runner.load(LoadModel(name)) for name in ("a", "b"))
    kept = runner.networks(first)
    assert list(runner.model_cache) == ["a", "b"]
    use(runner, first)
    assert list(runner.model_cache) == ["b", "a"]
    runner.load(LoadModel("c"))
    there = [name for name in NAMES if runner.resident(LoadModel(name)) is not None]
    assert there == ["a", "c"]  # of "b" a part may be left
    assert runner.networks(first) is kept


def test_a_picture_that_is_given_a_model_uses_it(folder):
    runner = runner_of(folder, 2 * size_of_one(folder))
    for name in ("a", "b"):
        runner.load(LoadModel(name))
    assert runner.hold("picture", runner.resident(LoadModel("a")))
    runner.release("picture")
    runner.load(LoadModel("c"))
    assert list(runner.model_cache) == ["a", "c"]


def test_what_a_picture_was_given_stays_until_it_ends(folder):
    runner = runner_of(folder, 0)
    runner.load(LoadModel("a"))
    model = runner.resident(LoadModel("a"))
    assert runner.hold("picture", model)
    kept = runner.networks(model)
    runner.load(LoadModel("b"))
    assert runner.networks(model) is kept and set(runner.model_cache) == {"a", "b"}
    runner.release("picture")
    assert list(runner.model_cache) == ["b"] and runner.parts.bytes() == runner.model_cache.bytes


def test_a_part_that_had_to_go_is_read_again_alone(folder, monkeypatch):
    """The text encoder of one model makes room, its U-Net stays; nothing else is read for the next text."""
    runner = runner_of(folder, 10**12)
    model = runner.load(LoadModel("a"))
    before = runner.run([EncodeText(model, "a cat", "")])[0].texts[0].context
    networks = runner.networks(model)
    unet, size = networks.unet.conv_in.weight, runner.model_cache.bytes
    text = runner.parts.find(("text encoder", networks.serial)).bytes
    runner.parts.drop(("text encoder", networks.serial))
    assert runner.model_cache.bytes == size - text and runner.resident(LoadModel("a")) is None
    read, real = [], loading.fill
    monkeypatch.setattr(loading, "fill", lambda *given: (read.append(given[0]), real(*given)))
    again = runner.run([EncodeText(model, "a cat", "", 2)])[0]
    assert read == [tower.model for tower in networks.text.towers] and again is not None
    assert torch.equal(runner.run([EncodeText(model, "a cat", "")])[0].texts[0].context, before)
    assert runner.networks(model).unet.conv_in.weight is unet
    assert runner.model_cache.bytes == size and runner.resident(LoadModel("a")) is model


def test_one_model_stays_however_small_the_budget(folder):
    runner = runner_of(folder, 0)
    for name in NAMES:
        model = runner.load(LoadModel(name))
        assert list(runner.model_cache) == [name]
        assert runner.load(LoadModel(name)) is model


def test_a_handle_of_a_model_that_had_to_go_brings_it_back(folder):
    runner = runner_of(folder, 0)
    model = runner.load(LoadModel("a"))
    before = runner.networks(model).unet.conv_in.weight.clone()
    runner.load(LoadModel("b"))
    assert runner.present(model) is None
    assert torch.equal(runner.networks(model).unet.conv_in.weight, before)


def test_room_is_made_before_the_next_model_is_read(folder, monkeypatch):
    """So that the two are never in memory at once."""
    runner = runner_of(folder, 0)
    gone = weakref.ref(runner.networks(runner.load(LoadModel("a"))).unet)
    seen = []
    monkeypatch.setattr(
        "webui.engine.loading.fill",
        lambda *given: (gc.collect(), seen.append(gone()), (_ for _ in ()).throw(ModelFileError("x"))),
    )  # fmt: skip
    with pytest.raises(ModelFileError):
        runner.load(LoadModel("b"))
    assert seen == [None]


def test_a_file_that_does_not_fit_costs_no_other_its_place(folder):
    bad = folder / "Stable-diffusion" / "b" / "unet" / "diffusion_pytorch_model.safetensors"
    weights = load_file(bad)
    weights.pop("conv_in.weight")
    save_file(weights, bad)
    runner = runner_of(folder, 0)
    runner.load(LoadModel("a"))
    with pytest.raises(ModelFileError, match="conv_in"):
        runner.load(LoadModel("b"))
    assert list(runner.model_cache) == ["a"]


def test_a_model_that_finds_no_memory_gets_it_from_the_others(folder, monkeypatch):
    runner = runner_of(folder, 10**12)
    runner.load(LoadModel("a"))
    real, tried = loading.fill, []

    def full(*given):
        tried.append(list(runner.model_cache))
        if "a" in runner.model_cache:
            raise torch.OutOfMemoryError("full")
        real(*given)

    monkeypatch.setattr("webui.engine.loading.fill", full)
    runner.load(LoadModel("b"))
    assert tried[0] == ["a"] and tried[1] == [] and list(runner.model_cache) == ["b"]


def test_a_model_too_large_for_the_machine_is_said(folder, monkeypatch):
    def full(*given):
        raise torch.OutOfMemoryError("full")

    monkeypatch.setattr("webui.engine.loading.fill", full)
    with pytest.raises(
        CapacityError,
        match=r"'a' does not fit into the memory of cpu: it takes 0.0 GB, and .* GB are free; take",
    ):
        runner_of(folder, 0).load(LoadModel("a"))


def test_progress_goes_up_to_all(folder):
    heard: list[float] = []
    runner_of(folder, 0).load(LoadModel("a"), heard.append)
    assert heard == sorted(heard) and heard[0] > 0 and heard[-1] == 1


def test_fifty_switches_hold_on_to_nothing(folder):
    """Of all networks that were loaded, those of the resident model alone are left."""
    runner = runner_of(folder, 0)
    loaded = []
    for turn in range(50):
        loaded.append(weakref.ref(runner.networks(runner.load(LoadModel(NAMES[turn % 2]))).unet))
    gc.collect()
    assert [ref() is not None for ref in loaded] == [False] * 49 + [True]


def test_the_budget_that_nobody_gave_is_a_part_of_what_is_free():
    with open("/proc/meminfo", encoding="ascii") as told:
        total = next(int(line.split()[1]) << 10 for line in told if line.startswith("MemTotal"))
    assert 0 < free_bytes(torch.device("cpu")) < total


def test_a_waiting_job_is_told_how_much_has_arrived(start, monkeypatch):
    arrived, go_on = threading.Event(), threading.Event()
    real = loading.fill

    def slow(network, weights, device, dtype, progress):
        def heard(count):
            progress(count)
            if not isinstance(network, UNet2DConditionModel):  # which comes first
                arrived.set()
                assert go_on.wait(30)

        real(network, weights, device, dtype, heard)

    bench = start()
    assert bench.end(bench.engine.submit(request(model="tiny"))).state == "done"
    monkeypatch.setattr(loading, "fill", slow)
    job = bench.engine.submit(request(model="tiny-inpainting"))
    try:
        assert arrived.wait(30)
        note = bench.engine.status(job).note
        assert re.fullmatch("Loading model tiny-inpainting, [1-9]0 %", note)
    finally:
        go_on.set()
    assert bench.end(job).state == "done"
