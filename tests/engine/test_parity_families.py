"""Every family of models through every file layout, against diffusers' pipelines on the same random networks."""

from __future__ import annotations

from functools import cache

import pytest

from tests.engine.families import (
    CASES,
    Recording,
    difference,
    model_file,
    ours,
    pipeline,
    theirs,
)
from webui.catalog.checkpoints import list_models
from webui.engine.placement import place
from webui.testing.families import FAMILIES, LAYOUTS, build, write

# Of the largest value. Measured: 6.8e-5 with zero terminal SNR, where float32 starts from 4096 times the noise (its
# numbers there are 1e-3 apart), else below 6e-6.
TOLERANCE, ZERO_SNR_TOLERANCE = 5e-5, 5e-4
SIZE = (96, 64)


@cache
def networks(name):
    case = CASES[name]
    return build(FAMILIES[case.family], seed=3, inpainting=case.inpainting)


@cache
def expected(name):
    return theirs(pipeline(CASES[name], networks(name)), CASES[name], SIZE)


def made(tmp_path, name, layout):
    """A runner on a models folder with one model, and that model's name."""
    case = CASES[name]
    metadata = {"modelspec.prediction_type": "v"} if case.prediction == "v_prediction" else {}
    if case.zero_snr:
        metadata["ztsnr"] = "true"
    if case.family == "sd2" and not metadata:
        metadata["modelspec.prediction_type"] = "epsilon"
    path = model_file(tmp_path, "model", layout)
    write(path, networks(name), layout, prediction=case.prediction, zero_snr=case.zero_snr,
          metadata=metadata)  # fmt: skip
    cards = list_models([tmp_path])
    assert [card.problem for card in cards] == [None]
    return Recording(lambda: cards, place("cpu", "float32", "sdpa")), cards[0].name


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", CASES)
def test_every_family_in_every_layout_is_diffusers(tmp_path, name, layout):
    runner, model = made(tmp_path, name, layout)
    found = difference(ours(runner, model, CASES[name], SIZE), expected(name))
    assert found < (ZERO_SNR_TOLERANCE if CASES[name].zero_snr else TOLERANCE)
