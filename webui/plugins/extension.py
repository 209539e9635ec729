"""One extension: what is known of it, how it fares, and the only way into its code.

Whatever goes wrong in there is caught here, logged with extension, hook and traceback, counted, and told as a
`Fault`. What an extension says on purpose (an `EaselError`) passes uncounted. What goes wrong over one visitor's
requests counts once, however often they ask: it may be what they sent (docs/decisions/0018).
"""

from __future__ import annotations

import logging
import threading
import traceback
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from webui.errors import EaselError, ExtensionError, Sentence, lacking
from webui.plugins.clock import Clock
from webui.plugins.finding import Found
from webui.plugins.worker import on_worker
from webui.types import Call, ExtensionState, ExtensionStatus, asker

__all__ = ["Extension", "Fault", "Limits"]

log = logging.getLogger(__name__)

PROBLEMS = 20  # sentences that are kept; further ones are in the log


class Fault(ExtensionError):
    """An extension failed, and the boundary has already logged and counted it."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long extensions may take, in seconds, and how often they may fail."""

    import_s: float = 8.0
    hook_s: float = 8.0  # register_*, startup, shutdown
    change_s: float = 10.0
    saved_s: float = 60.0
    drain_s: float = 10.0  # for image_saved hooks that wait when Easel stops
    hanging_s: float = 5.0  # running for longer is told
    look_s: float = 1.0
    failures: int = (
        3  # so many, of different visitors or of nobody's requests, set an extension aside
    )


class Extension:
    """An extension from the moment it is found. May be used from any thread.

    `is_call` says what its tasks may yield.
    """

    def __init__(
        self,
        found: Found,
        clock: Clock,
        limits: Limits,
        excluded: str = "",
        is_call: Callable[[Any], bool] = lambda value: isinstance(value, Call),
    ) -> None:
        self.is_call = is_call
        self.found = found
        self.name = found.name
        self.clock = clock
        self.limits = limits
        self.excluded = excluded  # the option of this start that leaves it out
        self.enabled = True  # switched on
        self.loaded = False
        self.broken = False  # nothing of it could be loaded
        self.set_aside = False
        self.ended_process = False  # too often: it is left unread
        self.hooks: tuple[str, ...] = ()
        self.has_menus = False  # it has put something into menus and tabs
        self._failures = 0
        self._failed_for: set[str] = set()  # the askers whose requests have been counted
        self._stuck: set[tuple[str, str]] = set()  # hook and asker of calls that were left behind
        self._problems: dict[str, int] = {}
        self._lock = threading.Lock()

    @property
    def active(self) -> bool:
        """Whether its code may be called now."""
        return self.loaded and self.enabled and not self.set_aside

    def require(self, hook: str) -> None:
        """Raises `ExtensionError` with what to do when its code may not be called now."""
        if self.set_aside:
            times = f"failed {self.limits.failures} times"
            what = Sentence(
                "the extension {times} and is set aside until the next start", times=times
            )
            raise ExtensionError(self.name, hook, what)
        if not self.enabled:
            what = Sentence("the extension is switched off; switch it on, or choose something else")
            raise ExtensionError(self.name, hook, what)

    # --- into its code ----------------------------------------------------------------------------

    def call(self, hook: str, function: Callable[..., Any], *given: Any, **named: Any) -> Any:
        """`function(...)` on this thread; raises `Fault`, or what the extension says on purpose."""
        self.clock.enter(self.name, hook)
        try:
            return function(*given, **named)
        except EaselError:
            raise
        except BaseException as error:  # the boundary; sys.exit too
            raise self.failed(hook, error) from error
        finally:
            self.clock.leave()

    def limited(
        self, hook: str, function: Callable[[], Any], limit_s: float, *, answers: bool = False
    ) -> Any:
        """`function()` on a thread of its own, left behind there after `limit_s`; raises `Fault`. For one asker one
        call of a hook at most is left behind.

        `answers`: an `EaselError` is the extension's answer, and passes.
        """
        call = (hook, asker())
        if call[1] and call in self._stuck:
            raise self.fault(hook, Sentence("has not come back from an earlier call"))
        returned = threading.Event()

        def inside() -> Any:
            self.clock.enter(self.name, hook)
            try:
                return function()
            finally:
                self.clock.leave()
                with self._lock:
                    returned.set()
                    self._stuck.discard(call)

        outcome = on_worker(inside, limit_s, f"easel-{self.name}-{hook}")
        if outcome.stack:
            log.error("extension %r: %s hangs at\n%s", self.name, hook, outcome.stack)
            with self._lock:
                if not returned.is_set():
                    self._stuck.add(call)
            raise self.fault(
                hook, Sentence("did not come back within {limit_s} s", limit_s=f"{limit_s:g}")
            )
        if answers and isinstance(outcome.error, EaselError):
            raise outcome.error
        if outcome.error is not None:
            raise self.failed(hook, outcome.error) from outcome.error
        return outcome.value

    def drive(
        self,
        hook: str,
        run: Generator[Any, Any, Any],
        wrong: Callable[[Any], str],
    ) -> Generator[Any, Any, Any]:
        """Runs a generator of the extension's: what it yields goes out, replies go in, its result is returned.

        `wrong(yielded)` is the sentence why something that it yields cannot be taken, "" where it can.
        """
        reply: Any = None
        try:
            while True:
                self.clock.enter(self.name, hook)
                try:
                    call = run.send(reply)
                except StopIteration as stop:
                    return stop.value
                except EaselError:
                    raise
                except BaseException as error:  # the boundary; sys.exit too
                    raise self.failed(hook, error) from error
                finally:
                    self.clock.leave()
                if sentence := wrong(call):
                    raise self.fault(hook, sentence)
                reply = yield call
        finally:
            self._close(hook, run)

    def _close(self, hook: str, run: Generator[Any, Any, Any]) -> None:
        self.clock.enter(self.name, hook)
        try:
            run.close()
        except BaseException as error:  # the boundary: nobody waits for this one any more
            self.failed(hook, error)
        finally:
            self.clock.leave()

    # --- what went wrong --------------------------------------------------------------------------

    def failed(self, hook: str, error: BaseException) -> Fault:
        """Logs, counts and tells an exception of the extension's code; gives the error to raise."""
        if isinstance(error, Fault):  # counted where it happened
            return error
        if lacking(error):  # the machine's fault, and it passes
            log.warning("extension %r, %s: %s", self.name, hook, error)
            return Fault(self.name, hook, sentence_of(error, self.found))
        if isinstance(error, EaselError):  # said on purpose, where nobody waits for an answer
            log.warning("extension %r, %s: %s", self.name, hook, error)
            self._remember(f"{hook}: {error}")
            return Fault(self.name, hook, str(error))
        log.error("extension %r, %s failed", self.name, hook, exc_info=error)
        return self._count(hook, sentence_of(error, self.found))

    def fault(self, hook: str, sentence: str) -> Fault:
        """Logs, counts and tells something that the extension did wrong without an exception."""
        log.error("extension %r, %s: %s", self.name, hook, sentence)
        return self._count(hook, sentence)

    def _count(self, hook: str, sentence: str) -> Fault:
        """Whoever can send what an extension stumbles over must not take it from everybody else: of one asker the first
        failure counts. One that fails for several, or without anybody's request, is at fault itself."""
        self._remember(f"{hook}: {sentence}")
        whose = asker()
        with self._lock:
            counts = not (whose and whose in self._failed_for)
            self._failed_for.add(whose)
            self._failures += counts
            last = counts and self._failures == self.limits.failures
        if last:
            self.put_aside()
        return Fault(self.name, hook, sentence)

    def put_aside(self) -> None:
        if not self.set_aside:
            log.error("extension %r is set aside until the next start", self.name)
            self.set_aside = True

    def problem(self, sentence: str) -> None:
        """Something to tell about the extension that is no failure of its code."""
        log.warning("extension %r: %s", self.name, sentence)
        self._remember(sentence)

    def _remember(self, sentence: str) -> None:
        with self._lock:
            if sentence in self._problems or len(self._problems) < PROBLEMS:
                self._problems[sentence] = self._problems.get(sentence, 0) + 1

    # --- as faces see it --------------------------------------------------------------------------

    def status(self) -> ExtensionStatus:
        import_s, hooks_s = self.clock.seconds(self.name)
        state, restart = self._state()
        with self._lock:
            problems = [f"{s} ({n} times)" if n > 1 else s for s, n in self._problems.items()]
        return ExtensionStatus(
            name=self.name,
            source=self.found.source,
            bundled=self.found.bundled,
            state=state,
            version=self.found.version,
            about=self.found.about,
            guide=self.found.guide,
            title=self.found.title or self.name.replace("_", " ").capitalize(),
            hooks=self.hooks,
            import_s=import_s,
            hooks_s=hooks_s,
            problems=tuple(problems),
            hanging=self.clock.hanging(self.name, self.limits.hanging_s),
            restart=restart,
        )

    def _state(self) -> tuple[ExtensionState, str]:
        if not self.enabled:
            gone = self.loaded and self.has_menus
            return "off", Sentence("its menus and controls go after a restart") if gone else ""
        if self.excluded:
            return "off", Sentence(
                "it is on after a start without {excluded}", excluded=self.excluded
            )
        if self.ended_process:
            return "set aside", Sentence(
                "it is tried again when it is switched on and Easel is started anew"
            )
        if self.broken:
            return "failed", Sentence("a restart tries it again")
        if self.set_aside:
            return "set aside", Sentence("a restart tries it again")
        return ("on", "") if self.loaded else ("off", Sentence("it is on after a restart"))


def sentence_of(error: BaseException, found: Found) -> str:
    """An error in a few words, with the line of the extension's own source where it happened."""
    if isinstance(error, EaselError):
        return str(error)
    if isinstance(error, SyntaxError):
        name = Path(error.filename).name if error.filename else "its source"
        return f"{error.msg} ({name}, line {error.lineno})"
    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    if isinstance(error, SystemExit):
        what = Sentence("it called sys.exit({code})", code=repr(error.code))
    source = Path(found.source)
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if path == source or source in path.parents:
            return f"{what} ({path.name}, line {frame.lineno})"
    return what
