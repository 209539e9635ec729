"""Perturbed-attention guidance against diffusers' pipeline for it, and who shares calls with whom."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from diffusers import StableDiffusionPAGPipeline

from extensions import perturbed_attention
from tests.engine.conftest import request
from tests.extensions.parity import PARTS, TOLERANCE, difference, ours, pipeline, theirs
from webui.types import Wrapper

WRAPPERS = (Wrapper("perturbed_attention", perturbed_attention.wrap_denoise),)


@pytest.mark.parametrize("scale", [7.5, 1.0])
def test_it_is_diffusers_pipeline(models_dir, scale):
    """With classifier-free guidance and without."""
    pipe = pipeline(models_dir, StableDiffusionPAGPipeline, pag_applied_layers="mid")
    parts = replace(PARTS, wrappers=WRAPPERS)
    expected = theirs(pipe, scale, pag_scale=3.0)
    made = ours(models_dir, parts, cfg_scale=scale, extras={"pag_scale": 3.0})
    assert difference(made, expected) < TOLERANCE
    assert difference(ours(models_dir, cfg_scale=scale), expected) > 1e-2


def test_the_weights_still_sum_to_one(models_dir):
    """What `Row` asks for; and the reply still tells the two predictions of guidance."""
    seen = []

    def look(call, request):
        reply = yield call
        seen.append((call, reply))
        return reply

    parts = replace(PARTS, wrappers=(*WRAPPERS, Wrapper("look", look)))
    ours(models_dir, parts, extras={"pag_scale": 2.5}, steps=1)
    ((call, reply),) = seen
    assert [(row.role, row.weight) for row in call.rows] == [
        ("cond", 6.5),
        ("other", -2.5),
        ("uncond", -3.0),
    ]
    assert reply.cond is not None and reply.uncond is not None


def test_requests_with_and_without_it_share_calls_and_do_not_disturb_each_other(start):
    """Another batch size may change the last bits, and so a level of 255."""
    bench = start(wrappers=WRAPPERS)
    asked = [
        request(seed=number, steps=40, extras=extras)
        for number, extras in enumerate([{"pag_scale": 3.0}, {"pag_scale": 0.0}, {}])
    ]
    alone = [made(bench, [one])[0] for one in asked]
    before = bench.engine._runner.calls
    together = made(bench, asked)
    assert 40 <= bench.engine._runner.calls - before < 120
    for one, other in zip(together, alone, strict=True):
        assert np.abs(one - other).max() <= 1


def made(bench, requests):
    """The pictures of requests that are worked on at the same time."""
    jobs = [bench.engine.submit(one) for one in requests]
    assert {bench.end(job).state for job in jobs} == {"done"}
    return [np.frombuffer(bench.pictures(job)[0], np.uint8).astype(int) for job in jobs]


def test_it_is_off_by_default_and_where_a_task_has_no_control():
    (group,) = perturbed_attention.register_controls()
    (control,) = group.controls
    for extras in ({control.name: control.default}, {}):
        assert perturbed_attention.wrap_denoise(None, request(extras=extras)) is None


def test_several_prompts_share_the_scale_by_their_weights():
    import torch

    from webui.types import Denoise, Model, Row

    rows = (
        Row(torch.zeros(77, 8), 3.0, share=0.75),
        Row(torch.ones(77, 8), 1.0, share=0.25),
        Row(torch.zeros(77, 8), -3.0, "uncond"),
    )
    call = Denoise(Model("m", 4, False, (0.1, 1.0)), torch.zeros(4, 8, 8), 1.0, rows)
    changed = next(perturbed_attention.perturbed(call, 2.0))
    found = [(row.role, row.weight) for row in changed.rows]
    assert found == [("cond", 4.5), ("other", -1.5), ("cond", 1.5), ("other", -0.5), ("uncond", -3)]
    assert changed.guidance_scale == 4.0
