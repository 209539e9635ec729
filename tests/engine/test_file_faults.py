"""Damaged model files, drawn at random, through the list and a job: a picture, or a sentence that names the file.

The same with thousands of files: benchmarks/fuzz_files.py.
"""

from __future__ import annotations

import pytest
import torch

from tests.engine.damaging import KINDS, Maker, outcome
from webui.catalog.checkpoints import list_models
from webui.engine.placement import place
from webui.engine.runner import Runner
from webui.errors import ModelFileError
from webui.types import Decode, EncodeText, LoadModel


@pytest.fixture(scope="module")
def maker(tmp_path_factory):
    return Maker(tmp_path_factory.mktemp("faults"))


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_file_is_a_picture_or_a_sentence(maker, kind):
    whole = outcome(maker, kind, None)
    assert whole.fine and not whole.said, whole
    for seed in range(5):
        found = outcome(maker, kind, seed)
        assert found.fine, f"{kind} {seed}: {found}"


def test_what_no_check_foresaw_is_told_as_the_model_s_fault(models_dir):
    runner = Runner(lambda: list_models([models_dir]), place("cpu", "float32", "sdpa"))
    (model,) = runner.run([LoadModel("tiny")])
    networks = runner.networks(model)
    networks.vae.post_quant_conv = torch.nn.Linear(3, 3)
    with pytest.raises(ModelFileError, match="model 'tiny': its files cannot be run"):
        runner.run([Decode(model, torch.zeros(model.latent_shape(64, 64)))])
    networks.text.towers[0].model.forward = None
    with pytest.raises(ModelFileError, match="model 'tiny'"):
        runner.run([EncodeText(model, "a", "b", 1)])
