"""What the engine knows of each family of models: what single files leave unsaid, how they name their tensors, and how
a family's network is built, told about a picture and called.

The JSON files beside this hold what no tensor's shape tells (numbers of heads, activation functions, noise
schedule); all sizes are read from the file's own shapes, so narrower and deeper relatives of a family load too.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from webui.catalog import families
from webui.catalog.formats.header import read_header
from webui.engine.families.folders import folder_plan
from webui.engine.families.model_family import ModelFamily
from webui.engine.families.plans import PartPlan, Plan, TextPlan
from webui.engine.families.single import single_plan
from webui.engine.families.transformer import TransformerFamily
from webui.engine.families.unet import UNetFamily
from webui.types import ModelCard

__all__ = ["FAMILIES", "ModelFamily", "PartPlan", "Plan", "TextPlan", "family_of", "plan"]

NETWORKS: Mapping[str, type[ModelFamily]] = MappingProxyType(
    {"unet": UNetFamily, "transformer": TransformerFamily}
)
FAMILIES: Mapping[str, ModelFamily] = MappingProxyType(
    {key: NETWORKS[about.network](about) for key, about in families.FAMILIES.items()}
)
"""The catalogue's families as the engine works with them, by the same keys."""


def family_of(kind: str) -> ModelFamily:
    """The family of a `ModelCard.kind` or `Model.kind`. `EaselError` for one that is not known."""
    return FAMILIES[families.family(kind).key]


def plan(card: ModelCard) -> Plan:
    """The plan for the model of `card`; only headers and small JSON files are read. Faults are `ModelFileError`."""
    if card.layout == "folder":
        return folder_plan(card)
    return single_plan(card, read_header(card.path))
