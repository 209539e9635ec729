"""Networks of extensions: run once for a whole batch, each picture with its own inputs and weight, blamed by name."""

import threading
from dataclasses import replace

import pytest
import torch
from torch import nn

from webui.catalog.checkpoints import list_models
from webui.engine import guidance
from webui.engine.calls import batch_key
from webui.engine.extension_networks import ExtensionNetworks, key_of
from webui.engine.part_cache import PartCache
from webui.engine.placement import place
from webui.engine.runner import Runner
from webui.errors import ExtensionError
from webui.types import (
    ControlNetwork,
    Denoise,
    EncodeText,
    LoadModel,
    LoadNetwork,
    Network,
    Residuals,
    RunNetwork,
)

SKIPS = (
    (32, 8),
    (32, 8),
    (32, 4),
    (64, 4),
)  # channels and side of the tiny UNet's skip connections


class Brightener(nn.Module):
    """Adds each picture's `level` [1, 1, 1] to every skip connection and to the middle; counts its calls."""

    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(()))
        self.seen = []

    def forward(self, x, timesteps, conditioning, level):
        context = conditioning["context"]
        self.seen.append((tuple(x.shape), tuple(timesteps.shape), tuple(context.shape)))
        down = [level.expand(-1, c, s, s) * self.gain for c, s in SKIPS]
        return Residuals(down, level.expand(-1, 64, 4, 4) * self.gain)


@pytest.fixture
def runner(models_dir):
    return Runner(lambda: list_models([models_dir]), place("cpu", "float32", "auto"))


def denoise(runner, seed: int, network: Network | None, level: float = 0.0, weight: float = 1.0):
    model = runner.load(LoadModel("tiny"))
    texts = runner.run([EncodeText(model, f"a cat {seed}", "red")])[0].texts
    x = torch.randn(4, 8, 8, generator=torch.Generator().manual_seed(seed)) * 2
    inputs = {"level": torch.full((1, 1, 1), level)}
    adapters = (ControlNetwork(network, inputs, weight),) if network else ()
    return Denoise(model, x, 2.0, guidance.rows(texts, 4.0), control_networks=adapters)


def test_pictures_with_other_inputs_and_weights_share_one_call_of_the_network(runner):
    module = Brightener()
    with torch.inference_mode():
        network = runner.load(LoadNetwork("test", "brightener", lambda: module))
        calls = [denoise(runner, 1, network, 0.3), denoise(runner, 2, network, -0.5, 0.7)]
        assert batch_key(calls[0]) == batch_key(calls[1])
        alone = [runner.run([call])[0].denoised for call in calls]
        module.seen.clear()
        together = [reply.denoised for reply in runner.run(calls)]
    assert module.seen == [((4, 4, 8, 8), (4,), (4, 77, 32))]  # rows of both pictures, once
    for a, b in zip(alone, together, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


def test_residuals_are_what_is_added_to_the_unet(runner):
    """Against diffusers' own UNet given the same residuals."""
    with torch.inference_mode():
        network = runner.load(LoadNetwork("test", "brightener", Brightener))
        call = denoise(runner, 3, network, 0.4, 0.5)
        ours = runner.run([call])[0].cond
        level = torch.tensor(0.2)
        scaled = call.x[None] / (1 + 2.0**2) ** 0.5
        sigmas = torch.tensor(call.model.sigmas)
        step = torch.tensor([sum(float(s < 2.0) for s in sigmas) - 1.0])
        above = int(step) + 1
        low, high = sigmas[above - 1].log(), sigmas[above].log()
        step = step + (torch.tensor(2.0).log() - low) / (high - low)
        eps = runner.networks(call.model).unet(
            scaled,
            step,
            call.rows[0].context[None],
            down_block_additional_residuals=[level.expand(1, c, s, s) for c, s in SKIPS],
            mid_block_additional_residual=level.expand(1, 64, 4, 4),
        )[0]
        without = runner.run([denoise(runner, 3, None)])[0].cond
    torch.testing.assert_close(ours, call.x - 2.0 * eps[0], rtol=1e-4, atol=1e-4)
    assert (ours - without).abs().max() > 1e-3, "the residuals changed nothing"


def test_calls_with_and_without_a_network_do_not_share(runner):
    network = Network("test", "x")
    assert batch_key(denoise(runner, 1, network)) != batch_key(denoise(runner, 1, None))


def test_a_network_that_cannot_be_built_is_its_extensions_fault(runner):
    def broken():
        raise KeyError("conv_in.weight")

    with pytest.raises(ExtensionError, match=r"'painter', network x: KeyError: 'conv_in.weight'"):
        runner.load(LoadNetwork("painter", "x", broken))
    with pytest.raises(ExtensionError, match=r"no torch\.nn\.Module"):
        runner.load(LoadNetwork("painter", "y", lambda: "network"))


def test_a_network_that_fails_is_its_extensions_fault(runner):
    network = runner.load(LoadNetwork("painter", "x", lambda: nn.Linear(3, 3)))
    with pytest.raises(ExtensionError, match="'painter', network x: RuntimeError"):
        runner.run([RunNetwork(network, (torch.ones(2, 5),))])


def test_a_network_gives_fp32_whatever_it_computes_in(models_dir):
    runner = Runner(lambda: list_models([models_dir]), place("cpu", "bfloat16", "auto"))
    half = runner.load(LoadNetwork("test", "half", lambda: nn.Linear(3, 3)))
    full = runner.load(LoadNetwork("test", "full", lambda: nn.Linear(3, 3), float32=True))
    assert runner.extension_networks.module(half).weight.dtype == torch.bfloat16
    assert runner.extension_networks.module(full).weight.dtype == torch.float32
    for network in (half, full):
        assert runner.run([RunNetwork(network, (torch.ones(2, 3),))])[0].dtype == torch.float32


def counted(built, name):
    """A network that notes when it is built."""

    def build():
        built.append(name)
        return nn.Linear(2, 2)

    return LoadNetwork("test", name, build)


def test_a_network_that_made_room_is_built_again():
    networks = ExtensionNetworks(place("cpu", "float32", "auto"), PartCache(50))  # for two of 24
    built = []
    first, *_ = (networks.load(counted(built, name)) for name in "abc")
    assert networks.resident(counted(built, "a")) is None
    assert networks.run(RunNetwork(first, (torch.ones(2),))).shape == (2,)
    assert built == [*"abca"]


@pytest.mark.parametrize("room", [5, 4, 1])
def test_networks_in_use_are_built_once_however_many_there_are(room):
    """Each of five pictures needs one, at each of twenty steps; the budget has room for fewer."""
    parts = PartCache(24 * room)
    networks = ExtensionNetworks(place("cpu", "float32", "auto"), parts)
    built, handles = [], []
    for picture, name in enumerate("abcde"):
        handles.append(networks.load(counted(built, name)))
        parts.hold(picture, [key_of(handles[-1])])
    for _ in range(20):
        for handle in handles:
            networks.run(RunNetwork(handle, (torch.ones(2),)))
    assert built == [*"abcde"] and parts.bytes() == 5 * 24
    for picture in range(5):
        parts.release(picture)
    assert parts.bytes() == 24 * room


def test_residuals_that_do_not_fit_the_unet_are_their_extensions_fault(runner):
    class Narrow(Brightener):
        def forward(self, x, timesteps, conditioning, level):
            given = super().forward(x, timesteps, conditioning, level)
            return replace(given, skips=[part[:, :3] for part in given.skips])

    with torch.inference_mode():
        network = runner.load(LoadNetwork("painter", "narrow", Narrow))
        with pytest.raises(ExtensionError, match=r"'painter', network narrow: .* another shape"):
            runner.run([denoise(runner, 1, network, 0.1)])


def test_residuals_that_are_too_few_are_not_taken_for_all(runner):
    """diffusers would add those that there are and say nothing of the others."""

    class Short(Brightener):
        def forward(self, *given, **named):
            found = super().forward(*given, **named)
            return replace(found, skips=found.skips[:-1])

    with torch.inference_mode():
        network = runner.load(LoadNetwork("test", "a/short.safetensors", Short))
        call = denoise(runner, 1, network, 0.3)
        with pytest.raises(
            ExtensionError, match=r"short\.safetensors: .* made for models like this"
        ):
            runner.run([call])


def test_a_network_in_memory_does_not_wait_for_one_that_is_built():
    extension_networks = ExtensionNetworks(place("cpu", "float32", "auto"), PartCache(1 << 20))
    here = extension_networks.load(LoadNetwork("test", "here", nn.Identity))
    building, free = threading.Event(), threading.Event()

    def slow():
        building.set()
        assert free.wait(30)
        return nn.Identity()

    loader = threading.Thread(
        target=extension_networks.load, args=(LoadNetwork("test", "slow", slow),)
    )
    loader.start()
    assert building.wait(30)
    assert torch.equal(extension_networks.run(RunNetwork(here, (torch.ones(2),))), torch.ones(2))
    free.set()
    loader.join(30)
    assert extension_networks.resident(LoadNetwork("test", "slow", slow)) is not None
