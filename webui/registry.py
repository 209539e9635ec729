"""Frozen name -> value mappings, found the way people write names: in any case, by name, label or alias."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import is_
from types import MappingProxyType
from typing import Generic, TypeVar

from webui.errors import RequestError, Sentence
from webui.types import ModelCard, Sampler, Schedule, Task, Upscaler

T = TypeVar("T")

NAME_MAX = 200  # characters; what is longer is no slip of the finger, and comparing it takes long


def folded(name: str) -> str:
    """A name as it is looked for: in any case, "_" as good as a space."""
    return " ".join(name.replace("_", " ").lower().split())


class Registry(Mapping[str, T], Generic[T]):
    """Values by their exact name, in order; `find` is the lenient look-up for names that people type.

    `field` is the request field that the names belong to ("sampler_name"), for errors. `aliases` gives
    a value's other names. Of two values with one name the first wins.
    """

    def __init__(
        self,
        field: str,
        values: Iterable[tuple[str, T]],
        aliases: Callable[[T], Iterable[str]] = lambda value: (),
    ) -> None:
        self.field = field
        named: dict[str, T] = {}
        exact: dict[str, str] = {}
        for name, value in values:
            if name not in named:
                named[name] = value
                exact.setdefault(folded(name), name)
        for name, value in named.items():
            for alias in aliases(value):
                exact.setdefault(folded(alias), name)
        self._values = MappingProxyType(named)
        self._exact = exact

    def __getitem__(self, name: str) -> T:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def find(self, name: object) -> str:
        """The exact name for `name` in any case or by alias; else `RequestError` with the nearest."""
        if isinstance(name, str) and folded(name) in self._exact:
            return self._exact[folded(name)]
        raise RequestError(
            Sentence(
                "{name} {value} is not known{hint}",
                name=self.field,
                value=repr(name),
                hint=nearest(name, list(self._values)),
            ),
            self.field,
        )


def nearest(name: object, known: Sequence[str]) -> str:
    """What to say after an unknown name: the nearest of `known`, or a list of what there is."""
    lower = {k.lower(): k for k in known}
    typed = name.lower() if isinstance(name, str) and len(name) <= NAME_MAX else ""
    close = difflib.get_close_matches(typed, list(lower), n=1)
    if close:
        return Sentence("; did you mean {name}?", name=repr(lower[close[0]]))
    if not known:
        return Sentence("; there is none")
    return Sentence("; use {known}", known=", ".join(repr(k) for k in known[:12]))


@dataclass(frozen=True, slots=True)
class Catalog:
    """Everything that a request can name. Models and VAEs are asked for anew each time: files come and go."""

    tasks: Registry[Task]
    samplers: Registry[Sampler]
    schedules: Registry[Schedule]
    list_models: Callable[[], Sequence[ModelCard]]
    upscalers: Registry[Upscaler] = field(default_factory=lambda: Registry("upscaler", ()))
    list_vaes: Callable[[], Sequence[str]] = tuple
    _kept: list[tuple[Sequence[ModelCard], Registry[ModelCard]]] = field(
        default_factory=list, repr=False, compare=False
    )

    def models(self) -> Registry[ModelCard]:
        """The models found now, the default one first. Made anew when the cards are others: there may be thousands."""
        cards = tuple(self.list_models())
        for before, made in self._kept[:1]:
            if len(before) == len(cards) and all(map(is_, before, cards)):
                return made
        made = Registry("model", ((card.name, card) for card in cards), _known_as)
        self._kept[:] = [(cards, made)]
        return made

    def vaes(self) -> Registry[str]:
        """The names of the VAE files found now, and the two that need none."""
        names = ["automatic", "none", *self.list_vaes()]
        return Registry("vae", [(name, name) for name in names], _without_suffix)


def _known_as(card: ModelCard) -> tuple[str, ...]:
    """What infotexts of ours and of A1111 call a model: the file's name, its hash, both."""
    names = _without_suffix(card.name)
    return (
        (*names, card.hash, *(f"{name} [{card.hash}]" for name in (card.name, *names)))
        if card.hash
        else names
    )


def _without_suffix(name: str) -> tuple[str, ...]:
    """A file's name as people write it: without the suffix, without its folder."""
    plain = name.removesuffix(".safetensors")
    return (plain, name.rpartition("/")[2], plain.rpartition("/")[2])
