"""What the configs of a diffusers folder say: each field is used, known to be harmless, or refused or told by its name.

Tables, so that a test can hold them against diffusers and transformers: a field that a new release adds is in none of
them and is told until somebody has looked at it. Knows JSON objects; opens no file.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from webui.catalog.families import THOSE_THAT_LOAD
from webui.errors import ModelFileError, Sentence

__all__ = ["FEW_STEPS", "FIELDS", "SCHEDULERS", "Fields", "checked", "index_checked", "schedule"]

Config = Mapping[str, Any]
NONE: tuple[Any, ...] = (None, False, "", 0)


def _frozen(words: str) -> frozenset[str]:
    return frozenset(words.split())


@dataclass(frozen=True, slots=True)
class Fields:
    """Of one kind of config: the `classes` that it may be of, the fields that are `used`, those that change no picture,
    those for which `only` some values can be computed, and those whose other values are `told` and not used."""

    classes: frozenset[str]
    used: frozenset[str]
    harmless: frozenset[str]
    only: Mapping[str, tuple[Any, ...]] = field(default_factory=lambda: MappingProxyType({}))
    told: Mapping[str, tuple[Any, ...]] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def known(self) -> frozenset[str]:
        return self.used | self.harmless | self.only.keys() | self.told.keys()


# --- Noise schedules ----------------------------------------------------------------------------------

# What a class takes for the ends of the betas and their course where its config does not say. All of them sample models
# of DDPM's training; which of them a folder names is a choice of sampler, which is the request's here.
_USUAL, _HALF, _LATENT = (
    (0.0001, 0.02, "linear"),
    (0.00085, 0.012, "linear"),
    (0.00085, 0.012, "scaled_linear"),
)
SCHEDULERS: Mapping[str, tuple[float, float, str]] = MappingProxyType(
    {
        **dict.fromkeys(
            (
                *("DDIMInverseScheduler", "DDIMParallelScheduler", "DDIMScheduler"),
                *("DDPMParallelScheduler", "DDPMScheduler", "DEISMultistepScheduler"),
                *("DPMSolverMultistepInverseScheduler", "DPMSolverMultistepScheduler"),
                *("DPMSolverSinglestepScheduler", "EulerAncestralDiscreteScheduler"),
                *("EulerDiscreteScheduler", "LMSDiscreteScheduler", "PNDMScheduler"),
                *("RePaintScheduler", "SASolverScheduler", "UniPCMultistepScheduler"),
            ),
            _USUAL,
        ),
        **dict.fromkeys(
            (
                *("DPMSolverSDEScheduler", "HeunDiscreteScheduler"),
                *("KDPM2AncestralDiscreteScheduler", "KDPM2DiscreteScheduler"),
            ),
            _HALF,
        ),
        "LCMScheduler": _LATENT,
        "TCDScheduler": _LATENT,
    }
)
FEW_STEPS = ("LCMScheduler", "TCDScheduler")  # of models that were distilled, or wore such a LoRA

_SCHEDULER = Fields(
    frozenset(SCHEDULERS),
    used=_frozen(
        "num_train_timesteps beta_start beta_end beta_schedule trained_betas prediction_type rescale_betas_zero_snr"
    ),
    harmless=_frozen(  # how a sampler walks over the noise levels, which the request says
        "algorithm_type clip_sample_range corrector_order disable_corrector dynamic_thresholding_ratio eta"
        " euler_at_final final_sigmas_type flow_shift interpolation_type lambda_min_clipped lower_order_final"
        " noise_sampler_seed original_inference_steps predict_x0 predictor_order sample_max_value set_alpha_to_one"
        " set_alpha_to_zero sigma_max sigma_min skip_prk_steps solver_order solver_p solver_type steps_offset tau_func"
        " time_shift_type timestep_scaling timestep_spacing use_beta_sigmas use_exponential_sigmas"
        " use_karras_sigmas use_lu_lambdas dtype"
    ),
    only={
        "timestep_type": (None, "discrete"),
        "variance_type": (None, "", "fixed_small", "fixed_small_log", "fixed_large", "fixed_large_log"),
        "shift_terminal": (None,),
        "snr_shift_scale": (None, 1, 1.0),
        **dict.fromkeys(
            ("use_flow_sigmas", "use_dynamic_shifting", "invert_sigmas", "stochastic_sampling"), NONE
        ),
        # Those of trainings that are not DDPM's, which a config keeps when its class is changed.
        **dict.fromkeys(
            (
                *("sigma_data", "rho", "sigma_schedule", "shift", "base_shift", "max_shift"),
                *("base_image_seq_len", "max_image_seq_len", "s_churn", "beta_min", "beta_max", "scaler"),
            ),
            (None,),
        ),
    },
    told={"clip_sample": NONE, "thresholding": NONE},
)  # fmt: skip

_FLOW_SCHEDULER = Fields(  # of flow matching
    frozenset(("FlowMatchEulerDiscreteScheduler",)),
    used=_frozen("shift"),
    harmless=_frozen(
        "base_shift max_shift base_image_seq_len max_image_seq_len time_shift_type use_karras_sigmas"
        " use_exponential_sigmas use_beta_sigmas"
    ),
    only={
        "num_train_timesteps": (None, 1000),  # what t = 1 is called, which networks are told
        "use_dynamic_shifting": NONE,
        "invert_sigmas": NONE,
        "shift_terminal": (None,),
        "stochastic_sampling": NONE,
    },
)

# --- Networks -----------------------------------------------------------------------------------------

_DOWN = ("CrossAttnDownBlock2D", "DownBlock2D", "AttnDownBlock2D", "ResnetDownsampleBlock2D")
_UP = ("CrossAttnUpBlock2D", "UpBlock2D", "AttnUpBlock2D", "ResnetUpsampleBlock2D")
_PLAIN = {"quantization_config": NONE}  # of every network

_UNET = Fields(
    frozenset(("UNet2DConditionModel", "FlaxUNet2DConditionModel")),
    used=_frozen(
        "in_channels out_channels center_input_sample flip_sin_to_cos freq_shift only_cross_attention"
        " block_out_channels layers_per_block downsample_padding mid_block_scale_factor act_fn norm_num_groups norm_eps"
        " cross_attention_dim transformer_layers_per_block reverse_transformer_layers_per_block attention_head_dim"
        " use_linear_projection addition_time_embed_dim resnet_time_scale_shift resnet_skip_time_act"
        " resnet_out_scale_factor time_embedding_type time_embedding_dim time_embedding_act_fn timestep_post_act"
        " conv_in_kernel conv_out_kernel projection_class_embeddings_input_dim mid_block_only_cross_attention"
        " cross_attention_norm"
    ),
    harmless=_frozen("sample_size dropout upcast_attention addition_embed_type_num_heads"),
    only={
        **_PLAIN,
        **dict.fromkeys(
            (
                *("encoder_hid_dim", "encoder_hid_dim_type", "time_cond_proj_dim", "num_class_embeds"),
                *("class_embed_type", "num_attention_heads"),
            ),
            (None,),
        ),
        "addition_embed_type": (None, "text_time"),
        "attention_type": (None, "default"),
        "class_embeddings_concat": NONE,
        "dual_cross_attention": NONE,
        "mid_block_type": (None, "UNetMidBlock2DCrossAttn", "UNetMidBlock2D"),
        "down_block_types": _DOWN,
        "up_block_types": _UP,
    },
)  # fmt: skip
_TRANSFORMER = Fields(
    frozenset(("SD3Transformer2DModel",)),
    used=_frozen(
        "patch_size in_channels out_channels num_layers attention_head_dim num_attention_heads joint_attention_dim"
        " caption_projection_dim pooled_projection_dim pos_embed_max_size sample_size dual_attention_layers qk_norm"
    ),
    harmless=frozenset(),
    only=dict(_PLAIN),
)
_VAE = Fields(
    frozenset(("AutoencoderKL", "FlaxAutoencoderKL")),
    used=_frozen(
        "block_out_channels layers_per_block act_fn latent_channels norm_num_groups scaling_factor shift_factor"
        " force_upcast use_quant_conv use_post_quant_conv mid_block_add_attention"
    ),
    harmless=_frozen("sample_size"),
    only={
        **_PLAIN,
        "in_channels": (None, 3),
        "out_channels": (None, 3),
        "down_block_types": ("DownEncoderBlock2D", "AttnDownEncoderBlock2D"),
        "up_block_types": ("UpDecoderBlock2D", "AttnUpDecoderBlock2D"),
        "latents_mean": (None,),
        "latents_std": (None,),
    },
)
_TEXT = Fields(
    frozenset(("CLIPTextModel", "CLIPTextModelWithProjection", "FlaxCLIPTextModel", "CLIPModel")),
    used=_frozen(
        "vocab_size hidden_size intermediate_size num_hidden_layers num_attention_heads max_position_embeddings"
        " hidden_act layer_norm_eps projection_dim"
    ),
    harmless=_frozen(  # of training, of writing texts, and what is said of every network of transformers
        "attention_dropout dropout initializer_range initializer_factor pad_token_id bos_token_id eos_token_id"
        " sep_token_id decoder_start_token_id forced_bos_token_id forced_eos_token_id torch_dtype dtype"
        " transformers_version use_cache return_dict output_attentions output_hidden_states id2label label2id"
        " problem_type is_encoder_decoder is_decoder chunk_size_feed_forward architectures add_cross_attention"
        " bad_words_ids begin_suppress_tokens cross_attention_hidden_size diversity_penalty do_sample early_stopping"
        " encoder_no_repeat_ngram_size exponential_decay_length_penalty finetuning_task length_penalty max_length"
        " min_length no_repeat_ngram_size num_beam_groups num_beams num_return_sequences prefix remove_invalid_values"
        " repetition_penalty return_dict_in_generate suppress_tokens task_specific_params temperature tf_legacy_loss"
        " tie_encoder_decoder tie_word_embeddings tokenizer_class top_k top_p torchscript typical_p use_bfloat16"
        " gradient_checkpointing logit_scale_init_value"
    ),
    only={
        **_PLAIN,
        "model_type": (None, "clip_text_model", "clip"),
        "pruned_heads": (None, {}),
    },
)
_TOKENIZER = Fields(
    frozenset(("CLIPTokenizer", "CLIPTokenizerFast")),
    used=_frozen(
        "tokenizer_class bos_token eos_token pad_token unk_token added_tokens_decoder"
        " additional_special_tokens"
    ),
    harmless=_frozen(  # the length is the text encoder's, and the vocabulary is small letters' anyway
        "model_max_length backend add_prefix_space clean_up_tokenization_spaces do_lower_case errors name_or_path"
        " special_tokens_map_file use_fast truncation_side split_special_tokens extra_special_tokens trust_remote_code"
        " processor_class is_local local_files_only vocab_file merges_file tokenizer_file max_len max_length stride"
        " truncation_strategy pad_to_multiple_of pad_token_type_id add_bos_token add_eos_token legacy subfolder"
    ),
    only={"padding_side": (None, "right"), "auto_map": (None,)},
)  # fmt: skip
FIELDS: Mapping[str, Fields] = MappingProxyType(
    {
        "scheduler": _SCHEDULER,
        "flow_scheduler": _FLOW_SCHEDULER,
        "unet": _UNET,
        "transformer": _TRANSFORMER,
        "vae": _VAE,
        "text_encoder": _TEXT,
        "text_encoder_2": _TEXT,
        "tokenizer": _TOKENIZER,
        "tokenizer_2": _TOKENIZER,
    }
)


def checked(kind: str, config: Config, where: object) -> list[str]:
    """Sentences about what is not used of a `config` of `kind` (a key of `FIELDS`), which lies at `where`.

    `ModelFileError` for what cannot be computed here.
    """
    fields = FIELDS[kind]
    for name in _names(kind, config):
        if name not in fields.classes:
            raise ModelFileError(
                Sentence("{where}: {reason}", where=where, reason=_reason(kind, name))
            )
    remarks: list[str] = []
    for key, value in config.items():
        if key in fields.only:
            if not all(_among(one, fields.only[key]) for one in _each(key, value)):
                raise ModelFileError(
                    Sentence(
                        "{where}: {part} {value} cannot be computed here; the model would "
                        "paint wrongly",
                        where=where,
                        part=key,
                        value=_short(value),
                    )
                )
        elif key in fields.told:
            if not _among(value, fields.told[key]):
                remarks.append(
                    Sentence(
                        "{where}: {part} {value} is not used",
                        where=where,
                        part=key,
                        value=_short(value),
                    )
                )
        elif key not in fields.known and not key.startswith("_") and not _empty(value):
            remarks.append(
                Sentence(
                    "{where}: {part} is not known, and is not used", where=where, part=_short(key)
                )
            )
    if kind == "scheduler" and config.get("_class_name") in FEW_STEPS:
        remarks.append(
            Sentence(
                "{where}: a {config} stands for a model of few steps: use 4 to 8, and "
                "a CFG scale of 1 to 2",
                where=where,
                config=config["_class_name"],
            )
        )
    for key in COUNTS:
        if any(isinstance(n, int) and n > MOST for n in _flat(config.get(key))):
            raise ModelFileError(
                Sentence(
                    "{where}: {part} is more than any model has ({most})",
                    where=where,
                    part=key,
                    most=MOST,
                )
            )
    for key in NUMBERS:
        if key in config and not _number(config[key]):
            raise ModelFileError(
                Sentence(
                    "{where}: {part} {config} is no number",
                    where=where,
                    part=key,
                    config=_short(config[key]),
                )
            )
    if kind == "vae" and "scaling_factor" in config:
        factor = config["scaling_factor"]
        if not _number(factor) or factor <= 0:
            raise ModelFileError(
                Sentence(
                    "{where}: scaling_factor {factor} is no number above 0",
                    where=where,
                    factor=_short(factor),
                )
            )
    if config.get("shift_factor") is not None and not _number(config["shift_factor"]):
        raise ModelFileError(
            Sentence(
                "{where}: shift_factor {config} is no number",
                where=where,
                config=_short(config["shift_factor"]),
            )
        )
    return remarks


def _number(value: object) -> bool:
    good = isinstance(value, int | float) and not isinstance(value, bool)
    return good and math.isfinite(value)  # type: ignore[arg-type]


NUMBERS = (  # of networks, which no shape is held against
    *("norm_eps", "layer_norm_eps", "freq_shift", "mid_block_scale_factor"),
    "resnet_out_scale_factor",
)
COUNTS = (  # of layers: building a network of a million takes hours
    *("layers_per_block", "transformer_layers_per_block", "reverse_transformer_layers_per_block"),
    "num_hidden_layers",
)
MOST = 256


def _flat(value: object) -> Iterator[object]:
    if isinstance(value, list):
        for one in value:
            yield from _flat(one)
    else:
        yield value


def _names(kind: str, config: Config) -> Iterator[str]:
    """The classes that a config says that it is of, none where it does not say."""
    if kind.startswith("text_encoder"):
        told = config.get("architectures")
        yield from (str(one) for one in (told if isinstance(told, list) else []))
        return
    told = config.get("tokenizer_class" if kind.startswith("tokenizer") else "_class_name")
    if told is not None:
        yield str(told)


def _reason(kind: str, name: str) -> str:
    wanted = {
        "scheduler": Sentence(
            "made for another training than DDPM's, whose noise levels are not computed here"
        ),
        "flow_scheduler": Sentence("made for another training than flow matching"),
        "unet": Sentence("only UNet2DConditionModel loads"),
        "transformer": Sentence("only SD3Transformer2DModel loads"),
        "vae": Sentence("only AutoencoderKL loads"),
    }
    why = wanted.get(kind, Sentence("only those of CLIP load"))
    return Sentence("a {name}; {why}", name=_short(name).strip("'"), why=why)


def _each(key: str, value: object) -> list[object]:
    """The values that a field gives: those of a list where it has one for each level."""
    return list(value) if isinstance(value, list) and key.endswith("_block_types") else [value]


def _among(value: object, known: tuple[Any, ...]) -> bool:
    return any(value == one and isinstance(value, bool) <= isinstance(one, bool) for one in known)


def _empty(value: object) -> bool:
    return value is None or value is False or value in ("", [], {})


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:58]}…"


def schedule(config: Config) -> dict[str, Any]:
    """A scheduler's config with what its class takes for what it does not say."""
    start, end, course = SCHEDULERS.get(str(config.get("_class_name")), _USUAL)
    own = {key: value for key, value in config.items() if value is not None}
    return {"beta_start": start, "beta_end": end, "beta_schedule": course, **own}


# --- The folder as a whole ------------------------------------------------------------------------------

PARTS = _frozen("unet vae text_encoder text_encoder_2 tokenizer tokenizer_2 scheduler")
NOT_ASKED = _frozen(
    "safety_checker feature_extractor image_encoder watermark"
)  # change no picture of a text
BESIDE = _frozen(  # what a pipeline of the same model does beside it
    "controlnet adapter inverse_scheduler depth_estimator caption_generator caption_processor low_res_scheduler"
)
SAID = _frozen(
    "requires_safety_checker force_zeros_for_empty_prompt requires_aesthetics_score add_watermarker force_upcast"
)
OTHER_PIPELINES = _frozen("is_cosxl_edit is_unidiffuser")


def index_checked(index: Config, where: object) -> list[str]:
    """Sentences about what is not used of a model_index.json. `ModelFileError` for parts that are none of ours."""
    remarks: list[str] = []
    pipeline = str(index.get("_class_name", "StableDiffusionPipeline"))
    if "StableDiffusion" not in pipeline:
        remarks.append(
            Sentence(
                "{where}: a {pipeline} is not known; it is used as Stable Diffusion is",
                where=where,
                pipeline=_short(pipeline),
            )
        )
    for key, value in index.items():
        if key.startswith("_") or _empty(value) or value == [None, None]:
            continue
        if key in NOT_ASKED | SAID:
            continue
        if key in OTHER_PIPELINES:
            raise ModelFileError(
                Sentence(
                    "{where}: {part} is {value}; such models cannot be loaded",
                    where=where,
                    part=key,
                    value=_short(value),
                )
            )
        if key in PARTS:
            name = str(value[-1]) if isinstance(value, list) and value else ""
            if name and name not in FIELDS[key].classes:
                raise ModelFileError(
                    Sentence(
                        "{where}: its {part} is {reason}",
                        where=where,
                        part=key,
                        reason=_reason(key, name),
                    )
                )
        elif key in BESIDE:
            remarks.append(Sentence("{where}: its {part} is not used", where=where, part=key))
        elif isinstance(value, list):
            raise ModelFileError(
                Sentence(
                    "{where}: has a part {part} that is not known here; only "
                    "{those_that_load} load",
                    where=where,
                    part=_short(key),
                    those_that_load=THOSE_THAT_LOAD,
                )
            )
        else:
            remarks.append(
                Sentence(
                    "{where}: {part} is not known, and is not used", where=where, part=_short(key)
                )
            )
    return remarks
