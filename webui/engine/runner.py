"""Makes the calls: the only place where a request's tensors meet a network.

Decides nothing: the scheduler says which calls share a batch. One thread owns it; what is read from files is read
beside it (`part_loader`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from webui.engine import vae
from webui.engine.adapters.adapter_cache import encoders, keys_of
from webui.engine.adapters.patch import LoraPatch
from webui.engine.calls import InProgress, call_type
from webui.engine.denoising import denoised
from webui.engine.encoded_texts import Encoding
from webui.engine.file_faults import files_blamed
from webui.engine.memory import out_of_memory
from webui.engine.part_loader import Loading, PartLoader
from webui.engine.tiling import Tiled, VaeTile
from webui.errors import CapacityError, Sentence
from webui.types import Call, Decode, Denoise, Denoised, Encode, EncodeText, Model

__all__ = ["Encoding", "Loading", "Runner", "run_alone"]


class Runner(PartLoader):
    """Runs calls on the networks of models that are in memory, which `PartLoader` brings there."""

    calls = 0  # UNet calls made, and the rows in them: how full the batches are
    rows = 0

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
            with self.working(call.model, ["text encoder"], keys_of(call.lora)) as networks:
                try:
                    next(encoding.run)
                except StopIteration as stop:
                    text = replace(stop.value, notes=encoding.notes)
                    encoding.text = self.texts.keep(networks.serial, encoding.key, text)
                except Exception as fault:  # everybody's who shares it
                    encoding.fault = fault
                    self.texts.begun.pop(encoding.key, None)
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
                Sentence(
                    "not enough memory on {device} for this size: use a smaller one",
                    device=self.placement.device,
                )
            ) from error

    def encode(self, call: Encode) -> Tensor:
        with self.working_vae(call.model, call.vae) as networks:
            return vae.encode(networks, call.pixels[None])[0]

    def decode(self, call: Decode) -> Tensor:
        with self.working_vae(call.model, call.vae) as networks:
            return vae.decode(networks, call.latent[None])[0]

    def vae_tile(self, call: VaeTile) -> Tiled:
        with self.working_vae(call.model, call.vae) as networks:
            return vae.tile(networks, call.tile)

    def _encoding(self, call: EncodeText) -> Encoding:
        """The encoding of a text: one that was made before, one that somebody is at, or a new one."""
        networks = self.networks(call.model)
        widths = tuple(tower.width for tower in networks.text.towers)
        prompt, negative = self.inversions.parsed(call.prompt, call.negative_prompt)
        inversions, notes = self.inversions.find(widths, prompt, negative)
        worn = call.lora.text_key if isinstance(call.lora, LoraPatch) else call.lora
        asked = (prompt.words, negative.words, call.clip_skip)
        key = (networks.serial, *asked, worn, *inversions, notes)
        if (known := self.texts.find(key)) is not None:
            return Encoding(key, iter(()), known)
        found = self.texts.begun.get(key)
        if found is None:

            def patched() -> AbstractContextManager[None]:
                lora = call.lora
                return lora.encoding(encoders(networks)) if lora else nullcontext()

            run = networks.text.encoding(prompt, negative, call.clip_skip, inversions, patched)
            found = self.texts.begun[key] = Encoding(key, run, notes=notes)
        return found

    def denoise(self, calls: Sequence[Denoise]) -> list[Denoised]:
        self.calls += 1
        self.rows += sum(len(call.rows) for call in calls)
        rows = [row for call in calls for row in call.rows]
        patches = {*calls[0].patches, *(patch for row in rows for patch in row.patches)}
        used = [key for patch in patches for key in keys_of(patch)]
        control = [one.network for one in calls[0].control_networks]
        with (
            self.extension_networks.working(control),
            self.working(calls[0].model, ["unet"], used) as networks,
        ):
            return denoised(networks, calls, self.extension_networks)


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
