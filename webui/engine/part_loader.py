"""Brings what calls work with into memory, and says what is there: models, and what goes with them.

Reading happens beside the thread that owns the device (`read`, `bring`, `look`), to the host's memory, and runs no
network. What is asked on that thread (`resident`, `lacks`) asks no disk. `prepare`, `working` and `put_away` are its
own.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Generator, Hashable, Iterable, Iterator, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock, RLock

import torch

from webui.catalog.model_folders import AdapterFiles
from webui.engine.adapters.adapter_cache import AdapterCache, keys_of
from webui.engine.calls import CallType, register
from webui.engine.capacity import Capacity
from webui.engine.encoded_texts import TEXT, TextCache
from webui.engine.extension_networks import ExtensionNetworks, key_of
from webui.engine.file_faults import files_blamed
from webui.engine.model_cache import ModelCache, free_bytes, host_bytes
from webui.engine.model_reader import ModelReader, replaced
from webui.engine.networks import Networks, weight_bytes
from webui.engine.part_cache import Part, PartCache, Place
from webui.engine.placement import Placement
from webui.engine.preparing import prepare, prepared
from webui.engine.text.inversion_cache import InversionCache
from webui.engine.text.tokenizer import Tokenizer
from webui.engine.vaes import NONE, VaeName, Vaes
from webui.errors import RequestError, Sentence
from webui.prompt import Prompt
from webui.types import (
    Call,
    EncodeText,
    LoadAdapters,
    LoadModel,
    LoadNetwork,
    LoadVae,
    Model,
    ModelCard,
    ModelFacts,
    Network,
    Patch,
)

__all__ = ["Loading", "PartLoader", "Prepare"]

Loading = LoadModel | LoadNetwork | LoadVae | LoadAdapters
Loaded = Model | Network | str | Patch
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Prepare(Call):
    """A call of the engine's own: what only running them tells of networks that have been read for `loading`, on the
    thread that owns the device. The reply is that to `loading`."""

    loading: LoadModel | LoadVae


register(
    Prepare,
    CallType(
        run=lambda runner, call: runner.prepare(call),
        name=lambda call: Sentence("the model's first calls"),
    ),
)


class PartLoader:
    """See the module. Parts take at most `models_bytes` of the device's memory (None: a share of what is free now), but
    one model is always kept. `facts` is what is remembered of models that their files do not say. `beside` has
    something written by another thread."""

    def __init__(
        self,
        list_models: Callable[[], Sequence[ModelCard]],
        placement: Placement,
        models_bytes: int | None = None,
        facts: ModelFacts | None = None,
        adapter_files: AdapterFiles | None = None,
        beside: Callable[[Callable[[], None]], object] = lambda work: work(),
    ) -> None:
        files = adapter_files or AdapterFiles(())
        self.placement = placement
        self.capacity = Capacity()
        limit = free_bytes(placement.device) if models_bytes is None else models_bytes
        host = host_bytes(placement.device)
        self.parts = PartCache(limit, host, self._carry, self._left)
        self.model_cache = ModelCache(self.parts)
        self.vaes = Vaes(files, self.parts)
        self.adapter_cache = AdapterCache(files, self.parts)
        self.inversions = InversionCache(files, self.parts)
        self.extension_networks: ExtensionNetworks = ExtensionNetworks(placement, self.parts)
        self.texts = TextCache(self.parts)
        self._reader = ModelReader(
            list_models, placement, self.parts, self.model_cache, facts, self.capacity
        )
        self._facts = facts
        self._beside = beside
        self._chosen: dict[tuple[int, str], tuple[str, Path] | None] = {}
        self._loading = RLock()
        self._looking = Lock()

    # --- what is there: asks no disk --------------------------------------------------------------

    def resident(self, call: Loading) -> Loaded | None:
        """What `call` asks for, if it is in memory and its files were the same at the last look."""
        match call:
            case LoadNetwork():
                return self.extension_networks.resident(call)
            case LoadVae():
                networks = self.model_cache.of(call.model)
                if networks is None or (networks.serial, call.name) not in self._chosen:
                    return None
                found = self._chosen[networks.serial, call.name]
                if found is None:
                    return "" if networks.has_vae else None
                key = self.vaes.resident(networks, found[1])
                known = "preview" not in networks.unknown
                return None if key is None or not known else _named(*found, key)
            case LoadAdapters():
                networks = self.model_cache.of(call.model)
                return self.adapter_cache.resident(call, networks) if networks else None
        networks = self.model_cache.current(call.name)
        return networks.model if networks else None

    def present(self, model: Model) -> Networks | None:
        """The networks behind a handle if any part of them is in memory. Any thread may ask."""
        return self.model_cache.of(model)

    def tokenizer(self, model: str) -> Tokenizer | None:
        """The tokenizer of a model that is in memory. Any thread may ask."""
        found = self.model_cache.get(model)
        return found.text.tokenizer if found else None

    def lacks(self, call: Call) -> bool:
        """Whether something that a call works with has to be read first (`bring`)."""
        model = getattr(call, "model", None)
        if isinstance(model, Model):
            networks = self.model_cache.of(model)
            if networks is None or not self.model_cache.whole(networks):
                return True
            if isinstance(call, EncodeText):
                return self.inversions.unread(_widths(networks), *_texts(call))
            name = getattr(call, "vae", "")
            if isinstance(name, VaeName) and self._vae_there(networks, name) is None:
                return True
        return any(network not in self.extension_networks for network in _networks_of(call))

    # --- what pictures need -----------------------------------------------------------------------

    def hold(self, holder: Hashable, reply: object) -> bool:
        """What a call gave is `holder`'s until it is released: it is not dropped before. False where some of it has
        left the memory meanwhile."""
        keys = self._keys(reply)
        self.parts.hold(holder, keys)
        return all(key in self.parts for key in keys)

    def release(self, holder: Hashable) -> Set[Hashable]:
        """A picture has ended, or rests: what it needed may leave the memory. Gives the keys of that."""
        return self.parts.release(holder)

    def _keys(self, reply: object) -> list[Hashable]:
        match reply:
            case Prepare():
                networks = self._networks_for(reply)
                return [] if networks is None else networks.keys
            case Model():
                networks = self.model_cache.of(reply)
                return [] if networks is None else networks.keys
            case Network():
                return [key_of(reply)]
            case VaeName():
                return [reply.key]
        return keys_of(reply)

    # --- reading: beside the thread that owns the device ------------------------------------------

    def read(
        self, call: Loading, progress: Callable[[float], None] = lambda part: None
    ) -> Loaded | Prepare:
        """Reads a model, or what goes with one, or an extension's network; raises as those who load do. The reply, or
        the call that gives it, where networks have to be run first.

        `progress` hears how much of a model has arrived, from 0 to 1.
        """
        with self._loading:
            return self._read(call, progress)

    def _read(self, call: Loading, progress: Callable[[float], None]) -> Loaded | Prepare:
        if isinstance(call, LoadNetwork):
            return self.extension_networks.load(call)
        with files_blamed(call.name if isinstance(call, LoadModel) else call.model.name, "read"):
            match call:
                case LoadVae():
                    return self._read_vae(call)
                case LoadAdapters():
                    return self.adapter_cache.load(call, self.networks(call.model))
            networks = self._reader.read(call.name, progress)
            return networks.model if prepared(networks) else Prepare(call)

    def bring(self, call: Call, progress: Callable[[float], None] = lambda part: None) -> None:
        """Reads what a call lacks."""
        model = getattr(call, "model", None)
        with self._loading:
            if isinstance(model, Model):
                with files_blamed(model.name, "read"):
                    networks = self.networks(model, progress)
                    if isinstance(call, EncodeText):
                        self.inversions.find(_widths(networks), *_texts(call))
                    name = getattr(call, "vae", None)
                    key = None if name is None else self._vae_of(networks, name)
                    if isinstance(name, VaeName) and key not in name.keys(networks):
                        raise replaced(name, "VAE")
            for network in _networks_of(call):
                self.extension_networks.module(network)

    def look(self) -> None:
        """Looks whether files were replaced, added or taken away since. Asks the disk."""
        with self._looking:
            self.model_cache.look()
            self.vaes.look()
            self.adapter_cache.look()
            self.inversions.look()
            for (serial, name), before in list(self._chosen.items()):
                model = self._model_of(serial)
                if model is None or self._choice(LoadVae(model, name)) != before:
                    self._chosen.pop((serial, name), None)

    def _model_of(self, serial: int) -> Model | None:
        found = [self.model_cache.get(name) for name in self.model_cache]
        return next((one.model for one in found if one and one.serial == serial), None)

    def _choice(self, call: LoadVae) -> tuple[str, Path] | None:
        try:
            return self.vaes.chosen(call, self._reader.card(call.model.name))
        except RequestError:
            return None

    def _read_vae(self, call: LoadVae) -> str | Prepare:
        networks = self.networks(call.model)
        found = self._vae(call, networks)
        self._chosen[networks.serial, call.name] = found
        if found is None:
            return ""
        key = self.vaes.load(found[1], networks)
        if networks.has_vae or "preview" not in networks.unknown:
            return _named(*found, key)
        return Prepare(call)

    def _vae(self, call: LoadVae, networks: Networks) -> tuple[str, Path] | None:
        """The VAE that a call means, its name and its file; None for the model's own. `RequestError` where there is
        neither."""
        found = self.vaes.chosen(call, self._reader.card(call.model.name))
        if found is None and not networks.has_vae:
            stem = call.model.name.removesuffix(".safetensors")
            raise RequestError(
                Sentence(
                    "model {model} has no VAE of its own: choose one of models/VAE, or put "
                    "one beside it as {stem}.vae.safetensors",
                    model=repr(call.model.name),
                    stem=stem,
                ),
                "vae",
            )
        return found

    def _vae_of(self, networks: Networks, name: str) -> Hashable:
        """The key of the VAE of that name, "" for the model's own; read where it is not in memory."""
        if isinstance(name, VaeName):
            if (there := self._vae_there(networks, name)) is not None:
                return there
            if name.path.is_file():
                return self._vae_key(networks, name.path)
        if not name and networks.has_vae:
            return "vae", networks.serial
        found = self._vae(LoadVae(networks.model, name or NONE), networks)
        assert found is not None
        return self._vae_key(networks, found[1])

    def _vae_there(self, networks: Networks, name: VaeName) -> Hashable | None:
        """The key of the VAE that a picture was given, None where it is not in memory. Asks no disk."""
        return next((key for key in name.keys(networks) if key in self.parts), None)

    def _vae_key(self, networks: Networks, path: Path) -> tuple[Hashable, ...]:
        newest = self.vaes.newest(networks, path)
        if newest is not None and newest in self.parts:
            return newest
        return self.vaes.load(path, networks)

    def networks(
        self, model: Model, progress: Callable[[float], None] = lambda part: None
    ) -> Networks:
        """The networks behind a handle, read again where they had to make room. `RequestError` where the file that they
        came from is no longer there."""
        found = self.model_cache.of(model)
        if found is not None and self.model_cache.whole(found):
            return found
        with self._loading:
            if found is not None:
                return self._reader.completed(found, progress)
            anew = self._reader.read(model.name, progress)
            if "prediction" in anew.unknown:  # it was found out when the picture was begun
                anew.unknown.discard("prediction")
                anew.model = replace(anew.model, prediction=model.prediction)
        if anew.model != model:
            raise replaced(model.name)
        return anew

    # --- on the thread that owns the device -------------------------------------------------------

    def load(self, call: Loading, progress: Callable[[float], None] = lambda part: None) -> Loaded:
        """As `read`, for who owns the device: the reply."""
        reply = self.read(call, progress)
        if not isinstance(reply, Prepare):
            return reply
        slices = self.prepare(reply)
        while True:
            try:
                next(slices)
            except StopIteration as stop:
                found: Loaded = stop.value
                return found

    def prepare(self, call: Prepare) -> Generator[None, None, Loaded]:
        """Runs networks for what only that tells, a slice at a time; gives what was asked for."""
        loading = call.loading
        if isinstance(loading, LoadModel):
            found_model = self._networks_for(call)
            if found_model is None:  # it has left meanwhile
                found_model = self._reader.read(loading.name, lambda part: None)
            yield from self._prepare(found_model)
            return found_model.model
        networks = self.networks(loading.model)
        found = self._vae(loading, networks)
        assert found is not None
        key = self._vae_key(networks, found[1])
        with self.parts.using([key]):
            yield from self._prepare(networks, self.vaes.worn(networks, key))
        return _named(*found, key)

    def _networks_for(self, call: Prepare) -> Networks | None:
        loading = call.loading
        if isinstance(loading, LoadModel):
            return self.model_cache.get(loading.name)
        return self.model_cache.of(loading.model)

    def _prepare(
        self, networks: Networks, other_vae: Networks | None = None
    ) -> Generator[None, None, None]:
        card = networks.source.card if networks.source is not None else None
        if card is None or not networks.unknown:
            return
        finding = prepare(networks, card, self._facts, other_vae, self._beside)
        while True:
            with self.parts.using(networks.keys):
                if next(finding, StopIteration) is StopIteration:
                    return
            yield

    @contextmanager
    def working(
        self, model: Model, kinds: Iterable[str], others: Iterable[Hashable] = ()
    ) -> Iterator[Networks]:
        """Around a call: the networks of a model, of which these kinds of parts, and `others`, are on the device."""
        keys = list(others)
        while True:
            networks = self.networks(model)
            base = [(kind, networks.serial) for kind in kinds if kind in networks.kinds]
            with self.parts.using([*base, *keys]), self.parts.using(base) as there:
                if there:
                    yield networks
                    return

    @contextmanager
    def working_vae(self, model: Model, name: str) -> Iterator[Networks]:
        """Around a call: a model with the VAE of that name, "" for its own, on the device."""
        while True:
            networks = self.networks(model)
            key = self._vae_of(networks, name)
            with self.parts.using([key]) as there:
                if not there:
                    continue
                own = key == ("vae", networks.serial)
                wearing = networks if own else self.vaes.worn(networks, key)
                before = wearing.vae.dtype
                yield wearing
                if wearing.vae.dtype != before:
                    self.parts.resize(key, weight_bytes(wearing.vae))
                return

    def put_away(self, but: Model | None) -> None:
        """For want of memory: frees all that can be had again, of every model but one, and of the device."""
        networks = None if but is None else self.model_cache.of(but)
        serial = None if networks is None else networks.serial
        self.parts.put_away(lambda part: part.base and part.group == serial)
        gc.collect()
        if self.placement.device.type == "cuda":
            torch.cuda.empty_cache()
        elif self.placement.device.type == "mps":
            torch.mps.empty_cache()

    def _carry(self, part: Part, place: Place) -> None:
        device = self.placement.device if place == "device" else torch.device("cpu")
        with torch.inference_mode(False), torch.no_grad():
            part.value.to(device)
        if place == "host":
            self.capacity.freed()
            if self.placement.device.type == "cuda":
                torch.cuda.empty_cache()

    def _left(self, part: Part) -> None:
        if part.base:
            self.model_cache.left(part)
        self.adapter_cache.left(part)
        if part.kind != TEXT:
            self.capacity.freed()


def _named(name: str, path: Path, key: tuple[Hashable, ...]) -> VaeName:
    found = VaeName(name)
    found.path, found.key = path, key
    return found


def _widths(networks: Networks) -> tuple[int, ...]:
    return tuple(tower.width for tower in networks.text.towers)


def _texts(call: EncodeText) -> tuple[str | Prompt, str | Prompt]:
    return call.prompt, call.negative_prompt


def _networks_of(call: Call) -> list[Network]:
    """The networks of extensions that a call works with."""
    own = getattr(call, "network", None)
    control = [one.network for one in getattr(call, "control_networks", ())]
    return control if own is None else [own, *control]
