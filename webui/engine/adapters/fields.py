"""The fields of peft's configs, and what each does to the numbers. Knows peft 0.21's; a test asks for those to come.

A field that is in none of these tables is one that is not known here; it is harmless where it is off (null, false, 0,
empty), as everything that is optional is in peft.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["BOOLEANS", "HARMLESS", "KINDS", "OFF", "SAME", "USED"]

# What is read of each kind that is known, by peft's name of it.
USED: Mapping[str, frozenset[str]] = {
    "LORA": frozenset({
        "r", "lora_alpha", "alpha_pattern", "rank_pattern", "use_rslora", "use_dora", "bias", "modules_to_save",
    }),
    "LOHA": frozenset({"r", "alpha", "alpha_pattern", "rank_pattern", "modules_to_save"}),
    "LOKR": frozenset({"r", "alpha", "alpha_pattern", "rank_pattern", "modules_to_save"}),
    "OFT": frozenset({
        "use_cayley_neumann", "num_cayley_neumann_terms", "coft", "eps", "bias", "modules_to_save",
    }),
    "LN_TUNING": frozenset({"modules_to_save"}),
}  # fmt: skip
KINDS = tuple(USED)

# Of training, of finding layers (which the tensors' names tell), of ranks and blocks (which their shapes tell).
HARMLESS = frozenset({
    "peft_type", "peft_version", "auto_mapping", "base_model_name_or_path", "inference_mode", "revision", "task_type",
    "target_modules", "exclude_modules", "layers_to_transform", "layers_pattern", "ensure_weight_tying",
    "lora_dropout", "rank_dropout", "module_dropout", "rank_dropout_scale", "merge_weights",
    "megatron_core", "runtime_config", "eva_config", "qalora_group_size", "lora_bias", "fan_in_fan_out",
    "use_effective_conv2d", "decompose_both", "decompose_factor", "block_share", "oft_block_size", "r",
})  # fmt: skip

# Fields with values that change nothing; any other value does.
SAME: Mapping[str, tuple[Any, ...]] = {
    "bias": ("none", "all", "lora_only", "oft_only"),
    "init_lora_weights": (
        True,
        "gaussian",
        "eva",
        "orthogonal",
        "mica",
    ),  # others change the model too
    "init_weights": (True, "lycoris"),
}

# Harmless where they are off, and not known here where they are on.
OFF = frozenset({
    "megatron_config", "trainable_token_indices", "loftq_config", "corda_config", "lora_ga_config", "velora_config",
    "alora_invocation_tokens", "use_qalora", "monteclora_config", "layer_replication", "target_parameters",
    "use_bdlora", "arrow_config", "kasa_config",
})  # fmt: skip

BOOLEANS = frozenset({"use_rslora", "use_dora", "use_cayley_neumann", "coft"})
