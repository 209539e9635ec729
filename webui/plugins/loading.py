"""Loading: find, import, ask what is registered. Whatever goes wrong is one extension's, and the start goes on."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any, Protocol

from webui import hookspecs
from webui.errors import RequestError, Sentence
from webui.plugins.clock import IMPORT, Clock
from webui.plugins.extension import Extension, Fault, Limits
from webui.plugins.extensions import Extensions
from webui.plugins.finding import Found, find, installed
from webui.plugins.hooks import Hooks, Implementation
from webui.plugins.importing import forget, import_extension
from webui.plugins.register import Register
from webui.registry import nearest
from webui.types import Call, Places

__all__ = ["load"]

OWN = "built-in"


class History(Protocol):
    """Who has ended the process before, and a note of whose code runs now, for the case that it does."""

    def enter_extension(self, name: str, hook: str) -> None: ...

    def leave(self) -> None: ...

    def aside(self, sources: Mapping[str, str]) -> Mapping[str, str]:
        """Those that have ended it too often, with a sentence for each; `sources` are all that were found."""
        ...

    def forgive(self, extension: str) -> None: ...


class Forgetful:
    """A `History` that knows nothing."""

    def enter_extension(self, name: str, hook: str) -> None: ...

    def leave(self) -> None: ...

    def aside(self, sources: Mapping[str, str]) -> Mapping[str, str]:
        return {}

    def forgive(self, extension: str) -> None: ...


def load(
    builtin: Any,
    folders: Sequence[Path],
    places: Places,
    *,
    api_version: str,
    bundled: Collection[str] = (),
    entries: Iterable[EntryPoint] | None = None,
    safe_mode: bool = False,
    without: Collection[str] = (),
    disabled: Collection[str] = (),
    keep: Callable[[Sequence[str]], None] = lambda names: None,
    reserved: Collection[str] = (),
    specifications: Any = hookspecs,
    limits: Limits | None = None,
    history: History | None = None,
    is_call: Callable[[Any], bool] = lambda value: isinstance(value, Call),
) -> Extensions:
    """Every extension of `folders` and of installed distributions, loaded.

    `builtin` is the module whose hooks register our own parts, before anybody's. The names in `bundled` are
    ours in the first folder; with `safe_mode` only those are loaded. `without` are left out of this start,
    `disabled` are switched off until somebody switches them on, which `keep` remembers. `entries` None are the
    installed entry points, `is_call` says what tasks may yield. Raises `RequestError` where `without` names an
    extension that is not there.
    """
    limits = limits or Limits()
    history = history or Forgetful()
    clock = Clock(entered=history.enter_extension, left=history.leave)
    hooks = Hooks(specifications)
    found, losers = find(
        folders,
        installed() if entries is None else entries,
        bundled=bundled,
        api_version=api_version,
    )
    names = [one.name for one in found]
    ended = history.aside({one.name: one.source for one in found})
    for name in without:
        if name not in names:
            raise RequestError(
                Sentence(
                    "--no-extension {name}: no such extension{hint}",
                    name=name,
                    hint=nearest(name, names),
                )
            )
    extensions = []
    for one in found:
        left_out = "--safe-mode" if safe_mode and not one.bundled else ""
        left_out = f"--no-extension {one.name}" if one.name in without else left_out
        extension = Extension(one, clock, limits, left_out, is_call)
        extension.enabled = one.name not in disabled
        if one.name in ended:
            extension.ended_process = True
            extension.problem(ended[one.name])
        extensions.append(extension)
    for name, source in losers:
        winner = extensions[names.index(name)]
        winner.problem(f"another extension of this name is left out: {source}")

    own = Extension(Found(OWN, OWN), clock, limits)
    own.loaded = True
    register = Register(own, reserved)
    register.ask(hooks.implementations(builtin, own), places)
    if problems := own.status().problems:
        raise AssertionError(problems)  # a bug of ours, never an extension's
    implementations: list[Implementation] = []
    for extension in extensions:
        if extension.enabled and not extension.excluded and not extension.ended_process:
            implementations += imported(extension, hooks)
    for extension in extensions:
        register.ask([one for one in implementations if one.extension is extension], places)
    return Extensions(
        extensions,
        implementations,
        register,
        places,
        clock,
        limits,
        keep,
        disabled,
        history.forgive,
    )


def imported(extension: Extension, hooks: Hooks) -> list[Implementation]:
    """Imports an extension and gives what it implements; nothing when that fails."""
    found = extension.found
    if found.problem:
        extension.broken = True
        extension.problem(found.problem)
        return []
    before = "torch" in sys.modules
    try:
        module = extension.limited(
            IMPORT, lambda: import_extension(found), extension.limits.import_s
        )
        implementations: list[Implementation] = extension.call(
            "its hooks", hooks.implementations, module, extension
        )
    except Fault:
        forget(found)
        extension.broken = True
        return []
    finally:
        if not before and "torch" in sys.modules:
            extension.problem(
                "importing it loads torch, so the page starts later; import torch inside functions"
            )
    if not implementations and not extension.status().problems:
        extension.problem("no function in it is a hook: mark one with @hookimpl")
    extension.loaded = True
    extension.hooks = tuple(dict.fromkeys(one.hook for one in implementations))
    return implementations
