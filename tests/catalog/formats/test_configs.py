"""Every field of a folder's configs is used, harmless, refused or told: the tables against diffusers' own."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path
from typing import Any

import diffusers.schedulers
import pytest
from diffusers import AutoencoderKL, SD3Transformer2DModel, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTokenizer

from webui.catalog.formats.configs import FIELDS, SCHEDULERS, checked, index_checked, schedule
from webui.engine.schedules import model_sigmas
from webui.errors import ModelFileError


def arguments() -> dict[str, dict[str, Any]]:
    """What the `__init__` of each scheduler class takes, read from the sources: some cannot be imported everywhere."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(Path(diffusers.schedulers.__file__).parent.glob("scheduling_*.py")):
        if "flax" in path.name:
            continue
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and node.name.endswith("Scheduler"):
                for one in node.body:
                    if isinstance(one, ast.FunctionDef) and one.name == "__init__":
                        names = [a.arg for a in one.args.args[1:]]
                        values = [_value(d) for d in one.args.defaults]
                        lacking = [None] * (len(names) - len(values))
                        found[node.name] = dict(zip(names, [*lacking, *values], strict=True))
    return found


def _value(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except ValueError:
        return None


THEIRS = arguments()
OTHER_TRAININGS = sorted(THEIRS.keys() - SCHEDULERS.keys())


def test_every_field_of_every_scheduler_is_classified():
    for name in SCHEDULERS:
        assert THEIRS[name].keys() - FIELDS["scheduler"].known == set(), name


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("unet", inspect.signature(UNet2DConditionModel.__init__).parameters),
        ("transformer", inspect.signature(SD3Transformer2DModel.__init__).parameters),
        ("flow_scheduler", THEIRS["FlowMatchEulerDiscreteScheduler"]),
        ("vae", inspect.signature(AutoencoderKL.__init__).parameters),
        ("text_encoder", CLIPTextConfig().to_dict()),
        ("tokenizer", inspect.signature(CLIPTokenizer.__init__).parameters),
    ],
)
def test_every_field_of_the_networks_is_classified(kind, names):
    ours = {name for name in names if not name.startswith("_")} - {
        "self",
        "kwargs",
        "vocab",
        "merges",
    }
    assert ours - FIELDS[kind].known == set()


@pytest.mark.parametrize("name", SCHEDULERS)
def test_what_a_scheduler_does_not_say_is_what_its_class_takes(name):
    theirs = THEIRS[name]
    found = schedule({"_class_name": name})
    for key in ("beta_start", "beta_end", "beta_schedule"):
        assert found[key] == theirs[key], key
    usual = checked("scheduler", {"_class_name": name}, "x")
    assert checked("scheduler", {"_class_name": name, **theirs, "clip_sample": False}, "x") == usual
    if name != "DPMSolverSDEScheduler":  # which needs a package that is not here
        real = getattr(diffusers.schedulers, name)()
        sigmas = model_sigmas(schedule(dict(real.config) | {"_class_name": name}))
        assert sigmas[-1] ** 2 == pytest.approx(
            float((1 - real.alphas_cumprod[-1]) / real.alphas_cumprod[-1]), rel=1e-3
        )


@pytest.mark.parametrize("name", OTHER_TRAININGS)
def test_a_scheduler_of_another_training_is_refused_by_its_name(name):
    with pytest.raises(ModelFileError, match=name):
        checked("scheduler", {"_class_name": name, **THEIRS[name]}, "scheduler_config.json")
    with pytest.raises(ModelFileError, match=name):
        index_checked({"scheduler": ["diffusers", name]}, "model_index.json")


REFUSED = {
    "scheduler": [
        *({"use_flow_sigmas": True}, {"timestep_type": "continuous"}, {"variance_type": "learned_range"}),
        *({"sigma_data": 0.5}, {"shift": 3.0}, {"snr_shift_scale": 3.0}, {"use_dynamic_shifting": True}),
    ],
    "unet": [
        *({"time_cond_proj_dim": 256}, {"encoder_hid_dim": 4096}, {"num_class_embeds": 1000}),
        *({"encoder_hid_dim_type": "text_proj"}, {"class_embed_type": "projection"}, {"attention_type": "gated"}),
        *({"addition_embed_type": "image"}, {"dual_cross_attention": True}, {"quantization_config": {"bits": 4}}),
        *({"down_block_types": ["DownBlock2D", "KDownBlock2D"]}, {"mid_block_type": "UNetMidBlock2DSimpleCrossAttn"}),
        *({"_class_name": "UNetMotionModel"}, {"_class_name": "UNetSpatioTemporalConditionModel"}),
    ],
    "vae": [
        *({"shift_factor": "0.1159"}, {"shift_factor": True}, {"latents_mean": [0.1] * 4}, {"latents_std": [2.0] * 4}),
        *({"_class_name": "AutoencoderTiny"}, {"_class_name": "AsymmetricAutoencoderKL"}, {"in_channels": 6}),
        *({"scaling_factor": 0}, {"scaling_factor": "0.18"}, {"scaling_factor": None}, {"scaling_factor": True}),
        {"scaling_factor": float("nan")},
    ],
    "text_encoder": [
        *({"architectures": ["T5EncoderModel"]}, {"architectures": ["RobertaSeriesModelWithTransformation"]}),
        *({"model_type": "xlm-roberta"}, {"pruned_heads": {"0": [1]}}),
    ],
    "tokenizer": [
        *({"tokenizer_class": "T5Tokenizer"}, {"tokenizer_class": "XLMRobertaTokenizer"}),
        {"padding_side": "left"},
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "config"), [(k, one) for k, many in REFUSED.items() for one in many]
)
def test_what_cannot_be_computed_is_refused_by_its_name(kind, config):
    key, value = next(iter(config.items()))
    with pytest.raises(ModelFileError) as fault:
        checked(kind, config, "config.json")
    assert key in str(fault.value) or str(value).strip("[]'") in str(fault.value)


@pytest.mark.parametrize(
    ("kind", "config"),
    [
        ("scheduler", {"thresholding": True}),
        ("scheduler", {"clip_sample": True}),
        ("scheduler", {"_class_name": "LCMScheduler"}),
        ("scheduler", {"_class_name": "TCDScheduler"}),
        ("scheduler", {"a_new_field": 3}),
        *((kind, {"a_new_field": "x"}) for kind in FIELDS),
    ],
)
def test_what_is_not_used_is_told_by_its_name(kind, config):
    key, value = next(iter(config.items()))
    (remark,) = checked(kind, config, "config.json")
    assert str(value) in remark if key == "_class_name" else key in remark


def test_what_says_nothing_is_not_told():
    for kind in FIELDS:
        assert checked(kind, {"a_new_field": None, "another": False, "_third": 7}, "x") == []


def test_an_index_tells_of_parts_that_nobody_uses():
    usual = {
        "_class_name": "StableDiffusionXLControlNetPipeline",
        "unet": ["diffusers", "UNet2DConditionModel"],
        "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"],
        "image_encoder": ["transformers", "CLIPVisionModelWithProjection"],
        "feature_extractor": [None, None],
        "requires_safety_checker": True,
        "force_zeros_for_empty_prompt": True,
    }
    assert index_checked(usual, "x") == []
    (remark,) = index_checked({**usual, "controlnet": ["diffusers", "ControlNetModel"]}, "x")
    assert "controlnet" in remark
    (remark,) = index_checked({"_class_name": "KolorsPipeline"}, "x")
    assert "KolorsPipeline" in remark
    for part, words in {
        "motion_adapter": ["diffusers", "MotionAdapter"],
        "text_encoder": ["transformers", "ChatGLMModel"],
        "vae": ["diffusers", "AutoencoderTiny"],
        "transformer": ["diffusers", "SD3Transformer2DModel"],
    }.items():
        with pytest.raises(ModelFileError, match=part):
            index_checked({**usual, part: words}, "x")
