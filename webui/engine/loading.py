"""A model's folder to networks that are ready to run. Knows files, configs and weights; knows no request.

Weights come from safetensors only, and no code of a model's is ever run. The networks are built here rather than by
`from_pretrained`: that sets torch's default dtype for the whole process while it loads, and the engine's thread goes on
making tensors beside it.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from webui.engine import attention, checkpoints, vae
from webui.engine.placement import Placement
from webui.engine.preview import PreviewMap, fit, keep, read_map
from webui.engine.schedules import model_sigmas
from webui.engine.text.encoder import TextEncoder
from webui.engine.text.tokenizer import read as read_tokenizer
from webui.errors import ModelFileError
from webui.types import Model, ModelCard

__all__ = ["Networks", "load"]

PREDICTIONS = ("epsilon", "v_prediction", "sample")
OLD_VAE_NAMES = MappingProxyType(  # attention of VAEs saved before diffusers 0.18
    {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
)
log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Networks:
    """A loaded model. `scaling_factor` is between the VAE's latents and the U-Net's.

    `patching` is what the U-Net's attention looks at. `notes` are sentences about what had to be changed while it
    ran. Everything here belongs to the thread that owns the device.
    """

    model: Model
    unet: Any
    vae: Any
    text: TextEncoder
    scaling_factor: float
    preview: PreviewMap
    placement: Placement
    patching: attention.Patching
    notes: list[str] = field(default_factory=list)


def load(card: ModelCard, placement: Placement) -> Networks:
    """The networks of `card` on `placement`, in eval mode, without gradients.

    Every fault of its files raises `ModelFileError` naming the file.
    """
    if card.problem is not None:
        raise ModelFileError(card.problem)
    from diffusers import AutoencoderKL, UNet2DConditionModel

    folder = card.path
    scheduler = checkpoints.read_json(folder / "scheduler" / "scheduler_config.json")
    prediction = scheduler.get("prediction_type", "epsilon")
    if prediction not in PREDICTIONS:
        raise ModelFileError(f"{folder}/scheduler: prediction_type {prediction!r} is not known")

    device, dtype = placement.device, placement.dtype
    unet = _network(folder, "unet", UNet2DConditionModel.from_config, device, dtype)
    autoencoder = _network(folder, "vae", AutoencoderKL.from_config, device, placement.vae_dtype)
    text = _text(folder, device, dtype)
    patching = attention.Patching()
    for part, network in (("unet", unet), ("vae", autoencoder)):
        try:
            attention.install(network, placement.attention, patching if part == "unet" else None)
        except ModelFileError as fault:
            raise ModelFileError(f"{folder / part}: {fault}") from fault

    model = Model(
        name=card.name,
        latent_channels=card.latent_channels,
        inpainting=card.inpainting,
        sigmas=_sigmas(folder, scheduler),
        downscale=2 ** (len(autoencoder.config.block_out_channels) - 1),
        hash=_hash(checkpoints.weight_files(folder, "unet")),
        prediction=prediction,
        context_dim=int(unet.config.cross_attention_dim),
    )
    scaling = float(autoencoder.config.scaling_factor)
    blank = PreviewMap(((0.0, 0.0, 0.0),) * card.latent_channels, (0.5, 0.5, 0.5))
    networks = Networks(model, unet, autoencoder, text, scaling, blank, placement, patching)
    networks.preview = _preview(networks, folder / checkpoints.BESIDE)
    return networks


def _network(
    folder: Path,
    part: str,
    build: Callable[[Mapping[str, Any]], Any],
    device: torch.device,
    dtype: torch.dtype,
) -> Any:
    """The network of `folder / part`: built without memory, then given its weights."""
    path = folder / part / "config.json"
    config = checkpoints.read_json(path)
    try:
        with torch.device("meta"):  # of this thread only, and no time for random weights
            network = build(config)
    except Exception as fault:  # whatever diffusers and transformers raise for a wrong config
        raise ModelFileError(f"{path}: no network can be built from it ({fault})") from fault
    _fill(network, folder, part, device, dtype)
    return network


def _text(folder: Path, device: torch.device, dtype: torch.dtype) -> TextEncoder:
    from transformers import CLIPTextConfig, CLIPTextModel

    def build(config: Mapping[str, Any]) -> Any:
        return CLIPTextModel(CLIPTextConfig.from_dict(dict(config)))

    tokenizer = read_tokenizer(folder / "tokenizer")
    model = _network(folder, "text_encoder", build, device, dtype)
    rows = model.get_input_embeddings().num_embeddings
    if tokenizer.size > rows:
        raise ModelFileError(
            f"{folder / 'tokenizer'}: {tokenizer.size} tokens, but the text encoder knows {rows}"
        )
    return TextEncoder(tokenizer, model)


# --- Weights --------------------------------------------------------------------------------------


def _fill(
    network: nn.Module, folder: Path, part: str, device: torch.device, dtype: torch.dtype
) -> None:
    """Gives a network on the meta device the weights of its files, all of them and of the right shapes."""
    files = checkpoints.weight_files(folder, part)
    wanted = network.state_dict()
    found: dict[str, Tensor] = {}
    for file in files:
        try:
            with safe_open(file, framework="pt", device=str(device)) as weights:
                for key in weights.keys():
                    name = _current_name(key, wanted)
                    if name in wanted:
                        found[name] = weights.get_tensor(key).to(dtype, copy=True)
        except (SafetensorError, OSError, ValueError, RuntimeError) as fault:
            raise ModelFileError(f"{file}: cannot be read, get it again ({fault})") from fault
    for name, value in wanted.items():
        if name not in found:
            raise ModelFileError(f"{files[0]}: has no {name!r}; it is not the file for this config")
        if found[name].shape != value.shape:
            raise ModelFileError(
                f"{files[0]}: {name!r} has shape {tuple(found[name].shape)}, "
                f"the config wants {tuple(value.shape)}"
            )
    network.load_state_dict(found, assign=True)
    _recreate_positions(network, device)
    network.requires_grad_(False).eval()


def _current_name(key: str, wanted: Mapping[str, Tensor]) -> str:
    """The name that today's libraries give a weight that a file calls `key`."""
    if key in wanted:
        return key
    if key.startswith("text_model."):
        return key.removeprefix("text_model.")
    parts = key.split(".")
    if "attentions" in parts and len(parts) > 1:
        parts[-2] = OLD_VAE_NAMES.get(parts[-2], parts[-2])
    return ".".join(parts)


def _recreate_positions(network: nn.Module, device: torch.device) -> None:
    """CLIP's position numbers are a buffer that no file holds, so that they were left on the meta device."""
    for module in network.modules():
        for name, buffer in list(module.named_buffers(recurse=False)):
            if buffer.is_meta:
                assert name == "position_ids", f"an unknown buffer {name}"
                module.register_buffer(
                    name, torch.arange(buffer.shape[-1], device=device)[None], persistent=False
                )


def _hash(files: list[Path]) -> str:
    """The first 10 hex digits of the first file's SHA-256."""
    digest = hashlib.sha256()
    with files[0].open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()[:10]


def _sigmas(folder: Path, scheduler: Mapping[str, Any]) -> tuple[float, ...]:
    try:
        return model_sigmas(scheduler)
    except ModelFileError as fault:
        path = folder / "scheduler" / "scheduler_config.json"
        raise ModelFileError(f"{path}: {fault}") from fault


def _preview(networks: Networks, path: Path) -> PreviewMap:
    """The model's preview colours: those beside it, or fitted now and kept there."""
    beside = checkpoints.read_json(path) if path.is_file() else {}
    known = read_map(beside, networks.model.latent_channels)
    if known is not None:
        return known
    downscale = networks.model.downscale
    fitted = fit(
        lambda pixels: vae.encode(networks, pixels), size=16 * downscale, downscale=downscale
    )
    keep(fitted, path)
    log.info("fitted the preview colours of %r", networks.model.name)
    return fitted
