"""The table of calls: of each kind of device work that a task may yield, how it is made, which others it may share a
batch with, what of it outlives the process, and what people are told.

A further kind is a subclass of `webui.types.Call` and one `register`, here or beside its definition; no other file
knows the kinds. Imports no torch.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from webui.engine.row_groups import patch_sets
from webui.errors import Sentence, UnknownCallError
from webui.types import (
    Call,
    Condition,
    Decode,
    Denoise,
    Denoised,
    Encode,
    EncodeText,
    LoadAdapters,
    LoadModel,
    LoadNetwork,
    LoadVae,
    Patch,
    Residuals,
    RunNetwork,
)

if TYPE_CHECKING:
    from torch import Tensor

    from webui.engine.runner import Runner

__all__ = [
    "CallType",
    "InProgress",
    "Loads",
    "Progress",
    "Recording",
    "batch_key",
    "call_type",
    "is_call",
    "register",
    "row_count",
    "size_key",
]

log = logging.getLogger(__name__)
C = TypeVar("C", bound=Call)


# --- What an entry says ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a call has come: `part` from 0 to 1, and in a few words what it is at."""

    part: float
    words: str = ""


@dataclass(frozen=True, slots=True)
class Loads(Generic[C]):
    """A call that is made beside the loop, on the loading thread.

    `resident(runner, call)` is the reply if what it loads is in memory, else None. `load(runner, call, progress)`
    loads it; `progress` hears how much has arrived, from 0 to 1.
    """

    resident: Callable[[Runner, C], Any]
    load: Callable[[Runner, C, Callable[[float], None]], Any]


@dataclass(frozen=True, slots=True)
class Recording(Generic[C]):
    """What of a call and its reply is written into a picture's log.

    `described(call)` tells it from any other call: plain JSON, with tensors where their contents count. `kept(reply)`
    is the reply as tensors and plain JSON, nested in tuples and mappings, and `reply(kept)` the reply again; a
    tensor comes back on the device that it was on.
    """

    described: Callable[[C], Mapping[str, Any]]
    kept: Callable[[Any], Any] = lambda reply: reply
    reply: Callable[[Any], Any] = lambda kept: kept


@dataclass(frozen=True, slots=True)
class CallType(Generic[C]):
    """A kind of call.

    `run(runner, call)` makes one on the thread that owns the device and gives its reply. A long one is a generator:
    at each `yield` of a `Progress` (or None) the job's status says how far it is, and others' calls may be made.
    Calls with equal `key`s are made as one by `together(runner, calls)` while their `rows` fit; how many fit into the
    memory is learned of all calls of the same `size`. Without a
    `recording` a call is made again after a restart. `step(call)` is which of how many steps it is, from 0;
    `latent(reply)` what a picture looks like after it, for previews. `name(call)` is what people are told.
    """

    run: Callable[[Runner, C], Any]
    name: Callable[[C], str] = lambda call: type(call).__name__
    rows: Callable[[C], int] = lambda call: 1
    key: Callable[[C], Hashable | None] = lambda call: None
    together: Callable[[Runner, Sequence[C]], list[Any]] | None = None
    size: Callable[[C], Hashable] = lambda call: type(call).__name__
    recording: Recording[C] | None = None
    loads: Loads[C] | None = None
    step: Callable[[C], tuple[int, int]] = lambda call: (0, 0)
    latent: Callable[[Any], Tensor] | None = None


# --- The table ------------------------------------------------------------------------------------

_TABLE: dict[type[Call], CallType[Any]] = {}


def register(kind: type[C], entry: CallType[C]) -> None:
    """Adds a kind of call; `ValueError` where it is there already."""
    if kind in _TABLE:
        raise ValueError(f"calls of type {kind.__name__} are registered already")
    _TABLE[kind] = entry


def call_type(call: Any) -> CallType[Any]:
    """The entry of a call; `UnknownCallError` for what is none."""
    for kind in type(call).__mro__:
        if (entry := _TABLE.get(kind)) is not None:
            return entry
    raise UnknownCallError(
        Sentence(
            "a task yielded a value of type {name}, which is no call", name=type(call).__name__
        )
    )


def is_call(value: Any) -> bool:
    """Whether the table has an entry for it."""
    return any(kind in _TABLE for kind in type(value).__mro__)


def row_count(call: Call) -> int:
    """How much of the capacity a call takes: the rows of a UNet call, else one."""
    return call_type(call).rows(call)


def batch_key(call: Call) -> Hashable | None:
    """Calls with equal keys may be made as one; None for a call that is made alone."""
    return call_type(call).key(call)


def size_key(call: Call) -> Hashable:
    """Calls with equal ones take as much memory a row."""
    return call_type(call).size(call)


class InProgress:
    """A call that is being made, a slice at a time; `progress` is what its last slice said."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self.progress: Progress | None = None
        self.reply: Any = None
        self._slices: Generator[Progress | None, None, Any] | None = None

    def advance(self, runner: Runner) -> bool:
        """Makes one slice more; True once `reply` is there."""
        if self._slices is None:
            made = call_type(self.call).run(runner, self.call)
            if not isinstance(made, Generator):
                self.reply = made
                return True
            self._slices = made
        try:
            self.progress = next(self._slices)
        except StopIteration as stop:
            self.reply = stop.value
            return True
        return False

    def close(self) -> None:
        """Breaks it off between two slices."""
        if self._slices is not None:
            try:
                self._slices.close()
            except BaseException as error:  # the boundary: no call keeps a job from ending
                log.warning("%s ends badly: %r", type(self.call).__name__, error)


# --- Its entries ----------------------------------------------------------------------------------


def _denoise_key(call: Denoise) -> Hashable:
    context = tuple(call.rows[0].context.shape), any(row.mask is not None for row in call.rows)
    patches = call.patches, patch_sets(call)
    controls = tuple((one.network, one.once, _shapes(one.inputs)) for one in call.control_networks)
    return (call.model, tuple(call.x.shape), context, _shapes(call.inputs), patches, controls)


def _denoise_size(call: Denoise) -> Hashable:
    """What decides how much memory a row takes; holds no tensor, and no patch that might hold some."""
    context = tuple(call.rows[0].context.shape)
    control = tuple((one.network, _shapes(one.inputs)) for one in call.control_networks)
    return (call.model.name, tuple(call.x.shape), context, _shapes(call.inputs), control)


def _shapes(inputs: Mapping[str, Any]) -> Hashable:
    return tuple(sorted((name, tuple(tensor.shape)) for name, tensor in inputs.items()))


def _keys(patches: Sequence[Patch]) -> list[str]:
    return [patch.key() for patch in patches]


def _denoise_described(call: Denoise) -> Mapping[str, Any]:
    return {
        "sigma": call.sigma,
        "x": call.x,
        "rows": [[row.role, row.weight, _keys(row.patches)] for row in call.rows],
        "patches": _keys(call.patches),
        "adapters": [[a.network.key, a.weight] for a in call.control_networks],
    }


RESIDUALS = "Residuals"


def _network_kept(reply: Any) -> Any:
    if isinstance(reply, Residuals):
        return (RESIDUALS, reply.skips, reply.middle, reply.blocks)
    return reply


def _network_reply(kept: Any) -> Any:
    if isinstance(kept, tuple) and kept[:1] == (RESIDUALS,):
        return Residuals(*kept[1:])
    return kept


def _encode_text(runner: Runner, call: EncodeText) -> Generator[None, None, Condition]:
    encoding = runner.encode_on(call, None)
    while encoding.text is None:
        yield
        encoding = runner.encode_on(call, encoding)
    return encoding.text.condition(call)


def _loading(name: Callable[[C], str]) -> CallType[C]:
    """What the runner knows how to load, under a name."""
    return CallType(
        run=lambda runner, call: runner.load(call),
        name=name,
        loads=Loads(
            resident=lambda runner, call: runner.resident(call),
            load=lambda runner, call, progress: runner.read(call, progress),
        ),
    )


def _adapter_names(call: LoadAdapters) -> str:
    names = [name for name, _, _ in call.wanted]
    return ", ".join([*names, *(name for name, _ in call.hypernetworks)])


def _file_name(call: LoadNetwork) -> str:
    return f"model {call.key.replace(chr(92), '/').rpartition('/')[2]}"


register(LoadModel, _loading(lambda call: Sentence("model {name}", name=call.name)))
register(LoadVae, _loading(lambda call: Sentence("VAE {name}", name=call.name)))
register(LoadAdapters, _loading(_adapter_names))
register(LoadNetwork, _loading(_file_name))
register(EncodeText, CallType(run=_encode_text))
register(
    Denoise,
    CallType(
        run=lambda runner, call: runner.denoise([call])[0],
        together=lambda runner, calls: runner.denoise(calls),
        rows=lambda call: len(call.rows),
        key=_denoise_key,
        size=_denoise_size,
        recording=Recording(
            described=_denoise_described,
            kept=lambda reply: (reply.denoised, reply.cond, reply.uncond),
            reply=lambda kept: Denoised(*kept),
        ),
        step=lambda call: (call.step, call.steps),
        latent=lambda reply: reply.denoised,
    ),
)
register(
    Encode,
    CallType(
        run=lambda runner, call: runner.encode(call),
        recording=Recording(described=lambda call: {"x": call.pixels}),
    ),
)
register(
    Decode,
    CallType(
        run=lambda runner, call: runner.decode(call),
        recording=Recording(described=lambda call: {"x": call.latent}),
    ),
)
register(
    RunNetwork,
    CallType(
        run=lambda runner, call: runner.extension_networks.run(call),
        recording=Recording(
            described=lambda call: {
                "network": call.network.key,
                "x": list(call.inputs),
                "named": dict(call.named),
            },
            kept=_network_kept,
            reply=_network_reply,
        ),
        step=lambda call: (call.step, call.steps),
    ),
)
