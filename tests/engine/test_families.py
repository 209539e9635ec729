"""What is read from single files: names against diffusers' converters, sizes against the networks written."""

import json
import re
from functools import cache

import pytest
import torch
from diffusers.loaders.single_file_utils import (
    convert_ldm_clip_checkpoint,
    convert_ldm_unet_checkpoint,
    convert_ldm_vae_checkpoint,
    convert_open_clip_checkpoint,
)
from safetensors.torch import load_file, save_file

from webui.catalog.checkpoints import list_models
from webui.engine.families import plan
from webui.engine.families.single import published
from webui.engine.loading import load, opened
from webui.engine.placement import place
from webui.errors import ModelFileError
from webui.testing.families import FAMILIES, LAYOUTS, build, write
from webui.types import ModelCard

PLACEMENT = place("cpu", "float32", "sdpa")
PREFIXES = {"sd2": "cond_stage_model.model.", "sdxl": "conditioner.embedders.1.model.",
            "sdxl-refiner": "conditioner.embedders.0.model."}  # fmt: skip


@cache
def networks(name):
    return build(FAMILIES[name], seed=5)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A single file of the original layout for each family."""
    folder = tmp_path_factory.mktemp("files")
    return {n: write(folder / f"{n}.safetensors", networks(n), "ldm") for n in FAMILIES}


def card(name, path, layout="ldm", prediction="epsilon"):
    return ModelCard(name, path, kind=name, layout=layout, prediction=prediction)


def same(found, expected):
    expected = {n.removeprefix("text_model."): v for n, v in expected.items()}
    assert set(found) == set(expected)
    for name, value in expected.items():
        torch.testing.assert_close(
            found[name], value, atol=0, rtol=0, msg=lambda m, n=name: f"{n}: {m}"
        )


def states(network):
    return {n.removeprefix("text_model."): v for n, v in network.state_dict().items()}


@pytest.mark.parametrize("name", FAMILIES)
def test_the_files_that_tests_write_are_what_diffusers_takes_for_the_original_layout(files, name):
    """The converters of diffusers give back the networks, so reading those files proves something."""
    checkpoint, ours = load_file(files[name]), networks(name)
    same(
        convert_ldm_unet_checkpoint(dict(checkpoint), dict(ours["unet"].config)),
        states(ours["unet"]),
    )
    same(
        convert_ldm_vae_checkpoint(dict(checkpoint), dict(ours["vae"].config)), states(ours["vae"])
    )
    part = "text_encoder" if name == "sd2" else "text_encoder_2"
    if name != "sd1":
        theirs = convert_open_clip_checkpoint(ours[part], dict(checkpoint), PREFIXES[name])
        if (
            name == "sd2"
        ):  # diffusers passes over what Stable Diffusion 2 leaves out by its full-size names
            for key in [k for k in theirs if ".layers.3." in k or k == "text_projection.weight"]:
                del theirs[key]
        same({n.removeprefix("text_model."): v for n, v in theirs.items()}, states(ours[part]))
    if name in ("sd1", "sdxl"):
        theirs = convert_ldm_clip_checkpoint(dict(checkpoint))
        same(
            {n.removeprefix("text_model."): v for n, v in theirs.items()},
            states(ours["text_encoder"]),
        )


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", FAMILIES)
def test_every_layout_gives_back_the_networks_to_the_bit(tmp_path, name, layout):
    path = tmp_path / ("m" if layout == "folder" else "m.safetensors")
    loaded = load(card(name, write(path, networks(name), layout), layout), PLACEMENT)
    found = {"unet": loaded.unet, "vae": loaded.vae}
    texts = [part for part in FAMILIES[name] if part.startswith("text")]
    found |= {part: tower.model for part, tower in zip(texts, loaded.text.towers, strict=True)}
    for part, network in found.items():
        same(states(network), states(networks(name)[part]))


@pytest.mark.parametrize("name", FAMILIES)
def test_sizes_are_read_from_the_shapes(files, name):
    for part, planned in plan(card(name, files[name])).parts.items():
        written = networks(name)[part].config
        for key, value in planned.config.items():
            wanted = getattr(written, key)
            if key == "attention_head_dim" and isinstance(wanted, int):
                wanted = [wanted] * len(value)
            if key == "transformer_layers_per_block":
                continue  # said for every level here; the networks above are equal
            assert _plain(value) == _plain(wanted) or key in ("sample_size", "pad_token_id"), (
                part,
                key,
            )


def _plain(value):
    return json.loads(json.dumps(value))


# --- the published sizes --------------------------------------------------------------------------

SD1 = {"block_out_channels": (320, 640, 1280, 1280), "cross_attention_dim": 768,
       "attention_head_dim": 8}  # fmt: skip
PUBLISHED = {
    "sd1": SD1,
    "sd2": {**SD1, "cross_attention_dim": 1024, "attention_head_dim": (5, 10, 20, 20),
            "use_linear_projection": True},
    "sdxl": {
        "block_out_channels": (320, 640, 1280), "cross_attention_dim": 2048, "attention_head_dim": (5, 10, 20),
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        "transformer_layers_per_block": (1, 2, 10), "use_linear_projection": True,
        "addition_embed_type": "text_time", "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": 2816,
    },
    "sdxl-refiner": {
        "block_out_channels": (384, 768, 1536, 1536), "cross_attention_dim": 1280,
        "attention_head_dim": (6, 12, 24, 24),
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        "transformer_layers_per_block": 4, "use_linear_projection": True,
        "addition_embed_type": "text_time", "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": 2560,
    },
}  # fmt: skip


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_network_of_the_published_size_is_told_from_its_shapes(name):
    """Without a weight in memory: the config made of the shapes of a full-size U-Net builds the same one again."""
    from diffusers import UNet2DConditionModel

    from webui.engine.families.single import MAKE

    with torch.device("meta"):
        theirs = UNet2DConditionModel(**PUBLISHED[name])
        shapes = {n: tuple(v.shape) for n, v in theirs.state_dict().items()}
        ours = UNet2DConditionModel.from_config(MAKE["unet"](published(name)["unet"], shapes))
    assert {n: tuple(v.shape) for n, v in ours.state_dict().items()} == shapes
    heads = [[m.heads for m in net.modules() if hasattr(m, "heads")] for net in (ours, theirs)]
    assert heads[0] == heads[1]


# --- faults ---------------------------------------------------------------------------------------


def changed(files, tmp_path, change, name="sd1"):
    weights = load_file(files[name])
    change(weights)
    save_file(weights, tmp_path / "changed.safetensors")
    return card(name, tmp_path / "changed.safetensors")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda w: w.pop("model.diffusion_model.middle_block.0.in_layers.2.bias"), "mid_block.resnets.0.conv1.bias"),
        (lambda w: w.pop("model.diffusion_model.input_blocks.0.0.weight"), "conv_in.weight"),
        (lambda w: w.update({"first_stage_model.decoder.conv_in.bias": torch.zeros(3)}), "has shape (3,)"),
        (lambda w: w.update({"model.diffusion_model.extra.weight": torch.zeros(3)}), "belongs to no layer"),
        (lambda w: w.update({"first_stage_model.quant_conv.bias": torch.zeros(8, dtype=torch.int64)}), "I64"),
        (lambda w: [w.pop(n) for n in list(w) if n.startswith("cond_stage_model")], "has no text_encoder"),
    ],
)  # fmt: skip
def test_a_file_that_does_not_fit_is_told_before_anything_is_loaded(files, tmp_path, change, said):
    with pytest.raises(ModelFileError, match=re.escape(said)) as caught:
        opened(changed(files, tmp_path, change), PLACEMENT)
    assert "changed.safetensors" in str(caught.value)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_a_weight_that_is_no_number_is_named(files, tmp_path, value, dtype):
    name = "model.diffusion_model.middle_block.1.norm.weight"

    def change(weights):
        weights.update({n: w.to(dtype) for n, w in weights.items() if w.is_floating_point()})
        weights[name][5] = value

    with pytest.raises(ModelFileError, match="not numbers") as caught:
        load(changed(files, tmp_path, change), PLACEMENT)
    assert f"changed.safetensors: {name!r}" in str(caught.value)


def test_a_weight_too_large_for_the_dtype_says_so(files, tmp_path):
    def change(weights):
        weights["model.diffusion_model.out.2.bias"][0] = 1e6

    path = changed(files, tmp_path, change)
    assert load(path, PLACEMENT).unet.conv_out.bias[0] == 1e6
    with pytest.raises(ModelFileError, match="too large for float16; start with --dtype float32"):
        load(path, place("cpu", "float16", "sdpa"))


@pytest.mark.parametrize("name", ["model_ema.decay", "alphas_cumprod", "cond_stage_model.logit_scale",
    "cond_stage_model.transformer.text_model.embeddings.position_ids", "v_pred"])  # fmt: skip
def test_what_training_leaves_in_files_is_passed_over(files, tmp_path, name):
    found = load(changed(files, tmp_path, lambda w: w.update({name: torch.zeros(1)})), PLACEMENT)
    same(states(found.unet), states(networks("sd1")["unet"]))
    same(states(found.text.model), states(networks("sd1")["text_encoder"]))


def test_text_encoders_without_the_level_text_model_load_too(files, tmp_path):
    """As A1111's first merges and transformers from 5.6 on name them."""

    def change(weights):
        for name in list(weights):
            weights[name.replace(".transformer.text_model.", ".transformer.")] = weights.pop(name)

    found = load(changed(files, tmp_path, change), PLACEMENT)
    same(states(found.text.model), states(networks("sd1")["text_encoder"]))


def test_eight_bit_weights_are_widened(files, tmp_path):
    def change(weights):
        weights.update({n: w.to(torch.float8_e4m3fn) for n, w in weights.items() if w.ndim > 1})

    found = load(changed(files, tmp_path, change), PLACEMENT).unet.conv_in.weight
    expected = networks("sd1")["unet"].conv_in.weight.to(torch.float8_e4m3fn).float()
    assert torch.equal(found, expected)


def test_a_folder_is_listed_and_loaded_as_its_family(tmp_path):
    write(tmp_path / "Stable-diffusion" / "xl", networks("sdxl"), "folder")
    (found,) = list_models([tmp_path])
    assert (found.kind, found.problem) == ("sdxl", None)
    model = load(found, PLACEMENT).model
    assert (model.kind, model.context_dim, model.pooled_dim) == ("sdxl", 128, 32)


def test_a_vae_that_overflows_is_never_run_in_half_precision(files):
    assert (
        load(card("sdxl", files["sdxl"]), place("cpu", "float16", "sdpa")).vae.dtype
        == torch.float32
    )
