"""A model's files to networks that are ready to run. Knows files, configs and weights; knows no request.

Weights come from safetensors only, and no code of a model's is ever run. The networks are built here rather than by
`from_pretrained`: that sets torch's default dtype for the whole process while it loads, and the engine's thread goes on
making tensors beside it.

Loading has two halves, so that memory is made free in between: `opened` builds the networks without memory and compares
them with the files' headers, `load` gives them their weights.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from webui.catalog.formats.hashing import hashed
from webui.catalog.formats.sidecars import read_json
from webui.engine import attention, vae
from webui.engine.embeddings import added_conditions
from webui.engine.families import PartPlan, Plan, plan
from webui.engine.importing import IMPORTING
from webui.engine.placement import Placement
from webui.engine.preview import PreviewMap, fit, keep, read_map
from webui.engine.probe import likely_prediction
from webui.engine.schedules import model_sigmas
from webui.engine.text.encoder import TextEncoder
from webui.engine.text.tower import Tower
from webui.engine.weights import byte_count, check, fill
from webui.errors import ModelFileError
from webui.types import Framing, Model, ModelCard, ModelFacts, Row

__all__ = ["Networks", "Opened", "load", "opened", "preview_with"]

PREDICTIONS = ("epsilon", "v_prediction", "sample")
BESIDE, SINGLE_BESIDE = "easel.json", ".easel.json"
PROBED = 32  # height and width of the latent that the probe looks at
SERIALS = count(1)
log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Networks:
    """A loaded model. `scaling_factor` is between the VAE's latents and the U-Net's, `bytes` what its weights take.

    `patching` is what the U-Net's attention looks at. Without `has_vae` the VAE is a network without weights, and the
    model wears one of another file. `notes` are sentences about what had to be changed while it
    ran. No other load of a model has its `serial`: what was made for these weights is kept by it. Everything here
    belongs to the thread that owns the device.
    """

    model: Model
    unet: Any
    vae: Any
    text: TextEncoder
    scaling_factor: float
    preview: PreviewMap
    placement: Placement
    patching: attention.Patching
    bytes: int = 0
    has_vae: bool = True
    notes: list[str] = field(default_factory=list)
    serial: int = field(default_factory=lambda: next(SERIALS))


@dataclass(slots=True, eq=False)
class Opened:
    """A model whose files fit its networks, which have no memory yet. `bytes` is what they will take."""

    card: ModelCard
    placement: Placement
    plan: Plan
    networks: Mapping[str, Any]
    dtypes: Mapping[str, torch.dtype]
    sigmas: tuple[float, ...]

    @property
    def bytes(self) -> int:
        return sum(byte_count(net, self.dtypes[part]) for part, net in self.filled())

    def filled(self) -> list[tuple[str, Any]]:
        """The parts whose weights the files have, with their networks."""
        return [(part, net) for part, net in self.networks.items() if self.plan.parts[part].weights]

    def load(
        self,
        facts: ModelFacts | None = None,
        progress: Callable[[float], None] = lambda part: None,
    ) -> Networks:
        """The networks with their weights, in eval mode, without gradients.

        `progress` hears how much has arrived, from 0 to 1. What the U-Net predicts is asked of `facts` or found out
        where the card does not say, and remembered. NaN in a weight raises `ModelFileError` with its name.
        """
        card, size, done = self.card, self.bytes, 0

        def arrived(count: int) -> None:
            nonlocal done
            done += count
            progress(done / size)

        with ThreadPoolExecutor(1, thread_name_prefix="easel-hash") as hashing:
            digest = hashing.submit(_short_hash, card, self.plan, facts)
            for part, network in self.filled():
                weights = _named(network, self.plan.parts[part])
                fill(network, weights, self.placement.device, self.dtypes[part], arrived)
        return _assembled(self, digest.result(), facts)


def load(
    card: ModelCard,
    placement: Placement,
    facts: ModelFacts | None = None,
    progress: Callable[[float], None] = lambda part: None,
) -> Networks:
    """The networks of `card` on `placement`. Every fault of its files raises `ModelFileError` naming the file."""
    return opened(card, placement).load(facts, progress)


def opened(card: ModelCard, placement: Placement) -> Opened:
    """The model of `card`, compared with its files' headers; no weight is read. Raises `ModelFileError`."""
    if card.problem is not None:
        raise ModelFileError(card.problem)
    planned = plan(card)
    schedule = {**planned.scheduler}
    if card.zero_snr:
        schedule["rescale_betas_zero_snr"] = True
    said = card.prediction or schedule.get("prediction_type", "epsilon")
    if said not in PREDICTIONS:
        raise ModelFileError(f"{planned.schedule_source}: prediction_type {said!r} is not known")
    try:
        sigmas = model_sigmas(schedule)
    except ModelFileError as fault:
        raise ModelFileError(f"{planned.schedule_source}: {fault}") from fault
    networks = {part: _built(part, planned.parts[part]) for part in ("unet", "vae", *planned.texts)}
    dtypes = dict.fromkeys(networks, placement.dtype)
    dtypes["vae"] = placement.vae_dtype
    # XL's is known to overflow: that spares the first picture a second decoding. For the others diffusers' default says
    # nothing, and its pipelines do not ask.
    overflows = card.kind != "sd" and getattr(networks["vae"].config, "force_upcast", False)
    if overflows and placement.vae_dtype == torch.float16:
        dtypes["vae"] = torch.float32
    return Opened(card, placement, planned, networks, dtypes, sigmas)


# --- Networks without weights ---------------------------------------------------------------------


def _built(part: str, planned: PartPlan) -> Any:
    """The network of a part: built without memory, and compared with its file."""
    try:
        with torch.device("meta"):  # of this thread only, and no time for random weights
            network = BUILD[part](planned.config)
    except Exception as fault:  # whatever diffusers and transformers raise for a wrong config
        raise ModelFileError(
            f"{planned.source}: no network can be built from it ({fault})"
        ) from fault
    if planned.weights:
        check(network, _named(network, planned), planned.file)
    return network


def _named(network: nn.Module, planned: PartPlan) -> Mapping[str, Any]:
    """The weights by the names that this network has: one with a projection has its transformer a level below."""
    if not hasattr(network, "text_model"):
        return planned.weights
    return {
        name if name.startswith("text_projection.") else f"text_model.{name}": weight
        for name, weight in planned.weights.items()
    }


def _unet(config: Mapping[str, Any]) -> Any:
    with IMPORTING:
        from diffusers import UNet2DConditionModel

    return UNet2DConditionModel.from_config(config)


def _vae(config: Mapping[str, Any]) -> Any:
    with IMPORTING:
        from diffusers import AutoencoderKL

    return AutoencoderKL.from_config(config)


def _text(config: Mapping[str, Any]) -> Any:
    with IMPORTING:
        from transformers import CLIPTextConfig, CLIPTextModel

    return CLIPTextModel(CLIPTextConfig.from_dict(dict(config)))


def _projecting_text(config: Mapping[str, Any]) -> Any:
    with IMPORTING:
        from transformers import CLIPTextConfig, CLIPTextModelWithProjection

    return CLIPTextModelWithProjection(CLIPTextConfig.from_dict(dict(config)))


BUILD: Mapping[str, Callable[[Mapping[str, Any]], Any]] = {
    "unet": _unet,
    "vae": _vae,
    "text_encoder": _text,
    "text_encoder_2": _projecting_text,
}


# --- Networks with weights ------------------------------------------------------------------------


def _assembled(opened: Opened, digest: str, facts: ModelFacts | None) -> Networks:
    card, placement, networks = opened.card, opened.placement, opened.networks
    unet, autoencoder = networks["unet"], networks["vae"]
    patching = attention.Patching()
    for part, network in (("unet", unet), ("vae", autoencoder)):
        try:
            attention.install(network, placement.attention, patching if part == "unet" else None)
        except ModelFileError as fault:
            raise ModelFileError(f"{opened.plan.parts[part].source}: {fault}") from fault
    text = TextEncoder(
        *(
            Tower(how.tokenizer, networks[part], how.pad, how.skipped, how.normed, how.kept_back)
            for part, how in opened.plan.texts.items()
        ),
        zeros=opened.plan.zeros,
    )
    model = Model(
        name=card.name,
        latent_channels=int(autoencoder.config.latent_channels),
        inpainting=int(unet.config.in_channels) != int(autoencoder.config.latent_channels),
        sigmas=opened.sigmas,
        downscale=2 ** (len(autoencoder.config.block_out_channels) - 1),
        hash=digest,
        context_dim=int(unet.config.cross_attention_dim),
        kind=card.kind,
        pooled_dim=text.pooled_width if card.kind != "sd" else 0,
        remarks=opened.plan.remarks,
    )
    for remark in model.remarks:
        log.warning(remark)
    scaling = float(autoencoder.config.scaling_factor)
    blank = PreviewMap(((0.0, 0.0, 0.0),) * model.latent_channels, (0.5, 0.5, 0.5))
    found = Networks(
        model, unet, autoencoder, text, scaling, blank, placement, patching, opened.bytes,
        bool(opened.plan.parts["vae"].weights),
    )  # fmt: skip
    found.model = replace(model, prediction=_prediction(found, card, facts))
    found.preview = _preview(found, _beside(card)) if found.has_vae else blank
    return found


def preview_with(networks: Networks, worn: Networks, card: ModelCard) -> None:
    """Gives a model without a VAE of its own its preview colours, by the first one that it has `worn`."""
    if not any(map(any, networks.preview.matrix)):
        networks.preview = _preview(worn, _beside(card))


def _prediction(networks: Networks, card: ModelCard, facts: ModelFacts | None) -> str:
    """What the U-Net predicts: as the card says, as is remembered, or as one call of it shows."""
    known = card.prediction or (facts.prediction(card) if facts else None)
    if known is not None:
        return known
    found = _probed(networks)
    log.info("%r predicts %s, as a call of it shows", card.name, found)
    if facts is not None:
        facts.remember_prediction(card, found)
    return found


@torch.inference_mode()
def _probed(networks: Networks) -> str:
    model, place = networks.model, networks.placement
    text = networks.text.encode("", "")
    row = Row(text.cond, 1.0, pooled=text.pooled_cond)
    size = PROBED * model.downscale
    added = added_conditions(networks, [row], [Framing((size, size), (size, size))])
    last = torch.tensor([float(len(model.sigmas) - 1)], device=place.device)

    def call(noise: Tensor) -> Tensor:
        seen = noise.to(place.device, place.dtype)
        if model.inpainting:  # all is masked, nothing of a picture is seen
            hole = torch.ones_like(seen[:, :1])
            seen = torch.cat([seen, hole, torch.zeros_like(seen)], dim=1)
        context = text.cond[None].to(place.dtype)
        said: Tensor = networks.unet(
            seen, last, context, added_cond_kwargs=added, return_dict=False
        )[0]
        return said

    return likely_prediction(call, (model.latent_channels, PROBED, PROBED))


def _short_hash(card: ModelCard, plan: Plan, facts: ModelFacts | None) -> str:
    """The first 10 hex digits of the SHA-256 of the file that stands for the model: the U-Net's first. What had to be
    computed is kept in `facts`."""
    if card.sha256:
        return card.hash
    path = card.weights or next(iter(plan.parts["unet"].weights.values())).file.path
    return hashed(path, facts.keep_sha256 if facts else None)[:10]


def _beside(card: ModelCard) -> Path:
    """Where the preview colours of a model are kept."""
    if card.layout == "folder":
        return card.path / BESIDE
    return card.path.with_name(card.path.stem + SINGLE_BESIDE)


def _preview(networks: Networks, path: Path) -> PreviewMap:
    """The model's preview colours: those beside it, or fitted now and kept there."""
    beside = read_json(path) if path.is_file() else {}
    known = read_map(beside, networks.model.latent_channels)
    if known is not None:
        return known
    downscale = networks.model.downscale
    fitted = fit(
        lambda pixels: vae.encode(networks, pixels), size=8 * downscale, downscale=downscale
    )
    keep(fitted, path)
    log.info("fitted the preview colours of %r", networks.model.name)
    return fitted
