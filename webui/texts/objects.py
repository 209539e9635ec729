"""Settings that are JSON. Of Fooocus, SwarmUI and their like those fields are read that mean what A1111's do.

Everything else stays under its own name, so that it can be told. JSON without such fields is no settings.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

__all__ = ["BLANKS", "fields_of", "is_json", "looks_like_json", "settings_in"]

# What may stand at the ends of a line unseen: all that Python calls blank, marks of no width, and NUL.
BLANKS = "".join(filter(str.isspace, map(chr, range(0x3001)))) + "\u200b\u2060\ufeff\0"
# What the fields are called, folded as `_folded` does, and their keys in A1111's texts.
FIELDS: Mapping[str, str] = {
    "prompt": "Prompt",
    "negativeprompt": "Negative prompt",
    "uc": "Negative prompt",
    "steps": "Steps",
    "sampler": "Sampler",
    "samplername": "Sampler",
    "scheduler": "Schedule type",
    "cfgscale": "CFG scale",
    "guidancescale": "CFG scale",
    "seed": "Seed",
    "size": "Size",
    "resolution": "Size",
    "model": "Model",
    "basemodel": "Model",
    "basemodelhash": "Model hash",
    "modelhash": "Model hash",
    "version": "Version",
    "swarmversion": "Version",
}
SAMPLING = (
    "Steps",
    "CFG scale",
    "Seed",
)  # one of them, beside a prompt, makes settings of an object
SAMPLERS: Mapping[str, str] = {  # ComfyUI's names, which Fooocus and SwarmUI use, and A1111's
    "euler": "Euler",
    "euler_ancestral": "Euler a",
    "euler_a": "Euler a",
    "heun": "Heun",
    "lms": "LMS",
    "ddim": "DDIM",
    "dpm_2": "DPM2",
    "dpm_2_ancestral": "DPM2 a",
    "dpm_fast": "DPM fast",
    "dpm_adaptive": "DPM adaptive",
    "dpmpp_2s_ancestral": "DPM++ 2S a",
    "dpmpp_sde": "DPM++ SDE",
    "dpmpp_2m": "DPM++ 2M",
    "dpmpp_2m_sde": "DPM++ 2M SDE",
    "dpmpp_3m_sde": "DPM++ 3M SDE",
    "uni_pc": "UniPC",
    "lcm": "LCM",
}
SIZE = re.compile(r"\D*(\d{1,6})\D+(\d{1,6})\D*")
LIKE = re.compile(r'[\[\s]*\{\s*"(?:[^"\\]|\\.)*+"\s*:')


def looks_like_json(text: str) -> bool:
    """Whether a text begins as an object of JSON does; it may be cut off further on."""
    return LIKE.match(text) is not None


def is_json(text: str) -> bool:
    """Whether a text as a whole is JSON."""
    return fields_of(text) is not None


def fields_of(text: str) -> dict[str, str] | None:
    """The fields of a text that is JSON, under A1111's keys, none where they are no settings; None for other texts."""
    plain = text.strip(BLANKS)
    if plain[:1] + plain[-1:] not in ("{}", "[]"):
        return None
    try:
        told = json.loads(plain)
    except (ValueError, RecursionError):
        return None
    if not isinstance(told, dict):
        return {}
    within = told.get("sui_image_params")
    if isinstance(within, dict):  # SwarmUI's
        told = {**within, **{key: told[key] for key in told if key != "sui_image_params"}}
    return settings_in(told)


def settings_in(told: Mapping[str, Any]) -> dict[str, str]:
    """Fields by their names as programs call them, under A1111's keys; none where they are no settings."""
    found: dict[str, str] = {}
    others: dict[str, str] = {}
    for name, value in told.items():
        key = FIELDS.get(_folded(name))
        if key is None or key in found or isinstance(value, dict | list | None):
            others[name] = _plain(value)
        else:
            found[key] = _plain(value)
    if not isinstance(told.get("prompt", told.get("Prompt")), str) or not any(
        key in found for key in SAMPLING
    ):
        return {}
    if "Size" not in found and (sides := _sides(others)):
        found["Size"] = "x".join(others.pop(side) for side in sides)
    if (size := SIZE.fullmatch(found.get("Size", ""))) is not None:
        found["Size"] = f"{size[1]}x{size[2]}"
    if "Sampler" in found:
        name = found["Sampler"].removesuffix("_gpu").removeprefix("k_")
        found["Sampler"] = SAMPLERS.get(name, found["Sampler"])
    known = {
        " ".join(re.sub(r"[^\w \-/]+", " ", name).split()): text for name, text in others.items()
    }
    return {**{key: text for key, text in known.items() if key and key not in found}, **found}


def _sides(others: Mapping[str, str]) -> tuple[str, ...]:
    """What width and height are called, if both are there."""
    called = {_folded(name): name for name in others}
    both = ("width", "height")
    return tuple(called[side] for side in both) if called.keys() >= set(both) else ()


def _folded(name: str) -> str:
    return re.sub(r"[\W_]+", "", name).lower()


def _plain(value: object) -> str:
    """A value as A1111 writes it: whole numbers without a point, other than text and numbers as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return json.dumps(value, ensure_ascii=False)
