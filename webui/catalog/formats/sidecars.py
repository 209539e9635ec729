"""The small files beside a checkpoint: A1111's inference configuration (.yaml) and user notes (.json), a preview.

They are read with limits and never run anything. A damaged one is a `ModelFileError` that names it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from webui.catalog.example_prompts import read_prompts
from webui.catalog.formats.header import open_regular, said
from webui.errors import ModelFileError, Sentence
from webui.types import ModelNotes

__all__ = ["PREVIEWS", "Configuration", "read_configuration", "read_json", "read_notes"]

LONGEST_YAML, LONGEST_JSON = 64 << 10, 4 << 20
PREVIEWS = (
    *(f".preview.{kind}" for kind in ("png", "jpg", "jpeg", "webp")),
    *(f".{kind}" for kind in ("png", "jpg", "jpeg", "webp")),
)
JSON_NOTES, CONFIGURATION = ".json", ".yaml"
PARAMETERIZATIONS = {"v": "v_prediction", "eps": "epsilon", "x0": "sample"}


@dataclass(frozen=True, slots=True)
class Configuration:
    """What an inference .yaml says that the weights do not: `prediction` is None where it is silent."""

    prediction: str | None
    zero_snr: bool


def read_configuration(path: Path) -> Configuration:
    """What the inference configuration at `path` says; `ModelFileError` where it is damaged."""
    import yaml  # type: ignore[import-untyped,unused-ignore]  # comes with huggingface_hub, and is not needed to list most folders

    text = _text(path, LONGEST_YAML)
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=loader)):
            raise ModelFileError(
                Sentence(
                    "{file}: refers to itself (an alias), which no config needs", file=path.name
                )
            )
        found = yaml.load(text, Loader=loader)  # a safe loader: plain values only
    except (yaml.YAMLError, RecursionError, ValueError) as fault:
        reason = str(fault).splitlines()[0] if str(fault) else "too deep"
        raise ModelFileError(
            Sentence("{file}: is not YAML ({reason})", file=path.name, reason=reason)
        ) from fault
    params: Any = found
    for key in ("model", "params"):
        params = params.get(key) if isinstance(params, dict) else None
    if not isinstance(params, dict):
        raise ModelFileError(
            Sentence(
                "{file}: has no model.params; it is no inference configuration", file=path.name
            )
        )
    _must_be_usual(path, params)
    said_ = str(params.get("parameterization", "")) or _denoiser(params)
    if said_ and said_ not in PARAMETERIZATIONS:
        raise ModelFileError(
            Sentence(
                "{file}: parameterization {said} is none that is computed here",
                file=path.name,
                said=repr(said_[:60]),
            )
        )
    zero = any(params.get(key) for key in ("zero_snr", "ztsnr", "rescale_betas_zero_snr"))
    return Configuration(PARAMETERIZATIONS.get(said_), zero)


# What such a file may say of the noise and the latents: that of all these families. Other values would paint wrongly.
USUAL: Mapping[str, tuple[float | str, ...]] = MappingProxyType(
    {
        "linear_start": (0.00085,),
        "linear_end": (0.012,),
        "timesteps": (1000,),
        "beta_schedule": ("linear",),  # of the roots, which diffusers calls scaled_linear
        "scale_factor": (0.18215, 0.13025),
        "v_posterior": (0, 0.0),
    }
)
OTHER_DENOISERS = ("EDM", "Flow", "RF")  # in the names of classes for another training


def _must_be_usual(path: Path, params: Mapping[str, Any]) -> None:
    """Raises `ModelFileError` for noise levels or latents that are not those of these families."""
    for key, usual in USUAL.items():
        if key in params and params[key] is not None and params[key] not in usual:
            raise ModelFileError(
                Sentence(
                    "{file}: {part} {params} is none that is computed here; usual is {usual}",
                    file=path.name,
                    part=key,
                    params=str(params[key])[:60],
                    usual=usual[0],
                )
            )
    denoiser = params.get("denoiser_config")
    inner = denoiser.get("params") if isinstance(denoiser, dict) else None
    for key in ("scaling_config", "discretization_config"):
        told = inner.get(key) if isinstance(inner, dict) else None
        name = str(told.get("target", "") if isinstance(told, dict) else "").rpartition(".")[2]
        if any(mark in name for mark in OTHER_DENOISERS):
            raise ModelFileError(
                Sentence(
                    "{file}: a {name}, which is not computed here", file=path.name, name=name[:60]
                )
            )


def _denoiser(params: Mapping[str, Any]) -> str:
    """The prediction out of an SDXL configuration, which names a class for it."""
    found: Any = params.get("denoiser_config")
    for key in ("params", "scaling_config", "target"):
        found = found.get(key) if isinstance(found, dict) else None
    name = str(found or "").rpartition(".")[2]
    return {"VScaling": "v", "EpsScaling": "eps"}.get(name, name)


def read_notes(path: Path) -> ModelNotes:
    """What the user's file at `path` says, in A1111's names or ours; what is of another kind is left out."""
    found = read_json(path)

    def text(key: str) -> str:
        value = found.get(key)
        return value if isinstance(value, str) else ""

    weight = found.get("preferred weight")
    numeric = isinstance(weight, (int, float)) and not isinstance(weight, bool)
    prediction = found.get("prediction_type", found.get("prediction"))
    v_pred, zero_snr = found.get("v_pred"), found.get("ztsnr")
    if prediction not in ("epsilon", "v_prediction", "sample"):
        prediction = PARAMETERIZATIONS.get(
            str(prediction), "v_prediction" if v_pred is True else None
        )
    defaults, prompts = found.get("defaults", {}), found.get("prompts", [])
    if not isinstance(defaults, dict):
        raise ModelFileError(
            Sentence("{file}: 'defaults' is not an object of request fields", file=path.name)
        )
    return ModelNotes(
        description=text("description"),
        activation_text=text("activation text"),
        negative_text=text("negative text"),
        preferred_weight=float(weight) if numeric and weight else None,  # A1111 writes 0 for none
        notes=text("notes"),
        vae="" if text("vae") in ("None", "Automatic") else text("vae"),
        sd_version=text("sd version"),
        prediction=prediction,
        zero_snr=zero_snr if isinstance(zero_snr, bool) else None,
        defaults=MappingProxyType(defaults),
        prompts=read_prompts(path.parent, prompts, path.name)[0],
    )


def read_json(path: Path, longest: int = LONGEST_JSON) -> dict[str, Any]:
    """The JSON object at `path`; `ModelFileError` naming the file where it is missing, too long or damaged."""
    text = _text(path, longest)
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as fault:
        raise ModelFileError(
            Sentence("{path}: is not JSON ({why})", path=path, why=fault)
        ) from fault
    if not isinstance(found, dict):
        raise ModelFileError(Sentence("{path}: holds no JSON object", path=path))
    return found


def _text(path: Path, longest: int) -> str:
    try:
        descriptor, size = open_regular(path)
    except ModelFileError as fault:
        if isinstance(fault.__cause__, FileNotFoundError):
            raise ModelFileError(Sentence("{path}: is missing", path=path)) from None
        raise
    with open(descriptor, "rb") as file:
        if size > longest:
            raise ModelFileError(
                Sentence(
                    "{path}: has {size} bytes; more than {longest} are not read",
                    path=path,
                    size=size,
                    longest=longest,
                )
            )
        try:
            return file.read(longest + 1).decode("utf-8-sig")
        except OSError as fault:
            raise ModelFileError(
                Sentence("{path}: cannot be read ({why})", path=path, why=said(fault))
            ) from fault
        except UnicodeDecodeError as fault:
            raise ModelFileError(
                Sentence("{path}: is not UTF-8 ({reason})", path=path, reason=fault.reason)
            ) from fault
