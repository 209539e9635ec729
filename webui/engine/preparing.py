"""What only a model's own networks can tell: what its U-Net predicts, and its preview colours.

Runs them, so it belongs to the thread that owns the device. What is found out is remembered, and most models are known
before.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from webui.catalog.formats.sidecars import read_json
from webui.engine import vae
from webui.engine.detect_prediction import likely_prediction
from webui.engine.families import family_of
from webui.engine.networks import Networks
from webui.engine.preview import PreviewMap, fit, keep, read_map
from webui.types import ModelCard, ModelFacts, Row, SizeConditioning

__all__ = ["known_preview", "prepare", "prepared"]

BESIDE, SINGLE_BESIDE = "easel.json", ".easel.json"
PROBED = 32  # height and width of the latent that the probe looks at
log = logging.getLogger(__name__)


def prepared(networks: Networks) -> bool:
    """Whether all is known that pictures need. A model without a VAE has its colours from the first it is given."""
    return not networks.unknown - (set() if networks.has_vae else {"preview"})


def prepare(
    networks: Networks,
    card: ModelCard,
    facts: ModelFacts | None = None,
    other_vae: Networks | None = None,
    beside: Callable[[Callable[[], None]], object] = lambda work: work(),
) -> Iterator[None]:
    """Finds out what is unknown of `networks`, a slice of it at each step. `other_vae` are the same networks with a VAE
    of another file. What is to be written goes to `beside`, which may be another thread's."""
    if "prediction" in networks.unknown:
        found = _probed(networks)
        networks.model = replace(networks.model, prediction=found)
        networks.unknown.discard("prediction")
        log.info("%r predicts %s, as a call of it shows", card.name, found)
        if facts is not None:
            known = facts
            beside(lambda: known.remember_prediction(card, found))
        yield
    if "preview" in networks.unknown and (networks.has_vae or other_vae is not None):
        downscale = networks.model.downscale
        seeing = other_vae or networks
        fitted = fit(
            lambda pixels: vae.encode(seeing, pixels), size=8 * downscale, downscale=downscale
        )
        networks.preview = fitted
        networks.unknown.discard("preview")
        log.info("fitted the preview colours of %r", card.name)
        beside(lambda: keep(fitted, _beside(card)))
        yield


def known_preview(card: ModelCard, channels: int) -> PreviewMap | None:
    """The preview colours that were kept beside a model."""
    path = _beside(card)
    return read_map(read_json(path), channels) if path.is_file() else None


def _beside(card: ModelCard) -> Path:
    """Where the preview colours of a model are kept."""
    if card.layout == "folder":
        return card.path / BESIDE
    return card.path.with_name(card.path.stem + SINGLE_BESIDE)


@torch.inference_mode()
def _probed(networks: Networks) -> str:
    model, place = networks.model, networks.placement
    text = networks.text.encode("", "")
    row = Row(text.cond, 1.0, pooled=text.pooled_cond)
    size = PROBED * model.downscale
    family = family_of(model.kind)
    told = family.conditioning(model, place, [row], [SizeConditioning((size, size), (size, size))])
    last = torch.tensor([float(len(model.sigmas) - 1)], device=place.device)

    def call(noise: Tensor) -> Tensor:
        seen = noise.to(place.device, place.dtype)
        if model.inpainting:  # all is masked, nothing of a picture is seen
            hole = torch.ones_like(seen[:, :1])
            seen = torch.cat([seen, hole, torch.zeros_like(seen)], dim=1)
        return family.predict(networks.unet, seen, last, told)

    return likely_prediction(call, (model.latent_channels, PROBED, PROBED))
