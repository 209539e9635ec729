"""Diffusers folders as people save them: what their configs say is used, or told in the list."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from webui.catalog.checkpoints import list_models
from webui.engine.loading import load, opened
from webui.engine.placement import place
from webui.engine.schedules import model_sigmas
from webui.errors import ModelFileError
from webui.testing.families import FAMILIES, build, write
from webui.types import ModelCard

PLACEMENT = place("cpu", "float32", "sdpa")
UNET = "unet/diffusion_pytorch_model"


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    top = tmp_path_factory.mktemp("folders")
    for family in ("sd1", "sdxl"):
        write(top / family, build(FAMILIES[family], seed=2), "folder")
    return top


@pytest.fixture
def folder(written, tmp_path):
    """Gives the folder of a family, of which a test may change what it likes."""

    def copied(family: str = "sd1") -> Path:
        made = tmp_path / "Stable-diffusion" / "mine"
        shutil.copytree(written / family, made)
        return made

    return copied


def card(folder: Path) -> ModelCard:
    (found,) = list_models([folder.parent.parent])
    return found


def say(folder: Path, file: str, **fields: Any) -> None:
    path = folder / file
    told = json.loads(path.read_text()) | fields
    path.write_text(json.dumps({key: value for key, value in told.items() if value is not ...}))


SCHEDULER, TEXT = "scheduler/scheduler_config.json", "text_encoder/config.json"
TOLD = {
    "an EDM schedule": (SCHEDULER, {"_class_name": "EDMDPMSolverMultistepScheduler"}, "EDMDPMSolver"),
    "flow matching": (SCHEDULER, {"_class_name": "FlowMatchEulerDiscreteScheduler"}, "FlowMatchEuler"),
    "flow by a field": (SCHEDULER, {"use_flow_sigmas": True}, "use_flow_sigmas"),
    "flow by prediction": (SCHEDULER, {"prediction_type": "flow_prediction"}, "flow_prediction"),
    "an unknown course": (SCHEDULER, {"beta_schedule": "laplace"}, "laplace"),
    "betas of words": (SCHEDULER, {"beta_start": "many"}, "betas cannot be read"),
    "no steps": (SCHEDULER, {"num_train_timesteps": 1}, "fewer than two"),
    "a scheduler by the index": ("model_index.json", {"scheduler": ["diffusers", "EDMEulerScheduler"]}, "EDMEuler"),
    "a shift of words": ("vae/config.json", {"shift_factor": "0.1"}, "shift_factor"),
    "a VAE's means": ("vae/config.json", {"latents_mean": [0.1] * 4, "latents_std": [1.0] * 4}, "latents_"),
    "a tiny VAE": ("vae/config.json", {"_class_name": "AutoencoderTiny"}, "AutoencoderTiny"),
    "an eps of words": ("unet/config.json", {"norm_eps": "small"}, "norm_eps 'small' is no number"),
    "an eps that is none": (TEXT, {"layer_norm_eps": None}, "layer_norm_eps None is no number"),
    "a million layers": (TEXT, {"num_hidden_layers": 1_000_000}, "num_hidden_layers is more than"),
    "no factor": ("vae/config.json", {"scaling_factor": "0.18"}, "scaling_factor"),
    "guidance as an input": ("unet/config.json", {"time_cond_proj_dim": 32}, "time_cond_proj_dim"),
    "another U-Net": ("unet/config.json", {"_class_name": "UNetMotionModel"}, "UNetMotionModel"),
    "another encoder": (TEXT, {"architectures": ["T5EncoderModel"]}, "T5EncoderModel"),
    "another tokenizer": ("tokenizer/tokenizer_config.json", {"tokenizer_class": "T5Tokenizer"}, "T5Tokenizer"),
    "another part": ("model_index.json", {"motion_adapter": ["diffusers", "MotionAdapter"]}, "motion_adapter"),
}  # fmt: skip


@pytest.mark.parametrize("name", TOLD)
def test_what_a_folder_says_and_nobody_computes_is_told_in_the_list(folder, name):
    file, fields, words = TOLD[name]
    mine = folder()
    assert card(mine).problem is None
    say(mine, file, **fields)
    problem = card(mine).problem or ""
    assert words in problem and str(mine) in problem


def test_an_xl_folder_whose_numbers_do_not_fit_is_told_in_the_list(folder):
    mine = folder("sdxl")
    assert card(mine).problem is None
    say(mine, "unet/config.json", projection_class_embeddings_input_dim=2816)
    assert "told 2816 numbers" in (card(mine).problem or "")


@pytest.mark.parametrize(
    ("class_", "ends"),
    [
        ("HeunDiscreteScheduler", (0.00085, 0.012, "linear")),
        ("LCMScheduler", (0.00085, 0.012, "scaled_linear")),
        ("DDIMScheduler", (0.0001, 0.02, "linear")),
        (..., (0.0001, 0.02, "linear")),
    ],
)
def test_betas_that_are_not_said_are_those_of_the_class(folder, class_, ends):
    mine = folder()
    say(mine, SCHEDULER, _class_name=class_, beta_start=..., beta_end=None, beta_schedule=...)
    told = dict(zip(("beta_start", "beta_end", "beta_schedule"), ends, strict=True))
    assert opened(card(mine), PLACEMENT).sigmas == model_sigmas(told)


def test_what_is_not_used_of_a_folder_is_told_on_its_pictures(folder):
    mine = folder()
    assert opened(card(mine), PLACEMENT).plan.remarks == ()
    say(mine, SCHEDULER, _class_name="LCMScheduler", thresholding=True)
    say(mine, "model_index.json", controlnet=["diffusers", "ControlNetModel"])
    say(mine, TEXT, a_new_field=3)
    remarks = load(card(mine), PLACEMENT).model.remarks
    for words in ("LCMScheduler", "thresholding", "controlnet", "a_new_field"):
        assert sum(words in one for one in remarks) == 1, words
    assert all(one.startswith("mine/") for one in remarks)  # nobody's folders stand in a picture


def test_a_projection_that_nobody_asks_for_is_passed_over(folder):
    mine = folder()
    path = mine / "text_encoder" / "model.safetensors"
    save_file({**load_file(path), "text_projection.weight": torch.zeros(64, 64)}, path)
    assert opened(card(mine), PLACEMENT).plan.remarks == ()


def test_a_tokenizer_without_a_padding_token_is_told(folder):
    mine = folder()
    say(mine, "tokenizer/tokenizer_config.json", pad_token=None)
    with pytest.raises(ModelFileError, match="padding token"):
        opened(card(mine), PLACEMENT)


@pytest.mark.parametrize("variant", ["fp16", "bf16", "non_ema", "fp32", "ema", "mine"])
def test_a_variant_is_taken_where_there_is_nothing_else(folder, variant):
    mine = folder()
    (mine / f"{UNET}.safetensors").rename(mine / f"{UNET}.{variant}.safetensors")
    found = opened(card(mine), PLACEMENT).plan.parts["unet"].weights
    assert {one.file.path.name for one in found.values()} == {
        f"diffusion_pytorch_model.{variant}.safetensors"
    }


def test_averages_come_before_what_they_are_of(folder):
    mine = folder()
    for variant in ("non_ema", "fp16"):
        shutil.copy(mine / f"{UNET}.safetensors", mine / f"{UNET}.{variant}.safetensors")
    assert card(mine).weights == mine / f"{UNET}.safetensors"
    (mine / f"{UNET}.safetensors").unlink()
    assert card(mine).weights == mine / f"{UNET}.fp16.safetensors"


@pytest.mark.parametrize("value", [True, 1, "yes"])
def test_zero_terminal_snr_is_on_as_diffusers_reads_it(folder, value):
    made = folder()
    say(made, SCHEDULER, rescale_betas_zero_snr=value)
    assert card(made).zero_snr
