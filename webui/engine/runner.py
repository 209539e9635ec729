"""Makes the calls: the only place where a request's tensors meet a network.

Decides nothing: the scheduler says which calls share a batch. One thread owns it, but for `load`, which
runs beside (reading a file must not hold up the pictures that are being made).
"""

from __future__ import annotations

import gc
import logging
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import Any, TypeAlias
from weakref import WeakValueDictionary

import torch
from torch import Tensor

from webui.catalog.model_folders import AdapterFiles
from webui.engine import vae
from webui.engine.adapters.adapter_cache import AdapterCache, encoders
from webui.engine.calls import InProgress, call_type
from webui.engine.denoising import denoised
from webui.engine.extension_networks import ExtensionNetworks
from webui.engine.file_version import Version, is_as_listed
from webui.engine.loading import opened
from webui.engine.memory import out_of_memory
from webui.engine.model_cache import ModelCache, free_bytes
from webui.engine.networks import Networks
from webui.engine.placement import Placement
from webui.engine.preparing import prepare
from webui.engine.text.encoder import EncodedTexts
from webui.engine.text.tokenizer import Tokenizer
from webui.engine.tiling import Tiled, VaeTile
from webui.engine.vaes import NONE, Vaes
from webui.errors import CapacityError, EaselError, ModelFileError, RequestError
from webui.types import (
    Call,
    Decode,
    Denoise,
    Denoised,
    Encode,
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

__all__ = ["Encoding", "Loading", "Runner", "run_alone"]

Loading: TypeAlias = LoadModel | LoadNetwork | LoadVae | LoadAdapters
TEXTS = 64  # encoded prompts kept
log = logging.getLogger(__name__)


class Encoding:
    """A text that is being encoded by `run`, a slice a step; `text` is what came of it, with `notes`, `fault` why
    nothing did."""

    def __init__(
        self,
        key: Hashable,
        run: Iterator[None],
        text: EncodedTexts | None = None,
        notes: tuple[str, ...] = (),
    ) -> None:
        self.key = key
        self.notes = notes
        self.run = run
        self.text = text
        self.fault: Exception | None = None


class Runner:
    """Runs calls on the networks of resident models.

    Models take at most `models_bytes` (None: a share of what is free now), but one is always kept. `facts` is what is
    remembered of models that their files do not say.
    """

    def __init__(
        self,
        list_models: Callable[[], Sequence[ModelCard]],
        placement: Placement,
        models_bytes: int | None = None,
        facts: ModelFacts | None = None,
        adapter_files: AdapterFiles | None = None,
    ) -> None:
        self.placement = placement
        self.extension_networks: ExtensionNetworks = ExtensionNetworks(placement)
        self.calls = 0  # UNet calls made, and the rows in them: how full the batches are
        self.rows = 0
        self._list_models = list_models
        self._facts = facts
        self.vaes = Vaes(adapter_files or AdapterFiles(()))
        self.adapter_cache = AdapterCache(adapter_files or AdapterFiles(()))
        limit = free_bytes(placement.device) if models_bytes is None else models_bytes
        self.model_cache = ModelCache(limit)
        self._texts: OrderedDict[Hashable, EncodedTexts] = OrderedDict()
        self._encodings: WeakValueDictionary[Hashable, Encoding] = WeakValueDictionary()
        self._loading = Lock()

    # --- models -----------------------------------------------------------------------------------

    def resident(self, call: Loading) -> Model | Network | str | Patch | None:
        """What `call` asks for, if it is in memory."""
        match call:
            case LoadNetwork():
                return self.extension_networks.resident(call)
            case LoadVae():
                found = self._vae(call)
                if found is None:
                    return ""
                networks = self.model_cache.of(call.model)
                return found[0] if networks and self.vaes.resident(networks, found[1]) else None
            case LoadAdapters():
                networks = self.model_cache.of(call.model)
                return self.adapter_cache.resident(call, networks) if networks else None
        networks = self.model_cache.current(call.name)
        return networks.model if networks else None

    def load(
        self,
        call: Loading,
        progress: Callable[[float], None] = lambda part: None,
    ) -> Model | Network | str | Patch:
        """Makes a model, or what goes with one, or an extension's network resident; raises as those who load do.

        `progress` hears how much of a model has arrived, from 0 to 1.
        """
        if isinstance(call, LoadNetwork):
            return self.extension_networks.load(call)
        with files_blamed(call.name if isinstance(call, LoadModel) else call.model.name, "read"):
            match call:
                case LoadVae():
                    found = self._vae(call)
                    if found is not None:
                        self._wear(found[1], call.model)
                    return found[0] if found else ""
                case LoadAdapters():
                    return self.adapter_cache.load(call, self.networks(call.model))
            return self._load(call.name, progress).model

    def _load(self, name: str, progress: Callable[[float], None] = lambda part: None) -> Networks:
        with self._loading:
            if self.model_cache.current(name) is not None:
                return self.model_cache.used(name)
            card = self._card_now(name)
            if card is None:
                raise RequestError(f"model {name!r} is no longer there", "model")
            version = Version.of(card)  # asked first: a file that changes meanwhile is read again
            networks = self._loaded(card, self.model_cache.limit, progress)
            if (
                networks is None
            ):  # more is taken than by models alone: once more, without the others
                networks = self._loaded(card, 0, progress)
            if networks is None:
                raise CapacityError(
                    f"model {name!r} does not fit into the memory of {self.placement.device}"
                )
            if name in self.model_cache:
                log.info("the files of %s were replaced", name)
                self._forget(name)
            networks.model = replace(networks.model, parts=version.parts)
            self.model_cache.add(name, networks, version)
            if self._facts is not None:
                self._facts.used(card)
            return networks

    def _card(self, name: str) -> ModelCard | None:
        return next((card for card in self._list_models() if card.name == name), None)

    def _card_now(self, name: str) -> ModelCard | None:
        """The card of the file that is there now, which a list made a moment ago may not know."""
        card = self._card(name)
        if card is None or is_as_listed(card):
            return card
        anew = getattr(self._list_models, "anew", self._list_models)
        return next((card for card in anew() if card.name == name), None)

    def _forget(self, name: str) -> None:
        """Drops what was read for a model that leaves the memory."""
        self.adapter_cache.forget(name)
        self.vaes.forget(name)

    def _loaded(
        self, card: ModelCard, limit: int, progress: Callable[[float], None]
    ) -> Networks | None:
        """A model from its files, None where the memory does not suffice; the others keep `limit` less its size."""
        fresh = opened(card, self.placement)  # a bad file costs no other model its place
        if gone := self.model_cache.make_room(fresh.bytes, limit):
            log.info("made room for %s: %s", card.name, ", ".join(gone))
            for name in gone:
                self._forget(name)
            if self.placement.device.type == "cuda":
                torch.cuda.empty_cache()
        try:
            found = fresh.read(self._facts, progress)
            for _ in prepare(found, card, self._facts):
                pass
            return found
        except (RuntimeError, MemoryError, OSError) as error:
            if not out_of_memory(error):
                raise
            log.warning("model %s: %s", card.name, error)
            return None

    def put_away(self, but: Model | None) -> None:
        """Frees all the memory that can be had again: of every model but one, of encoded texts, of the device."""
        with self._loading:
            for name in self.model_cache.leave(but):
                self._forget(name)
        self._texts.clear()
        gc.collect()
        if self.placement.device.type == "cuda":
            torch.cuda.empty_cache()
        elif self.placement.device.type == "mps":
            torch.mps.empty_cache()

    def networks(self, model: Model) -> Networks:
        """The networks behind a handle, read again if they had to make room. `RequestError` where the file that they
        came from is no longer there."""
        if (found := self.model_cache.of(model)) is not None:
            return found
        found = self._load(model.name)
        if found.model != model:
            raise RequestError(
                f"the file of model {model.name!r} was replaced while a picture was made with it; make it again",
                "model",
            )
        return found

    def present(self, model: Model) -> Networks | None:
        """The networks behind a handle if they are in memory. Any thread may ask."""
        return self.model_cache.of(model)

    def tokenizer(self, model: str) -> Tokenizer | None:
        """The tokenizer of a model that is in memory. Any thread may ask."""
        found = self.model_cache.get(model)
        return found.text.tokenizer if found else None

    # --- calls ------------------------------------------------------------------------------------

    def run(self, calls: Sequence[Call]) -> list[Any]:
        """The replies to `calls`, which may share a batch: several only where their keys are equal.

        Raises `CapacityError` when the memory does not suffice.
        """
        together = call_type(calls[0]).together
        if len(calls) > 1 and together is not None:
            with self._told(calls[0]):
                return together(self, calls)
        return [self._to_the_end(InProgress(call)) for call in calls]

    def _to_the_end(self, making: InProgress) -> Any:
        while not self.advance(making):
            pass
        return making.reply

    def advance(self, making: InProgress) -> bool:
        """One slice more of a call; whether its reply is there. Raises as `run` does."""
        with self._told(making.call):
            return making.advance(self)

    def encode_on(self, call: EncodeText, begun: Encoding | None) -> Encoding:
        """One slice of a text more, of an encoding that was `begun` or of a new one; it is done where it has a `text`.
        Who asks for the same text meanwhile shares it."""
        encoding = begun or self._encoding(call)
        if encoding.fault is not None:
            raise encoding.fault
        if encoding.text is None:
            try:
                next(encoding.run)
            except StopIteration as stop:
                encoding.text = self._keep_text(
                    encoding.key, replace(stop.value, notes=encoding.notes)
                )
            except Exception as fault:  # everybody's who shares it
                encoding.fault = fault
                self._encodings.pop(encoding.key, None)
                raise
        return encoding

    @contextmanager
    def _told(self, call: Call) -> Iterator[None]:
        """Errors of the device as sentences; what nobody foresaw is told as a fault of the model's files."""
        model = getattr(call, "model", None)
        try:
            with files_blamed(model.name, "run") if isinstance(model, Model) else nullcontext():
                yield
        except (RuntimeError, MemoryError, OSError) as error:  # torch's own is a RuntimeError
            if not out_of_memory(error):
                raise
            raise CapacityError(
                f"not enough memory on {self.placement.device} for this size: use a smaller one"
            ) from error

    def encode(self, call: Encode) -> Tensor:
        return vae.encode(self._with_vae(call.model, call.vae), call.pixels[None])[0]

    def decode(self, call: Decode) -> Tensor:
        return vae.decode(self._with_vae(call.model, call.vae), call.latent[None])[0]

    def vae_tile(self, call: VaeTile) -> Tiled:
        return vae.tile(self._with_vae(call.model, call.vae), call.tile)

    def _with_vae(self, model: Model, name: str) -> Networks:
        """A model with the VAE of that name, "" for its own."""
        networks = self.networks(model)
        found = self._vae(LoadVae(model, name or NONE)) if name or not networks.has_vae else None
        return networks if found is None else self.vaes.worn(networks, found[1])

    def _vae(self, call: LoadVae) -> tuple[str, Path] | None:
        """The VAE that a call means, its name and its file; None for the model's own. `RequestError` where there is
        neither."""
        found = self.vaes.chosen(call, self._card(call.model.name))
        networks = self.model_cache.of(call.model)
        if found is None and networks is not None and not networks.has_vae:
            stem = call.model.name.removesuffix(".safetensors")
            raise RequestError(
                f"model {call.model.name!r} has no VAE of its own: choose one of models/VAE, or put one beside it "
                f"as {stem}.vae.safetensors",
                "vae",
            )
        return found

    def _wear(self, path: Path, model: Model) -> None:
        networks = self.networks(model)
        self.vaes.load(path, networks)
        card = self._card(model.name)
        if not networks.has_vae and card is not None:
            for _ in prepare(networks, card, other_vae=self.vaes.worn(networks, path)):
                pass

    def _encoding(self, call: EncodeText) -> Encoding:
        """The encoding of a text: one that was made before, one that somebody is at, or a new one."""
        networks = self.networks(call.model)
        words, notes = self.adapter_cache.inversions(networks, (call.prompt, call.negative_prompt))
        asked = (call.prompt, call.negative_prompt, call.clip_skip, call.lora)
        key = (networks.serial, *asked, *words, notes)
        if key in self._texts:
            self._texts.move_to_end(key)
            return Encoding(key, iter(()), self._texts[key])
        found = self._encodings.get(key)
        if found is None:

            def worn() -> AbstractContextManager[None]:
                lora = call.lora
                return lora.encoding(encoders(networks)) if lora else nullcontext()

            run = networks.text.encoding(*asked[:3], words, worn)
            found = self._encodings[key] = Encoding(key, run, notes=notes)
        return found

    def _keep_text(self, key: Hashable, text: EncodedTexts) -> EncodedTexts:
        self._texts[key] = text
        while len(self._texts) > TEXTS:
            self._texts.popitem(last=False)
        return text

    def denoise(self, calls: Sequence[Denoise]) -> list[Denoised]:
        self.calls += 1
        self.rows += sum(len(call.rows) for call in calls)
        return denoised(self.networks(calls[0].model), calls, self.extension_networks)


@contextmanager
def files_blamed(model: str, how: str) -> Iterator[None]:
    """A boundary: what no check foresaw of a model's files is told as their fault, and not as nobody's."""
    try:
        yield
    except Exception as error:
        ending = "interpreter shutdown" in str(error)  # Easel ends while a model is loaded
        if isinstance(error, EaselError) or out_of_memory(error) or ending:
            raise
        log.exception("model %s cannot be %s", model, how)
        why = next(iter(str(error).splitlines()), "") or "no reason told"
        raise ModelFileError(
            f"model {model!r}: its files cannot be {how} ({type(error).__name__}: {why[:200]}); they are damaged, or "
            "made for something else than they say"
        ) from error


def run_alone(run: Any, runner: Runner) -> Any:
    """Drives one task (or sampling) to its end, every call by itself, and gives what it returns."""
    reply = None
    with torch.inference_mode():
        while True:
            try:
                call = run.send(reply)
            except StopIteration as stop:
                return stop.value
            reply = runner.run([call])[0]
