"""Families are told from headers alone, as diffusers tells them; files in the wrong folder say where they belong."""

from __future__ import annotations

import numpy as np
import pytest

from tests.catalog.formats.files import checkpoint, tensors, write
from webui.catalog.formats.header import read_header
from webui.catalog.formats.recognition import Recognised, recognise
from webui.errors import ModelFileError

PARTS = {
    "sd1": {"unet", "vae", "text_encoder"},
    "sd2": {"unet", "vae", "text_encoder"},
    "sdxl": {"unet", "vae", "text_encoder", "text_encoder_2"},
    "refiner": {"unet", "vae", "text_encoder_2"},
}
KINDS = {
    "sd1": ("sd1", "Stable Diffusion 1", 768, "epsilon"),
    "sd2": ("sd2", "Stable Diffusion 2", 1024, None),
    "sdxl": ("sdxl", "Stable Diffusion XL", 2048, "epsilon"),
    "refiner": ("sdxl-refiner", "Stable Diffusion XL refiner", 1280, "epsilon"),
}


def told(path) -> Recognised:
    return recognise(read_header(path))


@pytest.mark.parametrize("layout", ["ldm", "diffusers"])
@pytest.mark.parametrize("inputs", [4, 9])
@pytest.mark.parametrize("family", KINDS)
def test_family_layout_and_inpainting_are_told_from_the_header(tmp_path, family, inputs, layout):
    found = told(checkpoint(tmp_path / "a.safetensors", family, inputs=inputs, layout=layout))
    assert (found.kind, found.family, found.context_dim, found.prediction) == KINDS[family]
    assert (found.layout, found.inpainting, found.latent_channels) == (layout, inputs == 9, 4)
    assert found.parts == PARTS[family] and not found.zero_snr
    assert Recognised.from_json(found.as_json()) == found


@pytest.mark.parametrize(
    ("family", "inputs", "theirs"),
    [
        ("sd1", 4, "v1"),
        ("sd1", 9, "inpainting"),
        ("sd2", 4, "v2"),
        ("sd2", 9, "inpainting_v2"),
        ("sdxl", 4, "xl_base"),
        ("sdxl", 9, "xl_inpaint"),
        ("refiner", 4, "xl_refiner"),
    ],
)
def test_diffusers_tells_these_files_the_same_way(family, inputs, theirs):
    import torch
    from diffusers.loaders.single_file_utils import infer_diffusers_model_type

    keys = {name: torch.from_numpy(value) for name, value in tensors(family, inputs).items()}
    assert infer_diffusers_model_type(keys) == theirs


@pytest.mark.parametrize(
    ("metadata", "more", "expected"),
    [
        ({"modelspec.prediction_type": "v"}, {}, ("v_prediction", False)),
        ({"modelspec.prediction_type": "epsilon"}, {}, ("epsilon", False)),
        ({"v_pred": "true", "ztsnr": "true"}, {}, ("v_prediction", True)),
        ({"v_pred": "false"}, {}, (None, False)),
        ({}, {"v_pred": np.zeros(0), "ztsnr": np.zeros(0)}, ("v_prediction", True)),
        ({"modelspec.prediction_type": "something"}, {}, (None, False)),
    ],
)
def test_prediction_and_zero_snr_come_from_metadata_and_marks(tmp_path, metadata, more, expected):
    found = told(checkpoint(tmp_path / "a.safetensors", "sd2", metadata=metadata, more=more))
    assert (found.prediction, found.zero_snr) == expected


def small(*names: str) -> dict[str, np.ndarray]:
    return {name: np.zeros(4, np.float16) for name in names}


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (small("lora_unet_down_blocks_0_attentions_0.lora_down.weight"), "models/Lora"),
        (small("unet.down_blocks.0.attentions.0.to_k.lora_A.weight"), "models/Lora"),
        (small("diffusion_model.a.hada_w1_a"), "models/Lora"),
        (small("encoder.conv_in.weight", "decoder.conv_in.weight"), "models/VAE"),
        (small("first_stage_model.decoder.conv_in.weight"), "models/VAE"),
        (small("control_model.input_blocks.0.0.weight"), "models/ControlNet"),
        (small("controlnet_cond_embedding.conv_in.weight", "conv_in.weight"), "models/ControlNet"),
        (small("emb_params"), "models/embeddings"),
        (small("clip_l", "clip_g"), "models/embeddings"),
        (small("model.0.weight", "model.1.sub.0.RDB1.conv1.0.weight"), "models/ESRGAN"),
        (small("double_blocks.0.img_attn.proj.weight"), "Flux"),
        (small("model.diffusion_model.double_blocks.0.img_attn.proj.weight"), "Flux"),
        (
            small("model.diffusion_model.joint_blocks.0.x_block.attn.proj.weight"),
            "Stable Diffusion 3",
        ),
        (small("model.diffusion_model.clip_txt_mapper.weight"), "Stable Cascade"),
        (small("down_blocks.0.motion_modules.0.a"), "motion module"),
        (small("image_proj.proj.weight", "ip_adapter.1.to_k_ip.weight"), "IP-Adapter"),
        (small("conv_in.weight", "down_blocks.0.resnets.0.conv1.weight"), "U-Net alone"),
        (small("text_model.encoder.layers.0.mlp.fc1.weight"), "a text encoder"),
        (small("something.else"), "no Stable Diffusion model that is known"),
        ({}, "no tensors"),
    ],
)
def test_a_good_file_in_the_wrong_folder_says_what_it_is(tmp_path, names, said):
    with pytest.raises(ModelFileError) as caught:
        told(write(tmp_path / "a.safetensors", names))
    assert said in str(caught.value) and str(caught.value).startswith("a.safetensors: ")


def without(*starts: str):
    return lambda names: {n: v for n, v in names.items() if not n.startswith(starts)}


def reshaped(name: str, *shape: int):
    return lambda names: {**names, name: np.zeros(shape, np.float16)}


FIRST, LAST = "model.diffusion_model.input_blocks.0.0.weight", "model.diffusion_model.out.2.weight"
KEY = "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (without("cond_stage_model."), "has no text encoder"),
        (without("first_stage_model."), "has no VAE"),
        (without("first_stage_model.", "cond_stage_model."), "U-Net alone"),
        (without(FIRST), "has no 'model.diffusion_model.input_blocks.0.0.weight'"),
        (without(LAST), "has no 'model.diffusion_model.out.2.weight'"),
        (without(KEY), "looks at no text"),
        (reshaped(FIRST, 8), "wrong shape (8,)"),
        (reshaped(FIRST, 8, 0, 3, 3), "wrong shape"),
        (reshaped(KEY, 8, 8, 768), "wrong shape"),
        (reshaped(FIRST, 8, 5, 3, 3), "a depth-to-image model"),
        (reshaped(FIRST, 8, 7, 3, 3), "an upscaling model"),
        (reshaped(FIRST, 8, 8, 3, 3), "InstructPix2Pix"),
        (reshaped(FIRST, 8, 6, 3, 3), "6 input channels"),
    ],
)
def test_a_file_that_is_not_whole_says_what_is_missing(tmp_path, change, said):
    with pytest.raises(ModelFileError) as caught:
        told(write(tmp_path / "a.safetensors", change(tensors("sd1"))))
    assert said in str(caught.value)


def test_averaged_weights_beside_the_real_ones_are_no_model_of_their_own(tmp_path):
    more = small("model_ema.diffusion_modelinput_blocks00weight", "alphas_cumprod")
    assert told(checkpoint(tmp_path / "a.safetensors", more=more)).family == "Stable Diffusion 1"
