"""What the pictures of one device share: its networks, its threads, and what waits for its loop."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from webui.engine.context import EngineContext
from webui.engine.recording import Recorder
from webui.engine.runner import Runner
from webui.types import GenerationRequest, Model

if TYPE_CHECKING:
    from PIL.Image import Image

    from webui.engine.picture_run import PictureRun

__all__ = ["Held", "Workbench", "look_at"]


@dataclass(slots=True, eq=False)
class Workbench:
    """What the pictures of one device have to do with: its networks, its loading thread, and who writes down what they
    receive, and what `news` wakes its loop for."""

    context: EngineContext
    runner: Runner
    loader: ThreadPoolExecutor
    recorder: Recorder = field(default_factory=Recorder)
    news: threading.Event = field(default_factory=threading.Event)
    arrived: deque[Callable[[], None]] = field(default_factory=deque)  # what other threads brought
    held: list[Held] = field(default_factory=list)

    def arrive(self, receive: Callable[[], None]) -> None:
        """On any thread: `receive` is called on the loop's."""
        self.arrived.append(receive)
        self.news.set()


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """A picture that is tried again at a time of the monotonic clock, by `again`."""

    when: float
    run: PictureRun
    again: Callable[[], None]


def look_at(runner: Runner, model: Model, latent: Any, request: GenerationRequest) -> Image | None:
    """What a latent looks like, at picture size; None where its model has made room for another. Any thread may ask."""
    networks = runner.present(model)
    if networks is None:
        return None
    picture: Image = networks.preview.picture(latent, request.width, request.height)
    return picture
