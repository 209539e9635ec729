"""An extension's implementations of hooks: found in its module and held against what the hooks offer.

pluggy marks and describes them; the calls are our own, one implementation at a time, because pluggy gives up a
whole call when one raises.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pluggy

from webui.hookspecs import PROJECT
from webui.plugins.extension import Extension
from webui.registry import nearest

__all__ = ["Hooks", "Implementation"]

ORDINARY = ("startup", "shutdown")  # names that functions have which are no hooks


@dataclass(frozen=True, slots=True)
class Implementation:
    """One extension's function for one hook; `takes` are the arguments that it names."""

    extension: Extension
    hook: str
    function: Callable[..., Any]
    takes: tuple[str, ...] = ()
    priority: int = 0

    @property
    def order(self) -> tuple[int, str]:
        return self.priority, self.extension.name

    def call(self, **offered: Any) -> Any:
        """The function's answer, on this thread."""
        given = {name: offered[name] for name in self.takes}
        return self.extension.call(self.hook, self.function, **given)

    def limited(self, limit_s: float, *, answers: bool = False, **offered: Any) -> Any:
        """The function's answer, waited for at most `limit_s` seconds."""
        given = {name: offered[name] for name in self.takes}
        return self.extension.limited(
            self.hook, lambda: self.function(**given), limit_s, answers=answers
        )


class Hooks:
    """The hooks that there are, read from a module (or any namespace) of hook specifications."""

    def __init__(self, specifications: Any) -> None:
        self._pluggy = pluggy.PluginManager(PROJECT)
        self._pluggy.add_hookspecs(specifications)
        self._offers: dict[str, Any] = {}
        for name in dir(self._pluggy.hook):
            caller = getattr(self._pluggy.hook, name)
            if isinstance(caller, pluggy.HookCaller) and caller.spec is not None:
                self._offers[name] = caller.spec

    def implementations(self, module: Any, extension: Extension) -> list[Implementation]:
        """What `module` implements. What it gets wrong is told to `extension`, and left out."""
        return list(self._marked(module, extension))

    def _marked(self, module: Any, extension: Extension) -> Iterator[Implementation]:
        for name in dir(module):
            function = inspect.getattr_static(module, name, None)
            options = self._pluggy.parse_hookimpl_opts(module, name)
            if options is None:
                own = getattr(function, "__module__", None) == getattr(module, "__name__", "")
                if own and name in self._offers and name not in ORDINARY:
                    extension.problem(f"{name} is a hook's name; mark the function with @hookimpl")
                continue
            hook = options.get("specname") or name
            if hook not in self._offers:
                known = nearest(hook, list(self._offers))
                extension.problem(f"there is no hook {hook!r}{known}")
            elif options.get("wrapper") or options.get("hookwrapper"):
                extension.problem(f"{hook}: pluggy's wrappers are not for Easel's hooks")
            else:
                made = self._checked(hook, getattr(module, name), extension)
                if made is not None:
                    yield made

    def _checked(
        self, hook: str, function: Callable[..., Any], extension: Extension
    ) -> Implementation | None:
        """The implementation, None where it asks for an argument that the hook does not offer."""
        specification = self._offers[hook]
        offered = tuple(specification.argnames)
        takes = []
        for name, parameter in inspect.signature(function).parameters.items():
            if parameter.kind is parameter.VAR_KEYWORD:
                takes += [other for other in offered if other not in takes]
            elif name in offered and parameter.kind is not parameter.POSITIONAL_ONLY:
                takes.append(name)
            elif parameter.default is parameter.empty and parameter.kind not in (
                parameter.VAR_POSITIONAL,
            ):
                has = ", ".join(offered) if offered else "none"
                extension.problem(f"{hook}: there is no argument {name!r}; it offers {has}")
                return None
        self._warn(hook, function, takes, extension)
        priority = getattr(function, "easel_priority", 0)
        if not isinstance(priority, int):
            extension.problem(f"{hook}: priority {priority!r} is no whole number; 0 is taken")
            priority = 0
        return Implementation(extension, hook, function, tuple(takes), priority)

    def _warn(
        self, hook: str, function: Callable[..., Any], takes: list[str], extension: Extension
    ) -> None:
        """Tells what is deprecated: the hook itself, or arguments that `function` takes."""
        specification = self._offers[hook]
        deprecated: Mapping[str, Warning] = specification.warn_on_impl_args or {}
        said = (
            [] if specification.warn_on_impl is None else [f"{hook}: {specification.warn_on_impl}"]
        )
        said += [
            f"{hook}, argument {name!r}: {deprecated[name]}" for name in takes if name in deprecated
        ]
        for sentence in said:
            extension.problem(sentence)
            code = inspect.unwrap(function).__code__
            warnings.warn_explicit(
                f"extension {extension.name!r}, {sentence}",
                DeprecationWarning,
                code.co_filename,
                code.co_firstlineno,
                module=function.__module__,
            )
