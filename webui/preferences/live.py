"""The settings that hold at this moment. Any thread may ask and change."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from webui.errors import RequestError, Sentence
from webui.preferences.schema import SETTINGS, Setting
from webui.registry import nearest
from webui.settings import Settings

__all__ = ["Preferences", "State"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """A setting as it stands. `value` is what was chosen, or the default; `fixed`: the command line has given it;
    `waiting`: it acts from the next start on, and now another value holds."""

    setting: Setting
    value: Any
    default: Any
    fixed: bool
    waiting: bool

    @property
    def changed(self) -> bool:
        return bool(self.value != self.default)


class Preferences:
    """What was chosen, over the settings `base` of the command line.

    `saved` are values by the settings' names, as they were read; what cannot be meant is left out and told
    in `problems`, what nobody here knows stays (another version's, perhaps). `keep` puts all of it on disk and raises
    `EaselError` where it cannot; then nothing has changed. `settings` are those of the start; their
    `now` is `current()`.
    """

    def __init__(
        self,
        base: Settings,
        saved: Mapping[str, object] | None = None,
        keep: Callable[[Mapping[str, Any]], None] = lambda values: None,
    ) -> None:
        self._base = base
        self._keep = keep
        self._lock = threading.Lock()
        self._by_name = {setting.name: setting for setting in SETTINGS}
        self._saved: dict[str, Any] = {}
        problems = []
        for name, value in (saved or {}).items():
            try:
                self._saved[name] = self._read(name, value) if name in self._by_name else value
                self._with([name])
            except RequestError as error:
                self._saved.pop(name, None)
                problems.append(str(error))
        for problem in problems:
            log.error("settings.json: %s; the default holds", problem)
        self.problems = tuple(problems)
        self.settings = replace(self._with(self._by_name), source=self.current)
        self._current = self.settings

    def current(self) -> Settings:
        """The settings of this moment. What acts after a restart is as it was at the start."""
        return self._current

    def states(self) -> list[State]:
        """Every setting, in the schema's order."""
        default = Settings.at(self._base.data_dir)
        with self._lock:
            chosen = self._with(self._by_name)
            return [
                State(
                    setting=setting,
                    value=setting.of(chosen),
                    default=setting.of(default),
                    fixed=setting.name in self._base.fixed,
                    waiting=setting.of(chosen) != setting.of(self._current),
                )
                for setting in SETTINGS
            ]

    def change(self, values: Mapping[str, object]) -> None:
        """Sets values by name, all or none; None resets one. Raises `RequestError` with the field
        for what cannot be meant or is fixed, and what `keep` raises."""
        with self._lock:
            before = dict(self._saved)
            try:
                for name, value in values.items():
                    self._check(name)
                    if value is None:
                        self._saved.pop(name, None)
                    else:
                        self._saved[name] = self._read(name, value)
                chosen = self._with(self._by_name)
                self._keep(self._saved)
            except BaseException:
                self._saved = before
                raise
            at_once = [s.name for s in SETTINGS if not s.restart]
            self._current = replace(
                self.settings, **{name: getattr(chosen, name) for name in at_once}
            )

    def _check(self, name: str) -> None:
        if name not in self._by_name:
            hint = nearest(name, list(self._by_name))
            raise RequestError(
                Sentence("{name} is no setting{hint}", name=repr(name), hint=hint), name
            )
        setting = self._by_name[name]
        if name in self._base.fixed:
            flag = setting.flag or "the command line"
            raise RequestError(
                Sentence("{name}: {flag} has fixed it for this start", name=name, flag=flag), name
            )

    def _read(self, name: str, value: object) -> Any:
        return self._by_name[name].read(value)

    def _with(self, names: object) -> Settings:
        """The command line's settings with those that were chosen; raises `RequestError` for what is wrong."""
        assert isinstance(names, Mapping | list)
        values = {
            name: self._by_name[name].put(self._saved[name], self._base.data_dir)
            for name in names
            if name in self._saved and name in self._by_name and name not in self._base.fixed
        }
        return replace(self._base, **values)
