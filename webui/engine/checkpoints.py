"""The models in the models folders, told from small JSON files without loading a weight (and without torch).

A bad entry becomes a card whose `problem` names the file and its fault; it never breaks the list.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from webui.errors import ModelFileError
from webui.types import ModelCard

__all__ = ["list_models", "read_json", "weight_files"]

STARTER, CHECKPOINTS, BESIDE = "starter", "Stable-diffusion", "easel.json"
PICKLES = (".ckpt", ".pt", ".pth")
FAMILIES = {
    768: "Stable Diffusion 1",
    1024: "Stable Diffusion 2",
}  # by the width of the text encoder
WEIGHTS = {
    "unet": "diffusion_pytorch_model",
    "vae": "diffusion_pytorch_model",
    "text_encoder": "model",
}
DEEPEST = 8  # folders below Stable-diffusion/
CONVERT = (
    "convert it once with diffusers, on a machine where you trust the file: "
    "StableDiffusionPipeline.from_pretrained(FOLDER).save_pretrained(NEW, safe_serialization=True)"
)


def list_models(dirs: Sequence[Path]) -> list[ModelCard]:
    """Every model below `dirs`: the starter first, then by folder and name.

    Of two models with one name the first keeps it; the other is listed with a problem that says so.
    """
    cards: dict[str, ModelCard] = {}
    for models_dir in dirs:
        if (models_dir / STARTER).is_dir():
            _add(cards, _card(models_dir / STARTER, STARTER))
    for models_dir in dirs:
        for path, name, problem in _walk(models_dir / CHECKPOINTS):
            _add(cards, ModelCard(name, path, problem=problem) if problem else _card(path, name))
    return list(cards.values())


def _add(cards: dict[str, ModelCard], card: ModelCard) -> None:
    if card.name not in cards:
        cards[card.name] = card
        return
    problem = f"{card.path}: another model is called {card.name!r} already; rename this one"
    name = next(n for i in range(2, 10_000) if (n := f"{card.name} ({i})") not in cards)
    cards[name] = replace(card, name=name, problem=problem)


# --- Finding --------------------------------------------------------------------------------------


def _walk(top: Path) -> Iterator[tuple[Path, str, str | None]]:
    """Paths of models below `top`, each with its name and, where it cannot be a model, why."""
    seen: set[Path] = set()

    def folder(path: Path, depth: int) -> Iterator[tuple[Path, str, str | None]]:
        try:
            real = path.resolve()
            entries = sorted(path.iterdir(), key=lambda entry: entry.name.lower())
        except (OSError, RuntimeError) as fault:  # RuntimeError: a symlink loop, before Python 3.13
            yield path, _name(path, top), f"{path}: cannot be read ({_said(fault)})"
            return
        if real in seen or depth > DEEPEST:
            return
        seen.add(real)
        for entry in entries:
            if not entry.name.startswith("."):
                yield from one(entry, depth)

    def one(path: Path, depth: int) -> Iterator[tuple[Path, str, str | None]]:
        name = _name(path, top)
        try:
            if path.is_dir():
                if _is_model(path):
                    yield path, name, None
                else:
                    yield from folder(path, depth + 1)
            elif path.is_symlink() and not path.exists():
                yield path, name, f"{path}: a link that leads nowhere"
            elif problem := _file_problem(path):
                yield path, name, problem
        except (OSError, RuntimeError) as fault:
            yield path, name, f"{path}: cannot be read ({_said(fault)})"

    if top.is_dir():
        yield from folder(top, 0)


def _name(path: Path, top: Path) -> str:
    return path.relative_to(top).as_posix()


def _is_model(folder: Path) -> bool:
    return (folder / "model_index.json").is_file() or (folder / "unet" / "config.json").is_file()


def _file_problem(path: Path) -> str | None:
    """Why a file beside the model folders is not used, or None where it is no checkpoint."""
    kind = path.suffix.lower()
    if kind == ".safetensors":
        return (
            f"{path.name}: single-file checkpoints cannot be loaded yet; "
            "use the model's diffusers folder"
        )
    if kind in PICKLES:
        return f"{path.name}: pickled files can run code when opened and are refused; get it as safetensors"
    return None


# --- Reading a model's folder ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Kind:
    family: str
    latent_channels: int
    inpainting: bool


def _card(folder: Path, name: str) -> ModelCard:
    try:
        kind = _kind(folder)
        beside = _beside(folder)
    except ModelFileError as fault:
        return ModelCard(name, folder, problem=str(fault))
    return ModelCard(
        name,
        folder,
        family=kind.family,
        latent_channels=kind.latent_channels,
        inpainting=kind.inpainting,
        defaults=MappingProxyType(dict(beside.get("defaults", {}))),
        prompts=tuple(beside.get("prompts", ())),
    )


def _kind(folder: Path) -> _Kind:
    """What the configs say; `ModelFileError` for anything that is not of a Stable Diffusion 1 kind."""
    index = folder / "model_index.json"
    pipeline = str(read_json(index).get("_class_name", "")) if index.is_file() else ""
    unet_config = folder / "unet" / "config.json"
    if not unet_config.is_file():
        what = f" ({pipeline})" if pipeline else ""
        raise ModelFileError(
            f"{folder}: no unet/config.json{what}; only Stable Diffusion 1 kinds load"
        )
    unet = read_json(unet_config)
    if (folder / "text_encoder_2").exists() or "XL" in pipeline or unet.get("addition_embed_type"):
        raise ModelFileError(f"{folder}: a Stable Diffusion XL model; those cannot be loaded yet")
    if unet.get("_class_name", "UNet2DConditionModel") != "UNet2DConditionModel":
        raise ModelFileError(
            f"{unet_config}: a {unet['_class_name']}; only UNet2DConditionModel loads"
        )
    vae = read_json(folder / "vae" / "config.json")
    text = read_json(folder / "text_encoder" / "config.json")
    read_json(folder / "scheduler" / "scheduler_config.json")
    for part in WEIGHTS:
        weight_files(folder, part)

    channels = _whole(vae, "latent_channels", folder / "vae" / "config.json", 4)
    inputs = _whole(unet, "in_channels", unet_config, 4)
    if inputs not in (channels, 2 * channels + 1):
        raise ModelFileError(
            f"{unet_config}: {inputs} input channels; a VAE of {channels} channels goes with "
            f"{channels}, or {2 * channels + 1} for inpainting"
        )
    width = _whole(text, "hidden_size", folder / "text_encoder" / "config.json", 768)
    if unet.get("cross_attention_dim", 1280) != width:
        raise ModelFileError(
            f"{unet_config}: made for a text encoder of width {unet.get('cross_attention_dim')}, "
            f"but text_encoder/ has width {width}"
        )
    family = FAMILIES.get(width, "Stable Diffusion 1 kind")
    return _Kind(family, channels, inputs != channels)


def _beside(folder: Path) -> Mapping[str, Any]:
    """The model's easel.json, empty where there is none."""
    path = folder / BESIDE
    if not path.is_file():
        return {}
    beside = read_json(path)
    if not isinstance(beside.get("defaults", {}), dict):
        raise ModelFileError(f"{path}: 'defaults' is not an object of request fields")
    prompts = beside.get("prompts", [])
    if not isinstance(prompts, list) or not all(isinstance(prompt, str) for prompt in prompts):
        raise ModelFileError(f"{path}: 'prompts' is not a list of texts")
    return beside


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object at `path`; `ModelFileError` naming the file where it is missing or damaged."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelFileError(f"{path}: is missing") from None
    except OSError as fault:
        raise ModelFileError(f"{path}: cannot be read ({_said(fault)})") from fault
    except (ValueError, RecursionError) as fault:
        raise ModelFileError(f"{path}: is not JSON ({fault})") from fault
    if not isinstance(found, dict):
        raise ModelFileError(f"{path}: holds no JSON object")
    return found


def weight_files(folder: Path, part: str) -> list[Path]:
    """The safetensors files of `part` ("unet", "vae", "text_encoder"): one, or the shards of its index.

    A full-precision file is taken before an fp16 one. `ModelFileError` where there is none.
    """
    base, place = WEIGHTS[part], folder / part
    for variant in ("", ".fp16"):
        one = place / f"{base}{variant}.safetensors"
        if one.is_file():
            return [one]
        index = place / f"{base}.safetensors.index{variant}.json"
        if index.is_file():
            shards = read_json(index).get("weight_map")
            if not isinstance(shards, dict) or not shards:
                raise ModelFileError(f"{index}: names no files")
            files = [place / str(name) for name in sorted(set(shards.values()))]
            missing = [file for file in files if file.parent != place or not file.is_file()]
            if missing:
                raise ModelFileError(f"{missing[0]}: is missing, though {index.name} names it")
            return files
    pickles = sorted(place.glob("*.bin")) if place.is_dir() else []
    if pickles:
        raise ModelFileError(
            f"{pickles[0]}: pickled weights can run code and are refused; {CONVERT}"
        )
    raise ModelFileError(f"{place / base}.safetensors: is missing")


def _whole(config: Mapping[str, Any], key: str, path: Path, default: int) -> int:
    value = config.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ModelFileError(f"{path}: {key} is {value!r}, not a whole number")
    return value


def _said(fault: Exception) -> str:
    return getattr(fault, "strerror", None) or str(fault)
