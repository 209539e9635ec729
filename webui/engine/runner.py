"""Makes the calls: the only place where a request's tensors meet a network.

Decides nothing: the scheduler says which calls share a batch. One thread owns it, but for `load`, which
runs beside (reading a file must not hold up the pictures that are being made).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from threading import Lock
from typing import Any

import torch
from torch import Tensor

from webui.engine import vae
from webui.engine.attention import fault_of
from webui.engine.denoiser import PREDICTIONS, input_scale, timestep
from webui.engine.guests import Guests
from webui.engine.loading import Networks, load
from webui.engine.placement import Placement
from webui.engine.text.tokenizer import Tokenizer
from webui.errors import CapacityError, RequestError
from webui.types import (
    Call,
    Condition,
    Decode,
    Denoise,
    Denoised,
    Encode,
    EncodeText,
    LoadModel,
    LoadNetwork,
    Model,
    ModelCard,
    Network,
    Patch,
    RunNetwork,
    TextCondition,
)

__all__ = ["Runner", "run_alone"]

RESIDENT = 2  # models kept in memory
TEXTS = 64  # encoded prompts kept
CPU_FULL = "can't allocate memory"  # how torch's CPU allocator says it


class Runner:
    """Runs calls on the networks of resident models."""

    def __init__(
        self,
        list_models: Callable[[], Sequence[ModelCard]],
        placement: Placement,
    ) -> None:
        self.placement = placement
        self.guests = Guests(placement)
        self.calls = 0  # UNet calls made, and the rows in them: how full the batches are
        self.rows = 0
        self._list_models = list_models
        self._networks: OrderedDict[str, Networks] = OrderedDict()
        self._texts: OrderedDict[Hashable, TextCondition] = OrderedDict()
        self._loading = Lock()

    # --- models -----------------------------------------------------------------------------------

    def resident(self, call: LoadModel | LoadNetwork) -> Model | Network | None:
        """What `call` asks for, if it is in memory."""
        if isinstance(call, LoadNetwork):
            return self.guests.resident(call)
        networks = self._networks.get(call.name)
        return networks.model if networks else None

    def load(self, call: LoadModel | LoadNetwork) -> Model | Network:
        """Makes a model or an extension's network resident; raises as `loading.load` and `Guests.load` do."""
        return self.guests.load(call) if isinstance(call, LoadNetwork) else self._load(call.name)

    def _load(self, name: str) -> Model:
        with self._loading:
            if name not in self._networks:
                card = next((c for c in self._list_models() if c.name == name), None)
                if card is None:
                    raise RequestError(f"model {name!r} is no longer there", "model")
                self._networks[name] = load(card, self.placement)
                while len(self._networks) > RESIDENT:
                    self._networks.popitem(last=False)
            self._networks.move_to_end(name)
            return self._networks[name].model

    def networks(self, model: Model) -> Networks:
        """The networks behind a handle, read again if they had to make room."""
        found = self._networks.get(model.name)
        if found is None:
            self._load(model.name)
            found = self._networks[model.name]
        return found

    def tokenizer(self, model: str) -> Tokenizer | None:
        """The tokenizer of a model that is in memory. Any thread may ask."""
        found = self._networks.get(model)
        return found.text.tokenizer if found else None

    # --- calls ------------------------------------------------------------------------------------

    def run(self, calls: Sequence[Call]) -> list[Any]:
        """The replies to `calls`, which may share a batch: several only when all are `Denoise`.

        Raises `CapacityError` when the memory does not suffice.
        """
        try:
            if len(calls) > 1 or isinstance(calls[0], Denoise):
                return self._denoise([call for call in calls if isinstance(call, Denoise)])
            return [self._run_one(calls[0])]
        except RuntimeError as error:  # torch.OutOfMemoryError is one; the CPU's has only its text
            if not isinstance(error, torch.OutOfMemoryError) and CPU_FULL not in str(error):
                raise
            raise CapacityError(
                f"not enough memory on {self.placement.device} for this size: use a smaller one"
            ) from error

    def _run_one(self, call: Call) -> Any:
        match call:
            case LoadModel() | LoadNetwork():
                return self.load(call)
            case RunNetwork():
                return self.guests.run(call)
            case EncodeText():
                return Condition(call.model, self._text(call))
            case Encode():
                return vae.encode(self.networks(call.model), call.pixels[None])[0]
            case Decode():
                return vae.decode(self.networks(call.model), call.latent[None])[0]
        raise TypeError(f"a task yielded {call!r}, which is no call")

    def _text(self, call: EncodeText) -> TextCondition:
        key = (call.model, call.prompt, call.negative_prompt, call.clip_skip)
        if key not in self._texts:
            encoder = self.networks(call.model).text
            self._texts[key] = encoder.encode(call.prompt, call.negative_prompt)
            while len(self._texts) > TEXTS:
                self._texts.popitem(last=False)
        self._texts.move_to_end(key)
        return self._texts[key]

    def _denoise(self, calls: Sequence[Denoise]) -> list[Denoised]:
        """One UNet call for all rows of all `calls`."""
        networks = self.networks(calls[0].model)
        owner = [i for i, call in enumerate(calls) for _ in call.rows]
        self.calls += 1
        self.rows += len(owner)

        device, dtype = self.placement.device, self.placement.dtype
        sigmas = [call.sigma for call in calls]
        x = torch.stack([call.x for call in calls])  # [N, C, h, w]
        scale = torch.tensor([input_scale(s) for s in sigmas], device=device)
        seen = scaled = (x * scale.view(-1, 1, 1, 1)).to(dtype)[owner]  # [R, C, h, w]
        if "concat" in calls[0].inputs:
            extra = torch.stack([call.inputs["concat"] for call in calls]).to(dtype)
            seen = torch.cat([seen, extra[owner]], dim=1)
        texts = [row.context for call in calls for row in call.rows]
        context = torch.stack(texts).to(dtype)  # [R, 77 * chunks, D]
        levels = calls[0].model.sigmas
        times = [timestep(s, levels) for s in sigmas]
        steps = torch.tensor(times, device=device, dtype=torch.float32)[owner]

        added = self.guests.residuals([c.adapters for c in calls], owner, scaled, steps, context)
        down, mid = added or (None, None)
        with patched(networks, calls), self.guests.blamed(calls[0].adapters):
            output = networks.unet(
                seen,
                steps,
                context,
                down_block_additional_residuals=down,
                mid_block_additional_residual=mid,
                return_dict=False,
            )[0].float()

        replies, first = [], 0
        for call, latent in zip(calls, x, strict=True):
            c_skip, c_out = PREDICTIONS[networks.model.prediction](call.sigma)
            last = first + len(call.rows)
            replies.append(_guided(call, latent * c_skip + output[first:last] * c_out))
            first = last
        return replies


@contextmanager
def patched(networks: Networks, calls: Sequence[Denoise]) -> Iterator[None]:
    """The UNet as the patches of `calls` want it: those of the calls, which are equal, and those of rows."""
    rows: dict[tuple[Patch, ...], list[int]] = {}
    for number, row in enumerate(row for call in calls for row in call.rows):
        if row.patches:
            rows.setdefault(row.patches, []).append(number)
    whole, patching = calls[0].patches, networks.patching
    with ExitStack() as undo:
        for patch in whole:
            try:
                undo.enter_context(patch.applied(networks.unet))
            except Exception as error:  # the boundary: an extension's fault has its name
                raise fault_of(patch, error) from error
        patching.whole, patching.rows = whole, rows
        try:
            yield
        finally:
            patching.whole, patching.rows = (), {}


def _guided(call: Denoise, predictions: Tensor) -> Denoised:
    """The weighted sum of a call's rows [rows, C, h, w], and its conditional and unconditional parts."""
    rows = call.rows
    denoised = predictions[0] * rows[0].weight
    for row, prediction in zip(rows[1:], predictions[1:], strict=True):
        denoised = denoised + prediction * row.weight
    parts = {row.role: prediction for row, prediction in zip(rows, predictions, strict=True)}
    return Denoised(denoised, parts.get("cond"), parts.get("uncond"))


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
