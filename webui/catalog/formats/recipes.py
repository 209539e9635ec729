"""What a merge is made of, and how the file that comes of it says so."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from webui.catalog.formats.header import Header
from webui.errors import ModelFileError, Sentence

__all__ = ["DTYPES", "METHODS", "Recipe", "metadata_of"]

METHODS = {"weighted-sum": 2, "add-difference": 3, "none": 1}  # and how many models each takes
LABELS = {
    "weighted-sum": "Weighted sum",
    "add-difference": "Add difference",
    "none": "No interpolation",
}
DTYPES = {"fp16": "F16", "bf16": "BF16", "fp32": "F32"}
KEPT_METADATA = ("modelspec.architecture", "modelspec.prediction_type", "v_pred", "ztsnr")


@dataclass(frozen=True, slots=True)
class Recipe:
    """What to merge: `models` are A, B, C as `method` needs them (A alone with "none").

    weighted-sum: A·(1 - alpha) + B·alpha; add-difference: A + (B - C)·alpha. `dtype` is a key of `DTYPES`, None for
    A's own. `vae` replaces A's. Tensors whose name `discard` finds are left out.
    """

    models: tuple[Path, ...]
    method: str = "weighted-sum"
    alpha: float = 0.3
    dtype: str | None = None
    vae: Path | None = None
    discard: str = ""

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ModelFileError(
                Sentence(
                    "method {method}: use {methods}",
                    method=repr(self.method),
                    methods=", ".join(METHODS),
                )
            )
        if len(self.models) != METHODS[self.method]:
            raise ModelFileError(
                Sentence(
                    "{method} takes {methods} models, not {number}",
                    method=self.method,
                    methods=METHODS[self.method],
                    number=len(self.models),
                )
            )
        if not math.isfinite(self.alpha):
            raise ModelFileError(Sentence("alpha is not a number"))
        try:
            re.compile(self.discard)
        except re.error as fault:
            raise ModelFileError(
                Sentence("discard: no regular expression ({why})", why=fault)
            ) from fault


def metadata_of(
    recipe: Recipe, name: str, headers: Sequence[Header], hashes: Sequence[str], inpainting: bool
) -> dict[str, str]:
    """The recipe under the names that A1111 gives it, and what A says of its kind."""
    own = headers[0].metadata
    padded = [*hashes, None, None]
    told = {
        "type": "easel",
        "primary_model_hash": padded[0],
        "secondary_model_hash": padded[1],
        "tertiary_model_hash": padded[2],
        "interp_method": LABELS[recipe.method],
        "multiplier": recipe.alpha,
        "save_as_half": recipe.dtype == "fp16",
        "dtype": recipe.dtype,
        "custom_name": name,
        "bake_in_vae": recipe.vae.name if recipe.vae else None,
        "discard_weights": recipe.discard,
        "is_inpainting": inpainting,
    }
    models: dict[str, Any] = {}
    for header, digest in zip(headers, hashes, strict=True):
        models |= _earlier(header.metadata, "sd_merge_models")
        models[digest] = {
            "name": header.path.name,
            "sd_merge_recipe": _earlier(header.metadata, "sd_merge_recipe") or None,
        }
    return {
        "format": "pt",
        **{key: own[key] for key in KEPT_METADATA if key in own},
        "modelspec.title": name,
        "modelspec.merged_from": ", ".join(header.path.stem for header in headers),
        "sd_merge_recipe": json.dumps(told),
        "sd_merge_models": json.dumps(models),
    }


def _earlier(metadata: Mapping[str, str], key: str) -> dict[str, Any]:
    """What an earlier merge wrote, empty where it is not sound."""
    try:
        found = json.loads(metadata.get(key, "{}"))
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
