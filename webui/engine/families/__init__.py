"""What the project knows of each family of models: what single files leave unsaid, and how they name their tensors.

The JSON files beside this hold what no tensor's shape tells (numbers of heads, activation functions, noise
schedule); all sizes are read from the file's own shapes, so narrower and deeper relatives of a family load too.
"""

from __future__ import annotations

from webui.catalog.formats.header import read_header
from webui.engine.families.folders import folder_plan
from webui.engine.families.plans import PartPlan, Plan, TextPlan
from webui.engine.families.single import single_plan
from webui.types import ModelCard

__all__ = ["PartPlan", "Plan", "TextPlan", "plan"]


def plan(card: ModelCard) -> Plan:
    """The plan for the model of `card`; only headers and small JSON files are read. Faults are `ModelFileError`."""
    if card.layout == "folder":
        return folder_plan(card)
    return single_plan(card, read_header(card.path))
