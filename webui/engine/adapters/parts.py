"""What the parts of a layer's change are called: the ends of an adapter file's keys. Knows names; knows no tensors."""

from __future__ import annotations

import re
from collections.abc import Mapping

__all__ = ["ALIASES", "BIASES", "KINDS", "NEEDED", "split"]

# The parts of each kind of difference, the first of which tells it.
KINDS: Mapping[str, tuple[str, ...]] = {
    "lora": ("lora_down", "lora_up", "lora_mid"),
    "embedding": ("lora_embedding_A", "lora_embedding_B"),
    "loha": ("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b", "hada_t1", "hada_t2"),
    "lokr w1": ("lokr_w1", "lokr_w2", "lokr_w2_a", "lokr_w2_b", "lokr_t2"),
    "lokr w1_a": ("lokr_w1_a", "lokr_w1_b", "lokr_w2", "lokr_w2_a", "lokr_w2_b", "lokr_t2"),
    "glora": ("glora_a1", "glora_a2", "glora_b1", "glora_b2", "glora_bm"),
    "difference": ("diff",),
}
NEEDED: Mapping[str, tuple[str, ...]] = {  # besides the first
    "lora": ("lora_up",),
    "embedding": ("lora_embedding_B",),
    "loha": ("hada_w1_b", "hada_w2_a", "hada_w2_b"),
    "lokr w1": (),
    "lokr w1_a": ("lokr_w1_b",),
    "glora": ("glora_a2", "glora_b1", "glora_b2"),
    "difference": (),
}
# The same things by other names: diffusers before peft, peft, LyCORIS, and layers trained as a whole.
ALIASES: Mapping[str, str] = {
    "lora_down.weight": "lora_down",
    "lora_up.weight": "lora_up",
    "lora_mid.weight": "lora_mid",
    "lora.down.weight": "lora_down",
    "lora.up.weight": "lora_up",
    "_lora.down.weight": "lora_down",
    "_lora.up.weight": "lora_up",
    "lora_A.weight": "lora_down",
    "lora_B.weight": "lora_up",
    "lora_B.bias": "up_bias",
    "lora_A.default.weight": "lora_down",
    "lora_B.default.weight": "lora_up",
    "lora_B.default.bias": "up_bias",
    "lora_magnitude_vector": "magnitude",
    "lora_magnitude_vector.weight": "magnitude",
    "lora_magnitude_vector.default.weight": "magnitude",
    "lora.alpha": "alpha",
    "a1.weight": "glora_a1",
    "a2.weight": "glora_a2",
    "b1.weight": "glora_b1",
    "b2.weight": "glora_b2",
    "bm.weight": "glora_bm",
    "w_norm": "diff",
    "b_norm": "diff_b",
    "oft_R.weight": "oft_R",
    "oft_R.default.weight": "oft_R",
    "oft_r": "oft_R",
    "oft_r.default": "oft_R",
    "oft_s": "rescale",
    "oft_s.default": "rescale",
}
BIASES = (
    "diff_b",
    "up_bias",
    "whole_bias",
)  # parts that change a layer's bias, by their first names
# peft's names may have one that somebody gave to the adapter in them.
OWN = re.compile(
    r"\.(lora_[AB]|oft_R|lora_magnitude_vector)\.(?!weight$|bias$)[^.]+(\.weight|\.bias)$"
    r"|\.(lora_embedding_[AB]|lora_magnitude_vector|oft_[rs]|hada_\w+|lokr_\w+)\.(?!weight$|bias$)[^.]+$"
)
OLD = re.compile(r"\.processor\.(to_\w+?)_lora\.(down\.weight|up\.weight|alpha)$")
OLD_TEXT = re.compile(r"\.to_(q|k|v|out)_lora\.(down\.weight|up\.weight|alpha)$")
# Whole tensors, which only peft has in an adapter: of `modules_to_save`, `bias` and tuned norms.
WHOLE = re.compile(
    r"^(base_model\.model\..+?)"
    r"(?:\.modules_to_save(?:\.default)?|\.base_layer|\.ln_tuning_layers(?:\.default)?)?\.(weight|bias)$"
)
PARTS = tuple(
    sorted(
        {
            *(name for kind, names in KINDS.items() for name in names if kind != "glora"),
            *(name for name in ALIASES if not name.startswith("_")),
            *("alpha", "dora_scale", "oft_blocks", "rescale", "diff_b"),
        }
        - {"lora_down", "lora_up", "lora_mid"},
        key=len,
        reverse=True,
    )
)


def split(key: str) -> tuple[str, str]:
    """A key's layer and which part of its change it is; the part is "" where it is none that we know."""
    if found := OLD.search(key):
        layer = "to_out.0" if found[1] == "to_out" else found[1]
        return f"{key[: found.start()]}.{layer}", f"lora.{found[2]}"
    if found := OLD_TEXT.search(key):
        return f"{key[: found.start()]}.{found[1]}_proj", f"lora.{found[2]}"
    key = key.replace(".lora_linear_layer.", ".lora.")
    for name in (key, OWN.sub(r".\1\3\2", key)):
        for part in PARTS:
            if name.endswith("." + part):
                return name[: -len(part) - 1], part
    if found := WHOLE.search(key):
        return found[1], "whole" if found[2] == "weight" else "whole_bias"
    return key, ""
