"""What the devices of an engine share: jobs, fairness, parts, the disk. Everything else is a device's own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from webui.catalog.model_folders import AdapterFiles
from webui.engine.jobs import Jobs
from webui.types import ModelCard, ModelFacts, Parts
from webui.types.persistence import JobPersistence, Witness

if TYPE_CHECKING:
    from webui.engine.saving import PictureSaver

__all__ = ["EngineContext"]


@dataclass(frozen=True, slots=True, eq=False)
class EngineContext:
    """See `Engine` for what is not a device's business to know better. `version` is that of the code that makes
    pictures, for logs of replies. `called` hears of each UNet call, `hung` of one that does not come back."""

    jobs: Jobs
    saver: PictureSaver
    parts: Parts
    list_models: Callable[[], Sequence[ModelCard]]
    adapter_files: AdapterFiles
    facts: ModelFacts | None
    persistence: JobPersistence | None
    witness: Witness
    version: str
    called: Callable[[str, int, float], None]
    hung: Callable[[str], None]
