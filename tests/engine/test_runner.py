"""Calls made together are the calls made alone; padding and other people's rows change nothing."""

from concurrent.futures import ThreadPoolExecutor, thread

import pytest
import torch

from webui.catalog.checkpoints import list_models
from webui.engine import guidance
from webui.engine.file_faults import files_blamed
from webui.engine.placement import place
from webui.engine.runner import Runner
from webui.errors import CapacityError, EaselError
from webui.types import Denoise, EncodeText, LoadModel, Row


@pytest.fixture
def runner(models_dir):
    return Runner(lambda: list_models([models_dir]), place("cpu", "float32", "auto"))


def denoise(runner, model, seed: int, sigma: float, scale: float) -> Denoise:
    texts = runner.run([EncodeText(model, f"a cat {seed}", "red")])[0].texts
    x = torch.randn(4, 8, 8, generator=torch.Generator().manual_seed(seed)) * sigma
    return Denoise(model, x, sigma, guidance.rows(texts, scale))


def test_calls_at_different_levels_and_scales_share_one_unet_call(runner):
    with torch.inference_mode():
        model = runner.load(LoadModel("tiny"))
        kinds = ((1, 14.0, 7.0), (2, 3.0, 1.0), (3, 0.05, 2.5))
        calls = [denoise(runner, model, *kind) for kind in kinds]
        alone = [runner.run([call])[0] for call in calls]
        before = (runner.calls, runner.rows)
        together = runner.run(calls)
    assert (runner.calls - before[0], runner.rows - before[1]) == (1, 5)
    for a, b in zip(alone, together, strict=True):
        torch.testing.assert_close(a.denoised, b.denoised, rtol=1e-4, atol=1e-4)
    assert alone[1].uncond is None


def test_the_reply_is_the_weighted_sum_of_its_rows(runner):
    with torch.inference_mode():
        model = runner.load(LoadModel("tiny"))
        call = denoise(runner, model, 1, 2.0, 5.0)
        reply = runner.run([call])[0]
        single = [
            runner.run([Denoise(model, call.x, 2.0, (Row(row.context, 1.0),))])[0].denoised
            for row in call.rows
        ]
    torch.testing.assert_close(reply.cond, single[0], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(reply.uncond, single[1], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(
        reply.denoised, single[1] + 5.0 * (single[0] - single[1]), rtol=1e-3, atol=1e-3
    )


def test_several_rows_of_a_role_count_by_their_weights(runner):
    with torch.inference_mode():
        model = runner.load(LoadModel("tiny"))
        call = denoise(runner, model, 1, 2.0, 5.0)
        first, second = (row.context for row in call.rows)
        rows = (Row(first, 3.0), Row(second, 1.0), Row(second, -3.0, "uncond"))
        reply = runner.run([Denoise(model, call.x, 2.0, rows)])[0]
        single = [
            runner.run([Denoise(model, call.x, 2.0, (Row(context, 1.0),))])[0].denoised
            for context in (first, second)
        ]
    cond = 0.75 * single[0] + 0.25 * single[1]
    torch.testing.assert_close(reply.cond, cond, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(reply.uncond, single[1], rtol=1e-4, atol=1e-4)


def test_rows_that_weigh_nothing_count_by_their_shares(runner):
    """The two predictions at guidance scale 0, of several texts."""
    with torch.inference_mode():
        model = runner.load(LoadModel("tiny"))
        call = denoise(runner, model, 1, 2.0, 5.0)
        first, second = (row.context for row in call.rows)
        rows = (Row(first, 0.0, share=0.7), Row(second, 0.0, share=0.3), Row(second, 1.0, "uncond"))
        reply = runner.run([Denoise(model, call.x, 2.0, rows)])[0]
        single = [
            runner.run([Denoise(model, call.x, 2.0, (Row(context, 1.0),))])[0].denoised
            for context in (first, second)
        ]
    cond = 0.7 * single[0] + 0.3 * single[1]
    torch.testing.assert_close(reply.cond, cond, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(reply.denoised, single[1], rtol=1e-4, atol=1e-4)


def test_an_encoded_prompt_is_kept(runner):
    with torch.inference_mode():
        model = runner.load(LoadModel("tiny"))
        first, again, other = (
            runner.run([EncodeText(model, "a dog", negative)])[0].texts[0].context
            for negative in ("", "", "red")
        )
    assert again is first and other is not first


def test_too_little_memory_is_said(runner):
    """A latent whose attention would take terabytes."""
    with torch.inference_mode():
        model = runner.load(LoadModel("tiny"))
        call = denoise(runner, model, 1, 1.0, 1.0)
        huge = torch.empty(1).expand(4, 2**19, 2**19)
        with pytest.raises(CapacityError, match="not enough memory"):
            runner.run([Denoise(model, huge, 1.0, call.rows)])


def test_a_load_that_the_end_of_easel_cuts_short_blames_no_file(monkeypatch, caplog):
    monkeypatch.setattr(thread, "_shutdown", True)
    with pytest.raises(RuntimeError, match="interpreter shutdown"), files_blamed("m", "read"):
        ThreadPoolExecutor(1).submit(print)
    assert not caplog.records
    with (
        pytest.raises(EaselError, match="'m': its files cannot be read"),
        files_blamed("m", "read"),
    ):
        raise RuntimeError("a shape")
