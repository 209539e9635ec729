"""A loaded model: its networks, and what is known of them. Knows no file and no request."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any

from webui.engine import attention
from webui.engine.latents import LatentGeometry
from webui.engine.placement import Placement
from webui.engine.preview import PreviewMap
from webui.types import Model

if TYPE_CHECKING:
    from webui.engine.text.encoder import TextEncoder

__all__ = ["Networks"]

SERIALS = count(1)


@dataclass(slots=True, eq=False)
class Networks:
    """A loaded model. `unet` is the network that predicts, whatever its family has; `bytes` is what its weights take.

    `patching` is what the U-Net's attention looks at. Without `has_vae` the VAE is a network without weights, and the
    model wears one of another file. `notes` are sentences about what had to be changed while it
    ran. No other load of a model has its `serial`: what was made for these weights is kept by it. `unknown` is what
    has yet to be found out by running them (`preparing`): "prediction", "preview". Everything here belongs to the
    thread that owns the device.
    """

    model: Model
    unet: Any
    vae: Any
    text: TextEncoder
    latents: LatentGeometry
    preview: PreviewMap
    placement: Placement
    patching: attention.Patching
    bytes: int = 0
    has_vae: bool = True
    notes: list[str] = field(default_factory=list)
    unknown: set[str] = field(default_factory=set)
    serial: int = field(default_factory=lambda: next(SERIALS))
