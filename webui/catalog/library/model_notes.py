"""What the user says of a model: checked, and written to the A1111 file beside it where there is one."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from webui.catalog.formats.sidecars import read_json
from webui.errors import ModelFileError, RequestError, Sentence
from webui.types import ModelNotes

__all__ = ["changed", "written"]

LONGEST = 20_000  # characters of a text
WEIGHT_MAX = 10
TEXTS = ("description", "activation_text", "negative_text", "notes")
CHECKPOINTS_ONLY = ("vae", "prediction")
PREDICTIONS = ("epsilon", "v_prediction")
KEYS = {  # A1111's names
    **{"description": "description", "activation_text": "activation text", "notes": "notes"},
    **{"negative_text": "negative text", "preferred_weight": "preferred weight", "vae": "vae"},
    "prediction": "prediction_type",
}


def changed(notes: ModelNotes, values: Mapping[str, Any], kind: str) -> ModelNotes:
    """`notes` with `values` by the names of its fields. `RequestError` names the one that is wrong."""
    for name, value in values.items():
        if name not in KEYS or (name in CHECKPOINTS_ONLY and kind != "checkpoint"):
            raise RequestError(
                Sentence("{name} is nothing that can be said of this", name=repr(name)), name
            )
        if name == "preferred_weight":
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if value is not None and not (
                number and math.isfinite(value) and abs(value) <= WEIGHT_MAX
            ):
                raise RequestError(
                    Sentence(
                        "preferred weight: use a number up to {weight_max}, or nothing",
                        weight_max=WEIGHT_MAX,
                    ),
                    name,
                )
        elif name == "prediction":
            if value is not None and value not in PREDICTIONS:
                raise RequestError(
                    Sentence(
                        "prediction: use {predictions} or nothing",
                        predictions=", ".join(PREDICTIONS),
                    ),
                    name,
                )
        elif not isinstance(value, str) or len(value) > LONGEST:
            raise RequestError(
                Sentence(
                    "{name}: give a text of at most {longest} characters",
                    name=name,
                    longest=LONGEST,
                ),
                name,
            )
    return replace(notes, **values)


def written(sidecar: Path, names: Mapping[str, Any], notes: ModelNotes) -> bool:
    """Puts the fields `names` of `notes` into the file beside a model and leaves the rest of it alone. False where
    that cannot be done: a damaged file, or a folder that is not ours to write."""
    try:
        told = read_json(sidecar)
    except ModelFileError:
        return False
    for name in names:
        value = getattr(notes, name)
        if name == "prediction" and value is None:
            told.pop(KEYS[name], None)
        else:
            told[KEYS[name]] = 0 if name == "preferred_weight" and value is None else value
    part = sidecar.with_name(f".{sidecar.name}.part")
    try:
        part.write_text(json.dumps(told, indent=4, ensure_ascii=False) + "\n", encoding="utf-8")
        os.replace(part, sidecar)
    except OSError:
        with suppress(OSError):
            part.unlink()
        return False
    return True
