"""A picture's replies, kept while it is made and given again after a restart. Knows calls and tensors; knows no file.

The task is started anew and receives the recorded replies without a network being run, so it stands exactly where it
stood, with any sampler. A reply that is recorded is the engine's own (after guidance, before denoise wrappers, whose
code runs again and sees it like a fresh one).
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from webui.types import Call, Decode, Denoise, Denoised, Encode, Model, RunNetwork
from webui.types.persistence import Record, Replies

__all__ = ["MISSING", "OtherCall", "Replay"]

MISSING = object()  # nothing is recorded for the call
KINDS = {"float32": torch.float32, "uint8": torch.uint8, "int64": torch.int64}


class OtherCall(Exception):
    """The next record answers another call than the one that is made: the log is worth nothing."""


class Replay:
    """One picture's log. `recall` before a call is made, `record` after it was."""

    def __init__(self, log: Replies, header: Mapping[str, Any], device: torch.device) -> None:
        self._log = log
        self._device = device
        self._waiting = deque(log.read(header))
        self.replayed = len(self._waiting)

    def recall(self, call: Call) -> Any:
        """The reply that was recorded for `call`, or `MISSING`. Raises `OtherCall` where another was recorded."""
        if not self._waiting or not isinstance(call, Denoise | Encode | Decode | RunNetwork):
            return MISSING
        record = self._waiting.popleft()
        if record.call != described(call):
            raise OtherCall(f"{record.call['kind']} was recorded, {type(call).__name__} is asked")
        return self._reply(call, [self._tensor(part) for part in record.parts])

    def model(self, model: Model) -> None:
        """Notes which model was loaded; raises `OtherCall` where it was another file."""
        what = {"kind": "model", "name": model.name, "hash": model.hash}
        if model.parts:
            what["parts"] = model.parts
        if self._waiting:
            if self._waiting.popleft().call != what:
                raise OtherCall(f"the model {model.name} has changed")
        else:
            self._log.append(Record(what))

    def record(self, call: Call, reply: Any) -> None:
        """Keeps a reply, in fp32 or uint8 as it came. `OSError` where the disk is full."""
        if isinstance(call, Denoise):
            parts = [t for t in (reply.denoised, reply.cond, reply.uncond) if t is not None]
            self._log.append(Record(described(call), tuple(map(raw, parts))))
        elif isinstance(call, Encode | Decode):
            self._log.append(Record(described(call), (raw(reply),)))
        elif isinstance(call, RunNetwork) and isinstance(reply, Tensor):
            self._log.append(Record(described(call), (raw(reply),)))

    def close(self) -> None:
        """Keeps the log for the next start."""
        self._log.close()

    def remove(self) -> None:
        """The picture is made."""
        self._log.remove()

    def _tensor(self, part: tuple[str, tuple[int, ...], bytes]) -> Tensor:
        dtype, shape, content = part
        return torch.frombuffer(bytearray(content), dtype=KINDS[dtype]).reshape(shape)

    def _reply(self, call: Call, tensors: list[Tensor]) -> Any:
        if isinstance(call, Decode):
            return tensors[0]  # on the CPU, as the VAE's picture is
        placed = [tensor.to(self._device) for tensor in tensors]
        if not isinstance(call, Denoise):
            return placed[0]
        roles = {row.role for row in call.rows}
        cond = placed[1] if "cond" in roles else None
        return Denoised(placed[0], cond, placed[-1] if "uncond" in roles else None)


def described(call: Call) -> dict[str, Any]:
    """Which call this is, as plain JSON that tells it from any other."""
    match call:
        case Denoise():
            return {
                "kind": "Denoise",
                "sigma": call.sigma,
                "x": fingerprint(call.x),
                "rows": [[row.role, row.weight, repr(row.patches)] for row in call.rows],
                "patches": repr(call.patches),
                "adapters": [[a.network.key, a.weight] for a in call.control_networks],
            }
        case Encode():
            return {"kind": "Encode", "x": fingerprint(call.pixels)}
        case Decode():
            return {"kind": "Decode", "x": fingerprint(call.latent)}
        case RunNetwork():
            inputs = [fingerprint(t) for t in call.inputs]
            return {"kind": "RunNetwork", "network": call.network.key, "x": inputs}
    raise TypeError(f"{call!r} is not recorded")


def raw(tensor: Tensor) -> tuple[str, tuple[int, ...], bytes]:
    tensor = tensor.detach().cpu().contiguous()
    if tensor.is_floating_point():
        tensor = tensor.float()
    kind = str(tensor.dtype).removeprefix("torch.")
    return kind, tuple(tensor.shape), tensor.numpy().tobytes()


def fingerprint(tensor: Tensor) -> str:
    """16 hex digits of a tensor's shape and exact values."""
    kind, shape, content = raw(tensor)
    digest = hashlib.blake2b(f"{kind}{shape}".encode(), digest_size=8)
    digest.update(content)
    return digest.hexdigest()
