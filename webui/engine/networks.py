"""A loaded model: its networks, and what is known of them. Knows no file and no request."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any

from torch import nn

from webui.engine import attention
from webui.engine.capacity import Capacity
from webui.engine.latents import LatentGeometry
from webui.engine.placement import Placement
from webui.engine.preview import PreviewMap
from webui.types import Model

if TYPE_CHECKING:
    from webui.engine.loading import Opened
    from webui.engine.text.encoder import TextEncoder

__all__ = ["Networks", "weight_bytes"]

SERIALS = count(1)


@dataclass(slots=True, eq=False)
class Networks:
    """A loaded model. `unet` is the network that predicts, whatever its family has; `bytes` is what its weights take.

    `patching` is what the U-Net's attention looks at. Without `has_vae` the VAE is a network without weights, and the
    model wears one of another file. `notes` are sentences about what had to be changed while it
    ran. No other load of a model has its `serial`: what was made for these weights is kept by it. `unknown` is what
    has yet to be found out by running them (`preparing`): "prediction", "preview". `source` is what its parts are read
    from again, `capacity` what is known of the memory of their device. Everything here belongs to the thread that owns
    the device.
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
    source: Opened | None = None
    capacity: Capacity = field(default_factory=Capacity)
    serial: int = field(default_factory=lambda: next(SERIALS))

    def modules(self) -> Mapping[str, nn.Module]:
        """Its parts by kind, each as one module; a VAE without weights is none."""
        text = nn.ModuleList(tower.model for tower in self.text.towers)
        every = {"unet": self.unet, "text encoder": text, "vae": self.vae}
        return {kind: every[kind] for kind in self.kinds}

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of its parts."""
        text = ("text encoder",) if self.text.towers else ()
        return ("unet", *text, "vae") if self.has_vae else ("unet", *text)

    @property
    def keys(self) -> list[Hashable]:
        """What its parts are called in the cache of parts."""
        return [(kind, self.serial) for kind in self.kinds]

    def sizes(self) -> Mapping[str, int]:
        """The bytes of the parts that have weights now."""
        sizes = {kind: weight_bytes(module) for kind, module in self.modules().items()}
        return {kind: size for kind, size in sizes.items() if size}

    def empty(self, kind: str) -> None:
        """Lets go of a part's weights; the network stays as a plan of what is to be read."""
        self.modules()[kind].to("meta")


def weight_bytes(module: nn.Module) -> int:
    """The bytes that a network takes; those without memory count none."""
    return sum(tensor.nbytes for tensor in module.state_dict().values() if not tensor.is_meta)
