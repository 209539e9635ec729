"""A diffusers folder: whether it is a model and of which family, told from its small JSON files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from webui.catalog.families import SD1, SD2, SDXL, SDXL_REFINER, THOSE_THAT_LOAD, Family
from webui.catalog.formats.configs import checked, index_checked, schedule
from webui.catalog.formats.recognition import PARTS, Recognised
from webui.catalog.formats.sidecars import read_json
from webui.diffusion.noise_schedules import model_sigmas
from webui.errors import ModelFileError, Sentence

__all__ = [
    "TOKENIZERS",
    "WEIGHTS",
    "Folder",
    "configs_checked",
    "is_model",
    "read_folder",
    "weight_files",
]

WEIGHTS = {
    "unet": "diffusion_pytorch_model",
    "transformer": "diffusion_pytorch_model",
    "vae": "diffusion_pytorch_model",
    "text_encoder": "model",
    "text_encoder_2": "model",
}
# Of the same weights, the first that is there: whole numbers before halves, averages before what they are of. Other
# variants are taken where there is nothing else.
VARIANTS = ("", ".fp32", ".fp16", ".bf16", ".ema_only", ".ema", ".non_ema")
TOKENIZERS = {"text_encoder": "tokenizer", "text_encoder_2": "tokenizer_2"}
SHOWN = 3  # missing files that are named
CONVERT = Sentence(
    "convert it once with diffusers, on a machine where you trust the file: "
    "StableDiffusionPipeline.from_pretrained(FOLDER).save_pretrained(NEW, safe_serialization=True)"
)


@dataclass(frozen=True, slots=True)
class Folder:
    """What a folder is, the file that stands for it (the first of its U-Net's), and the bytes of all its weights."""

    recognised: Recognised
    weights: Path
    size: int


def is_model(folder: Path) -> bool:
    return (folder / "model_index.json").is_file() or (folder / "unet" / "config.json").is_file()


def read_folder(folder: Path) -> Folder:
    """What the configs say; `ModelFileError` for anything that cannot be loaded."""
    index = folder / "model_index.json"
    told = read_json(index) if index.is_file() else {}
    pipeline = str(told.get("_class_name", ""))
    unet_config = folder / "unet" / "config.json"
    if not unet_config.is_file():
        what = f" ({pipeline})" if pipeline else ""
        raise ModelFileError(
            Sentence(
                "{folder}: no unet/config.json{what}; only {those_that_load} load",
                folder=folder,
                what=what,
                those_that_load=THOSE_THAT_LOAD,
            )
        )
    unet = read_json(unet_config)
    family = _family(folder, unet, unet_config)
    configs_checked(folder, family)
    if not family.sizes and ("XL" in pipeline or (folder / "text_encoder_2").exists()):
        raise ModelFileError(
            Sentence(
                "{folder}: the parts of an XL model around the U-Net of another", folder=folder
            )
        )
    vae = read_json(folder / "vae" / "config.json")
    widths = [
        _whole(read_json(path), "hidden_size", path, 768)
        for part in family.texts
        if (path := folder / part / "config.json")
    ]
    scheduler = folder / "scheduler" / "scheduler_config.json"
    noise = schedule(read_json(scheduler))
    prediction = noise.get("prediction_type", "epsilon")
    if prediction not in family.predictions:
        raise ModelFileError(
            Sentence(
                "{scheduler}: prediction_type {prediction} is not known",
                scheduler=scheduler,
                prediction=repr(prediction),
            )
        )
    try:
        model_sigmas(noise)
    except ModelFileError as fault:
        raise ModelFileError(
            Sentence("{scheduler}: {why}", scheduler=scheduler, why=fault)
        ) from fault
    files = [file for part in family.parts for file in weight_files(folder, part)]

    channels = _whole(vae, "latent_channels", folder / "vae" / "config.json", 4)
    inputs = _whole(unet, "in_channels", unet_config, 4)
    if inputs not in (channels, 2 * channels + 1):
        raise ModelFileError(
            Sentence(
                "{unet_config}: {inputs} input channels; a VAE of {channels} channels "
                "goes with {channels}, or {channels2} for inpainting",
                unet_config=unet_config,
                inputs=inputs,
                channels=channels,
                channels2=2 * channels + 1,
            )
        )
    context = unet.get("cross_attention_dim", 1280)
    if context != sum(widths):
        both = " + ".join(map(str, widths))
        raise ModelFileError(
            Sentence(
                "{unet_config}: made for a text encoder of width {context}, but the "
                "folder's has width {both}",
                unet_config=unet_config,
                context=context,
                both=both,
            )
        )
    if family.sizes:
        _must_be_told(folder, family, unet, unet_config)
    recognised = Recognised(
        layout="folder",
        kind=family.key,
        family=family.called(context),
        inpainting=inputs != channels,
        prediction=prediction,
        zero_snr=bool(noise.get("rescale_betas_zero_snr")),  # as diffusers asks it
        context_dim=context,
        parts=frozenset(part for part in PARTS if part in family.parts),
        latent_channels=channels,
    )
    return Folder(recognised, files[0], sum(file.stat().st_size for file in files))


def configs_checked(folder: Path, family: Family) -> list[str]:
    """Sentences about what is not used of the configs of a folder. `ModelFileError` for what cannot be computed."""
    index = folder / "model_index.json"
    offered = family.offered and index.is_file()
    remarks = index_checked(read_json(index), index) if offered else []
    files = {part: folder / part / "config.json" for part in family.parts}
    files[family.scheduler] = folder / "scheduler" / "scheduler_config.json"
    for part in family.texts:
        place = folder / TOKENIZERS[part] / "tokenizer_config.json"
        if place.is_file():
            files[TOKENIZERS[part]] = place
    for part, path in files.items():
        remarks += checked(part, read_json(path), path)
    return [remark.replace(str(folder), folder.name) for remark in remarks]


def _must_be_told(folder: Path, family: Family, unet: Mapping[str, Any], path: Path) -> None:
    """Raises `ModelFileError` where the U-Net is told more or fewer numbers beside the text than there are."""
    encoder = folder / "text_encoder_2" / "config.json"
    pooled = _whole(read_json(encoder), "projection_dim", encoder, 512)
    each = _whole(unet, "addition_time_embed_dim", path, 256)
    told, there = (
        unet.get("projection_class_embeddings_input_dim"),
        pooled + family.size_count * each,
    )
    if told != there:
        raise ModelFileError(
            Sentence(
                "{path}: told {told} numbers beside the text, but the folder's second "
                "text encoder and the picture's sizes are {there}",
                path=path,
                told=told,
                there=there,
            )
        )


def _family(folder: Path, unet: Mapping[str, Any], path: Path) -> Family:
    """By what the U-Net is told beside the text, and by the text encoders: Stable Diffusion 2 reads OpenCLIP's."""
    added, classes = unet.get("addition_embed_type"), unet.get("class_embed_type")
    if added not in (None, "text_time") or classes is not None:
        raise ModelFileError(
            Sentence(
                "{path}: its U-Net takes {value} embeddings; such models cannot be loaded",
                path=path,
                value=repr(added or classes),
            )
        )
    if added is None:
        text = read_json(folder / "text_encoder" / "config.json")
        return SD2 if text.get("hidden_act") == "gelu" else SD1
    return SDXL if (folder / "text_encoder").is_dir() else SDXL_REFINER


def weight_files(folder: Path, part: str) -> list[Path]:
    """The safetensors files of `part` (a key of `WEIGHTS`): one, or the shards of its index.

    The first of `VARIANTS` that is there is taken. `ModelFileError` where there is none.
    """
    base, place = WEIGHTS[part], folder / part
    for variant in (*VARIANTS, *_others(place, base)):
        one = place / f"{base}{variant}.safetensors"
        if one.is_file():
            return [one]
        for ending in (
            f".safetensors.index{variant}.json",
            f"{variant}.safetensors.index.json",
        ):
            index = place / f"{base}{ending}"
            if index.is_file():
                return sorted({place / file for file in shards(index).values()})
    pickles = sorted(place.glob("*.bin")) if place.is_dir() else []
    if pickles:
        raise ModelFileError(
            Sentence(
                "{pickles}: pickled weights can run code and are refused; {convert}",
                pickles=pickles[0],
                convert=CONVERT,
            )
        )
    raise ModelFileError(Sentence("{place}.safetensors: is missing", place=place / base))


def _others(place: Path, base: str) -> list[str]:
    """Variants of other names, as long as they are whole files: shards have numbers for names."""
    found = sorted(place.glob(f"{base}.*.safetensors")) if place.is_dir() else []
    names = [path.name.removeprefix(base).removesuffix(".safetensors") for path in found]
    return [name for name in names if "-of-" not in name]


def shards(index: Path) -> dict[str, str]:
    """The file, beside `index`, that each tensor lies in. `ModelFileError` names the files that are not there."""
    told = read_json(index, 16 << 20).get("weight_map")
    if not isinstance(told, dict) or not told:
        raise ModelFileError(Sentence("{index}: names no files", index=index))
    found = {str(key): str(file) for key, file in told.items()}
    files = sorted(set(found.values()))
    missing = [f for f in files if Path(f).name != f or not (index.parent / f).is_file()]
    if missing:
        more = f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
        raise ModelFileError(
            Sentence(
                "{index}: {number} of its {number2} files are missing: {missing}{more}",
                index=index,
                number=len(missing),
                number2=len(files),
                missing=", ".join(missing[:SHOWN]),
                more=more,
            )
        )
    return found


def _whole(config: Mapping[str, Any], key: str, path: Path, default: int) -> int:
    value = config.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ModelFileError(
            Sentence(
                "{path}: {part} is {value}, not a whole number",
                path=path,
                part=key,
                value=repr(value),
            )
        )
    return value
