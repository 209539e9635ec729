"""Patches: equal to the change made by hand, gone after the call, and of no effect on other rows and requests."""

from contextlib import contextmanager
from dataclasses import dataclass, replace

import pytest
import torch

from webui.catalog.checkpoints import list_models
from webui.engine import guidance
from webui.engine.calls import batch_key
from webui.engine.placement import place
from webui.engine.runner import Runner
from webui.errors import CapacityError, EaselError, ExtensionError, RequestError
from webui.types import Denoise, EncodeText, LoadModel, Patch

FULL = "DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"
CLOSE = {"rtol": 1e-4, "atol": 1e-4}


@dataclass(frozen=True)
class Identity(Patch):
    """Self-attention in the middle block looks at nothing but itself."""

    def touches(self, layer):
        return layer.startswith("mid_block") and layer.endswith("attn1")

    def attention(self, layer, q, k, v, attend):
        return v


@dataclass(frozen=True)
class Weaker(Patch):
    """Every attention gives a part of what it would give."""

    part: float

    def touches(self, layer):
        return True

    def attention(self, layer, q, k, v, attend):
        return attend(q, k, v) * self.part


@dataclass(frozen=True)
class Shifted(Patch):
    """The UNet's first convolution has another bias."""

    by: float

    @contextmanager
    def applied(self, unet):
        unet.conv_in.bias += self.by
        try:
            yield
        finally:
            unet.conv_in.bias -= self.by


@dataclass(frozen=True)
class Broken(Patch):
    """Fails where it is told to."""

    entering: bool

    def applied(self, unet):
        if self.entering:
            raise ValueError("no")
        return super().applied(unet)

    def touches(self, layer):
        return True

    def attention(self, layer, q, k, v, attend):
        raise ValueError("no attention")


@dataclass(frozen=True)
class Greedy(Patch):
    """Asks for more memory than there is, as torch's allocator for the CPU says it."""

    entering: bool

    @contextmanager
    def applied(self, unet):
        if self.entering:
            raise RuntimeError(FULL)
        yield

    def touches(self, layer):
        return True

    def attention(self, layer, q, k, v, attend):
        raise RuntimeError(FULL)


@pytest.fixture
def runner(models_dir):
    with torch.inference_mode():
        yield Runner(lambda: list_models([models_dir]), place("cpu", "float32", "auto"))


def denoise(runner, seed: int = 1, patches=(), rows=((), ())) -> Denoise:
    model = runner.load(LoadModel("tiny"))
    texts = runner.run([EncodeText(model, f"a cat {seed}", "red")])[0].texts
    x = torch.randn(4, 8, 8, generator=torch.Generator().manual_seed(seed)) * 3
    both = guidance.rows(texts, 4.0)
    both = tuple(replace(row, patches=p) for row, p in zip(both, rows, strict=True))
    return Denoise(model, x, 3.0, both, patches=patches)


def test_a_row_patch_changes_its_row_alone(runner):
    plain = runner.run([denoise(runner)])[0]
    whole = runner.run([denoise(runner, patches=(Identity(),))])[0]
    row = runner.run([denoise(runner, rows=((Identity(),), ()))])[0]
    torch.testing.assert_close(row.cond, whole.cond, **CLOSE)
    torch.testing.assert_close(row.uncond, plain.uncond, **CLOSE)
    assert (row.cond - plain.cond).abs().max() > 1e-3


def test_rows_with_and_without_patches_share_a_call(runner):
    calls = [denoise(runner, 1, rows=((Weaker(0.5), Identity()), ())), denoise(runner, 2)]
    assert batch_key(calls[0]) == batch_key(calls[1])
    alone = [runner.run([call])[0].denoised for call in calls]
    before = runner.calls
    together = runner.run(calls)
    assert runner.calls == before + 1
    for one, reply in zip(alone, together, strict=True):
        torch.testing.assert_close(one, reply.denoised, **CLOSE)


def test_two_patches_of_a_layer_stand_around_each_other(runner):
    """Half of half is a quarter, by row and for the whole call together."""
    twice = runner.run([denoise(runner, patches=(Weaker(0.5),), rows=((Weaker(0.5),), ()))])[0]
    quarter = runner.run([denoise(runner, patches=(Weaker(0.25),))])[0]
    half = runner.run([denoise(runner, patches=(Weaker(0.5),))])[0]
    torch.testing.assert_close(twice.cond, quarter.cond, **CLOSE)
    torch.testing.assert_close(twice.uncond, half.uncond, **CLOSE)


def test_a_patch_of_the_network_is_gone_after_its_call(runner):
    plain = runner.run([denoise(runner)])[0].denoised
    shifted = runner.run([denoise(runner, patches=(Shifted(0.5),))])[0].denoised
    again = runner.run([denoise(runner)])[0].denoised
    assert (plain - shifted).abs().max() > 1e-3
    torch.testing.assert_close(plain, again, **CLOSE)


def test_only_equal_patches_share(runner):
    keys = [batch_key(denoise(runner, patches=p)) for p in ((), (Shifted(1),), (Shifted(2),))]
    assert len(set(keys)) == 3
    assert batch_key(denoise(runner, 5, patches=(Shifted(1),))) == keys[1]


@pytest.mark.parametrize("entering", [True, False])
def test_memory_that_runs_out_in_a_patch_is_no_fault_of_the_patch(runner, entering):
    with pytest.raises(CapacityError, match="not enough memory on cpu"):
        runner.run([denoise(runner, patches=(Greedy(entering),))])


@pytest.mark.parametrize("entering", [True, False])
def test_a_patch_that_fails_is_named_and_leaves_nothing(runner, entering):
    with pytest.raises(ExtensionError, match="patch Broken: ValueError: no"):
        runner.run([denoise(runner, patches=(Shifted(0.5), Broken(entering)))])
    plain = runner.run([denoise(runner)])[0].denoised
    torch.testing.assert_close(plain, runner.run([denoise(runner)])[0].denoised, rtol=0, atol=0)
    patching = runner.networks(runner.load(LoadModel("tiny"))).patching
    assert (patching.whole, dict(patching.rows)) == ((), {})


# --- Rows with several networks, and masks --------------------------------------------------------


def test_rows_with_other_networks_are_each_what_they_are_alone(runner):
    """Three sets of network patches in one picture, beside attention patches, take three UNet calls, whose rows come
    back in their places; two such pictures share them."""
    shifts = (Shifted(0.5), Identity()), (Shifted(-0.5),), (Shifted(0.5),), ()
    calls = []
    for seed in (1, 2):
        whole = denoise(runner, seed)
        rows = [
            replace(whole.rows[number % 2], weight=0.25, role="other", patches=patches)
            for number, patches in enumerate(shifts)
        ]
        calls.append(replace(whole, rows=tuple(rows), patches=(Weaker(0.9),)))
    expected = [
        sum(
            0.25 * runner.run([replace(call, rows=(replace(row, weight=1.0),))])[0].denoised
            for row in call.rows
        )
        for call in calls
    ]
    assert batch_key(calls[0]) == batch_key(calls[1])
    assert batch_key(calls[0]) != batch_key(replace(calls[0], rows=calls[0].rows[:2]))
    for reply, sums in zip(runner.run(calls), expected, strict=True):
        torch.testing.assert_close(reply.denoised, sums, **CLOSE)


def masked(call, kept: int, extra: int = 0):
    """A call whose first row looks at the first `kept` places alone, with `extra` places of noise behind it."""
    rows = []
    for number, row in enumerate(call.rows):
        noise = torch.full((extra, row.context.shape[1]), 9.0)
        context = torch.cat([row.context, noise])
        mask = torch.arange(len(context)) < (kept if number == 0 else len(row.context))
        rows.append(replace(row, context=context, mask=mask))
    return replace(call, rows=tuple(rows))


def test_a_masked_place_of_a_text_is_not_looked_at(runner):
    plain = denoise(runner)
    short = replace(plain.rows[0], context=plain.rows[0].context[:40])
    alone = runner.run([replace(plain, rows=(replace(short, weight=1.0),))])[0]
    reply = runner.run([masked(plain, 40, extra=11)])[0]
    torch.testing.assert_close(reply.cond, alone.denoised, **CLOSE)
    torch.testing.assert_close(reply.uncond, runner.run([plain])[0].uncond, **CLOSE)
    assert (reply.cond - runner.run([plain])[0].cond).abs().max() > 1e-3
    with_patch = replace(masked(plain, 40), patches=(Weaker(1.0),))
    torch.testing.assert_close(runner.run([with_patch])[0].cond, alone.denoised, **CLOSE)


def test_a_row_patch_is_asked_with_its_rows_mask(runner):
    plain = masked(denoise(runner), 40)
    rows = plain.rows[0], replace(plain.rows[1], patches=(Weaker(1.0),))
    other = runner.run([replace(plain, rows=rows)])[0]
    torch.testing.assert_close(other.uncond, runner.run([plain])[0].uncond, **CLOSE)


def test_calls_with_and_without_masks_do_not_share(runner):
    assert batch_key(masked(denoise(runner), 40)) != batch_key(denoise(runner))


@pytest.mark.parametrize("name", ["depth", "concat"])
def test_inputs_that_the_network_does_not_read_are_refused(runner, name):
    call = replace(denoise(runner), inputs={name: torch.zeros(1, 8, 8)})
    with pytest.raises(EaselError, match=f"inputs '{name}', which model 'tiny' does not read"):
        runner.run([call])


def test_a_model_for_inpainting_without_its_picture_is_told_as_that(runner):
    model = runner.load(LoadModel("tiny-inpainting"))
    with pytest.raises(RequestError, match="for inpainting, and is given no picture to repaint"):
        runner.run([replace(denoise(runner), model=model)])


def test_a_patch_made_for_another_model_is_refused(runner):
    @dataclass(frozen=True)
    class Bound(Patch):
        def misfit(self, model):
            return "" if model.name == "other" else f"made for 'other', used with {model.name!r}"

        def applied(self, unet):
            return super().applied(unet)

    with pytest.raises(EaselError, match="made for 'other', used with 'tiny'"):
        runner.run([denoise(runner, patches=(Bound(),))])
