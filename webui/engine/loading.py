"""A model's files to networks that are ready to run. Knows files, configs and weights; knows no request.

Weights come from safetensors only, and no code of a model's is ever run. The networks are built here rather than by
`from_pretrained`: that sets torch's default dtype for the whole process while it loads, and the engine's thread goes on
making tensors beside it.

Loading has two halves, so that memory is made free in between: `opened` builds the networks without memory and compares
them with the files' headers, `read` gives them their weights. What only running them tells is found out afterwards, by
`preparing`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from webui.catalog.formats.hashing import hashed
from webui.engine import attention
from webui.engine.families import PartPlan, Plan, family_of, plan
from webui.engine.importing import IMPORTING
from webui.engine.latents import LatentGeometry
from webui.engine.networks import Networks
from webui.engine.placement import Placement
from webui.engine.preparing import known_preview, prepare
from webui.engine.preview import PreviewMap
from webui.engine.text.clip_text_model import ClipTextModel
from webui.engine.text.encoder import TextEncoder
from webui.engine.weight_loading import byte_count, check, fill
from webui.errors import ModelFileError, Sentence
from webui.types import Model, ModelCard, ModelFacts

__all__ = ["Opened", "load", "opened"]

log = logging.getLogger(__name__)
Build = Callable[[Mapping[str, Any]], Any]


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

    def read(
        self,
        facts: ModelFacts | None = None,
        progress: Callable[[float], None] = lambda part: None,
    ) -> Networks:
        """The networks with their weights, in eval mode, without gradients. None of them is run: what neither the card
        nor `facts` knows is left unknown.

        `progress` hears how much has arrived, from 0 to 1. NaN in a weight raises `ModelFileError` with its name.
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
                fill(network, weights, self.placement.read_on, self.dtypes[part], arrived)
        return _assembled(self, digest.result(), facts)

    def read_again(
        self, kinds: Sequence[str], progress: Callable[[float], None] = lambda part: None
    ) -> None:
        """Gives those parts of the networks their weights again that have let go of them."""
        again = [
            (part, network)
            for part, network in self.filled()
            if ("text encoder" if part in self.plan.texts else part) in kinds
        ]
        size = sum(byte_count(network, self.dtypes[part]) for part, network in again) or 1
        done = 0

        def arrived(count: int) -> None:
            nonlocal done
            done += count
            progress(done / size)

        for part, network in again:
            weights = _named(network, self.plan.parts[part])
            dtype = next(network.parameters()).dtype  # a VAE may have been found to need another
            fill(network, weights, self.placement.read_on, dtype, arrived)


def load(
    card: ModelCard,
    placement: Placement,
    facts: ModelFacts | None = None,
    progress: Callable[[float], None] = lambda part: None,
) -> Networks:
    """The networks of `card` on `placement`, with all that is known of them, on the thread that owns the device. Every
    fault of its files raises `ModelFileError` naming the file."""
    networks = opened(card, placement).read(facts, progress)
    for _ in prepare(networks, card, facts):
        pass
    return networks


def opened(card: ModelCard, placement: Placement) -> Opened:
    """The model of `card`, compared with its files' headers; no weight is read. Raises `ModelFileError`."""
    if card.problem is not None:
        raise ModelFileError(card.problem)
    planned = plan(card)
    schedule = {**planned.scheduler}
    if card.zero_snr:
        schedule["rescale_betas_zero_snr"] = True
    family = family_of(card.kind)
    usual = family.about.prediction or family.about.predictions[0]
    said = card.prediction or schedule.get("prediction_type", usual)
    if said not in family.about.predictions:
        raise ModelFileError(
            Sentence(
                "{schedule_source}: prediction_type {said} is not known",
                schedule_source=planned.schedule_source,
                said=repr(said),
            )
        )
    try:
        sigmas = family.noise_levels(schedule)
    except ModelFileError as fault:
        raise ModelFileError(
            Sentence("{schedule_source}: {why}", schedule_source=planned.schedule_source, why=fault)
        ) from fault
    build = {**BUILD, family.about.network: family.build}
    networks = {
        part: _built(build[part], planned.parts[part])
        for part in (family.about.network, "vae", *planned.texts)
    }
    dtypes = dict.fromkeys(networks, placement.dtype)
    dtypes["vae"] = placement.vae_dtype
    # XL's is known to overflow: that spares the first picture a second decoding. For the others diffusers' default says
    # nothing, and its pipelines do not ask.
    overflows = family.about.wide_vae and getattr(networks["vae"].config, "force_upcast", False)
    if overflows and placement.vae_dtype == torch.float16:
        dtypes["vae"] = torch.float32
    return Opened(card, placement, planned, networks, dtypes, sigmas)


# --- Networks without weights ---------------------------------------------------------------------


def _built(build: Build, planned: PartPlan) -> Any:
    """The network of a part: built without memory, and compared with its file."""
    try:
        with torch.device("meta"):  # of this thread only, and no time for random weights
            network = build(planned.config)
    except Exception as fault:  # whatever diffusers and transformers raise for a wrong config
        raise ModelFileError(
            Sentence(
                "{source}: no network can be built from it ({why})",
                source=planned.source,
                why=fault,
            )
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


BUILD: Mapping[str, Build] = {  # the parts that families share
    "vae": _vae,
    "text_encoder": _text,
    "text_encoder_2": _projecting_text,
}


# --- Networks with weights ------------------------------------------------------------------------


def _assembled(opened: Opened, digest: str, facts: ModelFacts | None) -> Networks:
    card, placement, networks = opened.card, opened.placement, opened.networks
    family = family_of(card.kind)
    unet, autoencoder = networks[family.about.network], networks["vae"]
    patching = attention.Patching()
    if others := attention.install(unet, placement.attention, patching):
        log.info("%s: patches do not reach %d of its attentions", card.name, len(others))
    attention.install(autoencoder, placement.attention)
    text = TextEncoder(
        *(
            ClipTextModel(
                how.tokenizer,
                networks[part],
                how.pad,
                how.skip_layers,
                how.final_norm,
                how.missing_layers,
            )
            for part, how in opened.plan.texts.items()
        ),
        zeros=opened.plan.zeros,
    )
    latents = LatentGeometry.of(autoencoder.config)
    model = Model(
        name=card.name,
        latent_channels=latents.channels,
        inpainting=int(unet.config.in_channels) != latents.channels,
        sigmas=opened.sigmas,
        downscale=latents.downscale,
        hash=digest,
        context_dim=family.text_width(unet),
        kind=card.kind,
        pooled_dim=family.pooled_width(unet),
        remarks=opened.plan.remarks,
    )
    for remark in model.remarks:
        log.warning(remark)
    blank = PreviewMap(((0.0, 0.0, 0.0),) * model.latent_channels, (0.5, 0.5, 0.5))
    found = Networks(
        model, unet, autoencoder, text, latents, blank, placement, patching, opened.bytes,
        bool(opened.plan.parts["vae"].weights),
    )  # fmt: skip
    prediction = card.prediction or (facts.prediction(card) if facts else None)
    if prediction is None and len(family.about.predictions) == 1:
        (prediction,) = family.about.predictions
    if prediction is None:
        found.unknown.add("prediction")
    else:
        found.model = replace(model, prediction=prediction)
    preview = known_preview(card, model.latent_channels) if found.has_vae else None
    if preview is None:
        found.unknown.add("preview")
    else:
        found.preview = preview
    return found


def _short_hash(card: ModelCard, plan: Plan, facts: ModelFacts | None) -> str:
    """The first 10 hex digits of the SHA-256 of the file that stands for the model: the U-Net's first. What had to be
    computed is kept in `facts`."""
    if card.sha256:
        return card.hash
    network = plan.parts[family_of(card.kind).about.network]
    path = card.weights or next(iter(network.weights.values())).file.path
    return hashed(path, facts.keep_sha256 if facts else None)[:10]
