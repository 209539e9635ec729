"""One picture to be made with a part in it: what the checks run again and again."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from webui.testing.examples import PARTS, example_request, tiny_runner
from webui.testing.runs import Recorded, record
from webui.types import Call, Decode, Denoise, GenerationRequest, Parts, TaskRun

if TYPE_CHECKING:
    from webui.engine.runner import Runner

__all__ = ["Case", "making", "neighbour", "studio_of", "text_to_image"]


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A picture to be made: `begin(request)` is a fresh run, `what` how sentences speak of the part."""

    what: str
    begin: Callable[[GenerationRequest], TaskRun]
    request: GenerationRequest
    runner: Runner

    def run(self) -> Recorded:
        """A run of it; raises `AssertionError` at the first call that the engine could not make."""
        return record(
            self.begin(self.request), self.runner, look=lambda call: is_proper(call, self)
        )

    def wrong(self, sentence: str) -> AssertionError:
        return AssertionError(f"{self.what}: {sentence}")


def is_proper(call: Call, case: Case) -> None:
    """A prediction is asked for at a finite latent in float32 and at a float sigma above 0; what is decoded is finite.

    Looked at before the engine makes the call, which would blame the model.
    """
    import torch

    if isinstance(call, Denoise):
        asked = f"at sigma {call.sigma!r} it asks about"
        if not isinstance(call.sigma, float) or not 0 < call.sigma < float("inf"):
            raise case.wrong(
                f"it asks for a prediction at sigma {call.sigma!r}; give a float above 0"
            )
        if call.x.dtype != torch.float32:
            raise case.wrong(f"{asked} a latent in {call.x.dtype}; keep it in float32")
        if not call.x.isfinite().all():
            raise case.wrong(f"{asked} a latent that is not finite; look for a division by 0")
    if isinstance(call, Decode) and not call.latent.isfinite().all():
        raise case.wrong("its final latent is not finite; look for a division by 0")


def making(what: str, parts: Parts, request: GenerationRequest) -> Case:
    """A whole picture with `parts`, as the engine makes it: task, conditioners, wrappers, post-processors."""
    from webui.engine.postprocessing import finished_picture

    def begin(request: GenerationRequest) -> TaskRun:
        return finished_picture(request, studio_of(parts, request), parts, strict=True)

    return Case(what, begin, request, tiny_runner())


def text_to_image(what: str, parts: Parts, **values: Any) -> Case:
    return making(what, parts, example_request(PARTS.tasks["txt2img"], **values))


def studio_of(parts: Parts, request: GenerationRequest) -> Any:
    from webui.engine.studio import PictureStudio

    return PictureStudio(request, 0, parts, tiny_runner().placement.device, cache(_scratch))


def _scratch() -> Path:
    """A folder for the files of one run, until the process ends."""
    folder = Path(tempfile.mkdtemp(prefix="easel-check-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def neighbour(request: GenerationRequest) -> GenerationRequest:
    """Another request that may share calls with `request`."""
    return replace(request, prompt="the blue dog", seed=request.seed + 99, steps=request.steps + 1)
