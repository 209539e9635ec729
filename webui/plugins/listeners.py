"""Who hears of saved pictures: `image_saved` hooks, one after the other, on a thread of their own.

A picture is on disk before anybody here hears of it, and saving never waits for a hook.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence

from webui.errors import lacking
from webui.plugins.extension import Fault
from webui.plugins.hooks import Implementation
from webui.types import GenerationRequest, SavedPicture, on_behalf_of

__all__ = ["Listeners"]

AGAIN_S = 10.0  # between two tries where the machine lacks something

Item = tuple[SavedPicture, GenerationRequest, Callable[[], None], str]


class Listeners:
    """A queue of saved pictures and the thread that tells of them. `start` before, `stop` after."""

    def __init__(self, implementations: Sequence[Implementation]) -> None:
        self._implementations = sorted(implementations, key=lambda one: one.order)
        self._queue: queue.Queue[Item | None] = queue.Queue()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="easel-saved", daemon=True)

    def start(self) -> None:
        if self._implementations:
            self._thread.start()

    def hear(
        self,
        picture: SavedPicture,
        request: GenerationRequest,
        heard: Callable[[], None],
        whose: str = "",
    ) -> None:
        """Returns at once; the hooks are called later, in the order that pictures come, on behalf of `whose`, then
        `heard`."""
        if self._implementations:
            self._queue.put((picture, request.without_pictures(), heard, whose))
        else:
            heard()

    def stop(self, timeout_s: float) -> bool:
        """Waits until everybody has heard of every picture; False when that took too long."""
        self._stopping.set()
        if not self._thread.is_alive():
            return True
        self._queue.put(None)
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _listen(self) -> None:
        while (item := self._queue.get()) is not None:
            picture, request, heard, whose = item
            with on_behalf_of(whose):
                for one in self._implementations:
                    self._tell(one, picture, request)
            heard()

    def _tell(self, one: Implementation, picture: SavedPicture, request: GenerationRequest) -> None:
        """Calls one hook; again in a while where the machine lacks something for it, until Easel stops."""
        while one.extension.active:
            try:
                one.limited(one.extension.limits.saved_s, picture=picture, request=request)
            except Fault as fault:  # told already, and changes nothing: the picture is there
                if lacking(fault) and not self._stopping.wait(AGAIN_S):
                    continue
            return
