"""A family of models as the engine works with it: its network built, told about pictures, and called."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from webui.catalog.families import Family
from webui.engine.families.conditioning import conditioning
from webui.engine.placement import Placement
from webui.types import Model, Row, SizeConditioning

__all__ = ["ModelFamily"]


class ModelFamily(ABC):
    """The engine's half of a family; `about` is what everybody may know of it.

    The network is the part `about.network`. It is a plain value without state: the network is handed in.
    """

    def __init__(self, about: Family) -> None:
        self.about = about

    @abstractmethod
    def build(self, config: Mapping[str, Any]) -> nn.Module:
        """The network of a config, on torch's current device, with whatever weights it starts with."""

    @abstractmethod
    def noise_levels(self, schedule: Mapping[str, Any]) -> tuple[float, ...]:
        """The training noise levels of a `scheduler_config.json`, ascending, on the variance-exploding scale.
        `ModelFileError` for one that makes none."""

    @abstractmethod
    def text_width(self, network: nn.Module) -> int:
        """The width D of the texts that the network reads."""

    @abstractmethod
    def pooled_width(self, network: nn.Module) -> int:
        """The width P of what stands for a whole text, 0 where the network does not ask for it."""

    def conditioning(
        self, model: Model, place: Placement, rows: Sequence[Row], sizes: Sequence[SizeConditioning]
    ) -> dict[str, Tensor]:
        """What the network is told, by name, each with a row for every one of `rows`; see `conditioning`."""
        return conditioning(self.about, model, place, rows, sizes)

    @abstractmethod
    def predict(
        self,
        network: nn.Module,
        seen: Tensor,
        timesteps: Tensor,
        told: Mapping[str, Tensor],
        added: Mapping[str, Any] | None = None,
    ) -> Tensor:
        """What the network predicts, [R, C, h, w] in its dtype.

        `seen` [R, C + extra, h, w] is what it sees, `timesteps` [R] fp32, `told` what `conditioning` gave, `added` what
        control networks add, by the network's own names for it. `EaselError` where it has no place for that.
        """

    def original_names(self, network: nn.Module) -> Mapping[str, str]:
        """The network's modules as the original code calls them, to diffusers' names; adapters' files use both."""
        return {}
