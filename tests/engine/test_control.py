"""Control networks: any number of residuals, at each step or once a sampling, against diffusers' UNet given them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from tests.engine.conftest import request
from webui.catalog.checkpoints import list_models
from webui.diffusion.parameterisation import parameterisation
from webui.engine import guidance
from webui.engine.placement import place
from webui.engine.runner import Runner
from webui.errors import ExtensionError
from webui.testing.families import FAMILIES, build, write
from webui.types import (
    Conditioner,
    ControlNetwork,
    Denoise,
    EncodeText,
    LoadModel,
    LoadNetwork,
    ModelCard,
    Residuals,
)

SKIPS = ((32, 8), (32, 8), (32, 4), (64, 4))  # channels and side
BLOCKS = ((32, 8), (64, 4))
CLOSE = {"rtol": 1e-4, "atol": 1e-4}


def parts(places, seed):
    dice = torch.Generator().manual_seed(seed)
    return [torch.randn(1, c, side, side, generator=dice) * 0.3 for c, side in places]


class Fixed(nn.Module):
    """Adds what it was made with, times each picture's `level`; counts how often it is asked."""

    def __init__(self, given):
        super().__init__()
        self.given, self.asked = given, []

    def forward(self, x=None, timesteps=None, conditioning=None, level=None):
        self.asked.append(conditioning)

        def times(part):
            return None if part is None else part * level[:, None, None, None]

        return Residuals(
            [times(part) for part in self.given.skips],
            times(self.given.middle),
            [times(part) for part in self.given.blocks],
        )


@pytest.fixture(scope="module")
def runner(models_dir):
    with torch.inference_mode():
        yield Runner(lambda: list_models([models_dir]), place("cpu", "float32", "auto"))


def denoise(runner, controls=(), seed=1):
    model = runner.load(LoadModel("tiny"))
    texts = runner.run([EncodeText(model, "a cat", "red")])[0].texts
    x = torch.randn(4, 8, 8, generator=torch.Generator().manual_seed(seed)) * 2
    return Denoise(model, x, 2.0, guidance.rows(texts, 1.0), control_networks=tuple(controls))


def control(runner, given, level=1.0, **values):
    network = runner.load(LoadNetwork("test", f"{id(given)}", lambda: Fixed(given)))
    return ControlNetwork(network, {"level": torch.tensor(level)}, **values)


def expected(runner, call, **residuals):
    """diffusers' UNet given residuals by its own names."""
    predicts = parameterisation(call.model)
    step = torch.tensor([predicts.timestep(2.0)])
    eps = runner.networks(call.model).unet(
        call.x[None] / 5**0.5, step, call.rows[0].context[None], **residuals
    )[0]
    return call.x - 2.0 * eps[0]


NOTHING = [torch.zeros(1, c, side, side) for c, side in SKIPS]
ZERO = torch.zeros(1, 64, 4, 4)
SOME = parts(SKIPS, 1)
MIDDLE = parts([(64, 4)], 2)[0]
FEATURES = parts(BLOCKS, 3)


@pytest.mark.parametrize(
    ("given", "theirs"),
    [
        (Residuals(SOME, MIDDLE), {"down": SOME, "mid": MIDDLE}),
        (Residuals(SOME), {"down": SOME, "mid": ZERO}),
        (Residuals(middle=MIDDLE), {"down": NOTHING, "mid": MIDDLE}),
        (Residuals([None, SOME[1], None, None]), {"down": [NOTHING[0], SOME[1], *NOTHING[2:]], "mid": ZERO}),
        (Residuals(blocks=FEATURES), {"blocks": FEATURES}),
        (Residuals(blocks=[None, FEATURES[1]]), {"blocks": [torch.zeros(1, 32, 8, 8), FEATURES[1]]}),
        (Residuals(SOME, MIDDLE, FEATURES), {"down": SOME, "mid": MIDDLE, "blocks": FEATURES}),
    ],
)  # fmt: skip
def test_any_part_of_the_residuals_is_diffusers(runner, given, theirs):
    call = denoise(runner, [control(runner, given, 0.5, weight=2.0)])
    names = {
        "down": "down_block_additional_residuals",
        "mid": "mid_block_additional_residual",
        "blocks": "down_intrablock_additional_residuals",
    }
    copies = {
        names[name]: [part.clone() for part in value] if isinstance(value, list) else value
        for name, value in theirs.items()
    }
    ours = runner.run([call])[0].denoised
    torch.testing.assert_close(ours, expected(runner, call, **copies), **CLOSE)
    assert (ours - runner.run([denoise(runner)])[0].denoised).abs().max() > 1e-3


def test_two_networks_of_different_kinds_add_up(runner):
    both = [control(runner, Residuals(SOME, MIDDLE)), control(runner, Residuals(blocks=FEATURES))]
    call = denoise(runner, both)
    theirs = expected(
        runner,
        call,
        down_block_additional_residuals=SOME,
        mid_block_additional_residual=MIDDLE,
        down_intrablock_additional_residuals=[part.clone() for part in FEATURES],
    )
    torch.testing.assert_close(runner.run([call])[0].denoised, theirs, **CLOSE)


@pytest.mark.parametrize(
    "given",
    [Residuals(SOME[:-1], MIDDLE), Residuals([*SOME, MIDDLE]), Residuals(blocks=FEATURES[:1]), (SOME, MIDDLE)],
)  # fmt: skip
def test_what_has_no_place_in_the_unet_is_refused(runner, given):
    module = Fixed(given) if isinstance(given, Residuals) else nn.Identity()
    if not isinstance(given, Residuals):
        module.forward = lambda *told, **named: given
    network = runner.load(LoadNetwork("test", f"{id(given)}", lambda: module))
    one = ControlNetwork(network, {"level": torch.tensor(1.0)})
    with pytest.raises(ExtensionError, match=r"another shape|give Residuals"):
        runner.run([denoise(runner, [one])])


def test_one_that_runs_once_a_sampling_is_asked_once_and_adds_the_same(start):
    """Two pictures that are made together, each with its own input, beside one at each step."""
    modules = {}

    def prepare(asked, studio, cond):
        once = asked.extras["once"]
        module = modules.setdefault(once, Fixed(Residuals(blocks=FEATURES)))
        network = yield LoadNetwork("test", f"once {once}", lambda: module)
        level = torch.tensor(asked.extras["level"])
        one = ControlNetwork(network, {"level": level}, end=0.8, once=once)
        return replace(cond, control_networks=(one,))

    bench = start(conditioners=[Conditioner("t2i", prepare)])
    found = {}
    for once in (True, False):
        jobs = [
            bench.engine.submit(request(steps=5, seed=seed, extras={"once": once, "level": level}))
            for seed, level in ((1, 0.5), (2, -0.8))
        ]
        assert [bench.end(job).error for job in jobs] == [None, None]
        found[once] = [bench.pictures(job)[0] for job in jobs]
    assert len(modules[True].asked) == 2 and modules[True].asked == [None, None]
    assert len(modules[False].asked) >= 4  # of 5 steps the first 4
    for one, other in zip(found[True], found[False], strict=True):
        apart = [abs(a - b) for a, b in zip(one, other, strict=True)]
        assert max(apart) <= 1
    plain = start()
    job = plain.engine.submit(request(steps=5, seed=1))
    plain.end(job)
    assert plain.pictures(job)[0] != found[True][0]


def test_it_is_told_what_the_unet_is_told(tmp_path):
    """Pooled texts and sizes of Stable Diffusion XL, a row for each."""
    path = write(tmp_path / "xl.safetensors", build(FAMILIES["sdxl"]), "ldm")
    card = ModelCard("xl", path, kind="sdxl", layout="ldm", prediction="epsilon")
    module = Fixed(Residuals())
    with torch.inference_mode():
        runner = Runner(lambda: [card], place("cpu", "float32", "sdpa"))
        model = runner.load(LoadModel("xl"))
        network = runner.load(LoadNetwork("test", "looks", lambda: module))
        texts = runner.run([EncodeText(model, "a cat", "red")])[0].texts
        one = ControlNetwork(network, {"level": torch.tensor(1.0)})
        rows = guidance.rows(texts, 3.0)
        runner.run([Denoise(model, torch.zeros(4, 8, 12), 2.0, rows, control_networks=(one,))])
    told = module.asked[0]
    assert torch.equal(told["context"], torch.stack([text.context for text in texts]))
    assert torch.equal(told["pooled"], torch.stack([text.pooled for text in texts]))
    assert told["sizes"].tolist() == [[64, 96, 0, 0, 64, 96]] * 2
