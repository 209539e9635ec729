"""FreeU against diffusers' pipeline with it, and what it leaves alone: the UNet and other requests."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers import UNet2DConditionModel

from extensions import freeu
from tests.engine.conftest import request
from tests.extensions.parity import PARTS, TOLERANCE, difference, ours, pipeline, theirs
from webui.engine.calls import batch_key
from webui.types import Denoise, Model, Row

CONDITIONERS = freeu.register_conditioners()
DEFAULTS = {c.name: c.default for c in CONDITIONERS[0].controls}
ON = {**DEFAULTS, "freeu": True}
AUTHORS = {"b1": 1.5, "b2": 1.6, "s1": 0.9, "s2": 0.2}


def test_it_is_diffusers_pipeline_with_freeu(models_dir):
    pipe = pipeline(models_dir)
    pipe.enable_freeu(**AUTHORS)
    parts = replace(PARTS, conditioners=CONDITIONERS)
    expected = theirs(pipe, 7.5)
    assert difference(ours(models_dir, parts, cfg_scale=7.5, extras=ON), expected) < TOLERANCE
    assert difference(ours(models_dir, parts, cfg_scale=7.5, extras=DEFAULTS), expected) > 1e-2


def test_each_strength_reaches_its_own_place(models_dir):
    values = {"b1": 1.1, "b2": 1.2, "s1": 0.7, "s2": 0.4}
    pipe = pipeline(models_dir)
    pipe.enable_freeu(**values)
    extras = {"freeu": True, **{f"freeu_{name}": value for name, value in values.items()}}
    made = ours(models_dir, replace(PARTS, conditioners=CONDITIONERS), cfg_scale=7.5, extras=extras)
    assert difference(made, theirs(pipe, 7.5)) < TOLERANCE


def test_a_request_without_it_at_the_same_time_is_untouched(start):
    bench = start(conditioners=CONDITIONERS)
    alone = bench.engine.submit(request(steps=6, extras=DEFAULTS))
    bench.end(alone)
    jobs = [bench.engine.submit(request(steps=6, extras=extras)) for extras in (ON, DEFAULTS, ON)]
    for job in jobs:
        assert bench.end(job).state == "done"
    changed, same, again = (levels(bench, job) for job in jobs)
    assert np.array_equal(same, levels(bench, alone))
    assert np.abs(changed - same).max() > 1 >= np.abs(changed - again).max()


def levels(bench, job):
    return np.frombuffer(bench.pictures(job)[0], np.uint8).astype(int)


def call_with(**strengths):
    patch = freeu.FreeU(**{**AUTHORS, **strengths})
    x, context = torch.zeros(4, 8, 8), torch.zeros(77, 32)
    model = Model("tiny", 4, False, (0.03, 14.6))
    return Denoise(model, x, 1.0, (Row(context, 1.0),), patches=(patch,))


def test_equal_strengths_share_calls_and_others_do_not():
    assert batch_key(call_with()) == batch_key(call_with())
    assert batch_key(call_with()) != batch_key(call_with(s2=0.3))
    assert batch_key(call_with()) != batch_key(replace(call_with(), patches=()))


@pytest.mark.parametrize("before", [{}, {"b1": 1.1, "b2": 1.2, "s1": 0.5, "s2": 0.6}])
def test_the_unet_is_left_as_it_was_also_after_an_error(models_dir, before):
    folder = models_dir / "Stable-diffusion" / "tiny" / "unet"
    unet = UNet2DConditionModel.from_pretrained(
        folder, local_files_only=True, low_cpu_mem_usage=False
    )
    if before:
        unet.enable_freeu(**before)
    with pytest.raises(ZeroDivisionError), freeu.FreeU(**AUTHORS).applied(unet):
        assert [block.s2 for block in unet.up_blocks] == [0.2, 0.2]
        raise ZeroDivisionError
    for block in unet.up_blocks:
        found = {name: getattr(block, name, None) for name in AUTHORS}
        assert found == (before or dict.fromkeys(AUTHORS))


def test_it_is_off_by_default():
    assert freeu.prepare(request(extras=DEFAULTS), None, None) is None
