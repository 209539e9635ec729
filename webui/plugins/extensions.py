"""All extensions of one start: what runs while requests are worked on, and what faces see and switch."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence

from PIL import Image

from webui.errors import RequestError, Sentence
from webui.plugins.clock import Clock, Watchdog
from webui.plugins.extension import Extension, Fault, Limits
from webui.plugins.hooks import Implementation
from webui.plugins.listeners import Listeners
from webui.plugins.register import Register
from webui.registry import nearest
from webui.types import ExtensionStatus, GenerationRequest, Parts, Places, SavedPicture

__all__ = ["Extensions"]

log = logging.getLogger(__name__)


class Extensions:
    """Made by `webui.plugins.load`. `start` before the first request, `stop` after the last.

    `keep(names)` remembers who is switched off, for later starts; `disabled` are those who are now, also
    names that are not here any more. `forgive(name)`: one that has ended the process is tried again.
    """

    def __init__(
        self,
        extensions: Sequence[Extension],
        implementations: Sequence[Implementation],
        register: Register,
        places: Places,
        clock: Clock,
        limits: Limits,
        keep: Callable[[Sequence[str]], None],
        disabled: Collection[str],
        forgive: Callable[[str], None] = lambda name: None,
    ) -> None:
        self._extensions: Mapping[str, Extension] = {one.name: one for one in extensions}
        self._by_hook: dict[str, list[Implementation]] = {}
        for one in implementations:
            self._by_hook.setdefault(one.hook, []).append(one)
        self._places = places
        self._limits = limits
        self._keep = keep
        self._forgive = forgive
        self._disabled = set(disabled)
        self._watchdog = Watchdog(clock, limits.hanging_s, limits.look_s)
        self._changing = sorted(self._of("change_request"), key=lambda one: one.order)
        self._listeners = Listeners(self._of("image_saved"))
        self.parts: Parts = register.parts(self._of("wrap_denoise"))

    def _of(self, hook: str) -> Sequence[Implementation]:
        return self._by_hook.get(hook, ())

    # --- start and end ----------------------------------------------------------------------------

    def start(self) -> None:
        """Calls every `startup` hook, each with a limit; an extension whose hook fails is set aside."""
        self._watchdog.start()
        for one in self._of("startup"):
            if one.extension.active:
                try:
                    one.limited(self._limits.hook_s, places=self._places)
                except Fault:
                    one.extension.put_aside()
        self._listeners.start()

    def stop(self) -> None:
        """Lets everybody hear of the last pictures, then calls the `shutdown` hooks, the last extension's first.

        Extensions that were switched off or set aside meanwhile are asked too: they were started.
        """
        if not self._listeners.stop(self._limits.drain_s):
            log.error("image_saved hooks are still running; Easel stops without them")
        for one in reversed(self._of("shutdown")):
            try:
                one.limited(self._limits.hook_s)
            except Fault:
                continue
        self._watchdog.stop()

    # --- while requests are worked on -------------------------------------------------------------

    def change(
        self, request: GenerationRequest, check: Callable[[GenerationRequest], None]
    ) -> GenerationRequest:
        """The request after every `change_request` hook in turn; `check` raises for one that is not valid.

        What fails, or gives an invalid request, is reported and changes nothing. What an extension raises on
        purpose refuses the request.
        """
        for one in self._changing:
            if one.extension.active:
                prompts = tuple(self.parts.tasks[request.task].prompts(request))
                try:
                    changed = one.limited(
                        self._limits.change_s,
                        answers=True,
                        request=request,
                        places=self._places,
                        prompts=prompts,
                    )
                    request = request if changed is None else checked(one, request, changed, check)
                except Fault:
                    continue
        return request

    def saved(
        self,
        picture: SavedPicture,
        request: GenerationRequest,
        heard: Callable[[], None] = lambda: None,
        whose: str = "",
    ) -> None:
        """Tells the `image_saved` hooks of a picture that is on disk, on their own thread; then calls `heard`. `whose`
        it is: its owner, or its job."""
        self._listeners.hear(picture, request, heard, whose)

    # --- as faces see them ------------------------------------------------------------------------

    def statuses(self) -> Sequence[ExtensionStatus]:
        return [extension.status() for extension in self._extensions.values()]

    def switch(self, name: str, on: bool) -> ExtensionStatus:
        if name not in self._extensions:
            known = nearest(name, list(self._extensions))
            raise RequestError(
                Sentence("there is no extension {name}{known}", name=repr(name), known=known),
                "name",
            )
        extension = self._extensions[name]
        (self._disabled.discard if on else self._disabled.add)(name)
        self._keep(sorted(self._disabled))
        extension.enabled = on
        if on and extension.ended_process:
            self._forgive(name)
            extension.ended_process = False
        log.info("extension %r is switched %s", name, "on" if on else "off")
        return extension.status()


def checked(
    one: Implementation,
    before: GenerationRequest,
    changed: object,
    check: Callable[[GenerationRequest], None],
) -> GenerationRequest:
    """What a `change_request` hook returned, if it is a valid request; else raises `Fault`."""
    if not isinstance(changed, GenerationRequest):
        what = Sentence(
            "returned a value of type {name}; return a request or None", name=type(changed).__name__
        )
        raise one.extension.fault(one.hook, what)
    if changed.task != before.task:
        raise one.extension.fault(one.hook, f"changed the task from {before.task!r}")
    for name in ("image", "mask"):
        was, now = getattr(before, name), getattr(changed, name)
        if (was is None) != (now is None) or not isinstance(now, Image.Image | None):
            raise one.extension.fault(one.hook, f"changed {name} to something that is no picture")
    try:
        check(changed)
    except RequestError as error:
        raise one.extension.fault(one.hook, f"returned an invalid request: {error}") from error
    return changed
