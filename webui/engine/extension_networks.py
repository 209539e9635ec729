"""The networks that extensions bring: built, placed and kept as our own are. Knows modules; knows no request."""

from __future__ import annotations

import logging
import os
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from threading import RLock
from typing import Any

import torch
from torch import Tensor, nn

from webui.engine import attention
from webui.engine.memory import out_of_memory
from webui.engine.placement import Placement
from webui.errors import EaselError, ExtensionError
from webui.types import ControlNetwork, LoadNetwork, Network, RunNetwork

__all__ = ["ExtensionNetworks", "Residuals"]

RESIDENT = 4  # networks kept in memory
log = logging.getLogger(__name__)

Residuals = tuple[
    list[Tensor], Tensor
]  # one for each skip connection of the UNet, one for its middle


class ExtensionNetworks:
    """Networks by their handles. `load` may be called beside the thread that owns the device."""

    def __init__(self, placement: Placement) -> None:
        self._placement = placement
        self._modules: OrderedDict[Network, nn.Module] = OrderedDict()
        self._recipes: dict[Network, LoadNetwork] = {}
        self._loading = RLock()

    def resident(self, call: LoadNetwork) -> Network | None:
        """The network's handle if it is in memory."""
        network = Network(call.owner, call.key)
        return network if network in self._modules else None

    def load(self, call: LoadNetwork) -> Network:
        """Builds a network and places it. What fails is the extension's: `ExtensionError` with its name."""
        network = Network(call.owner, call.key)
        with self._loading:
            if network not in self._modules:
                self._recipes[network] = call
                self._modules[network] = self._placed(call)
                while len(self._modules) > RESIDENT:
                    self._modules.popitem(last=False)
            self._modules.move_to_end(network)
        return network

    def _placed(self, call: LoadNetwork) -> nn.Module:
        try:
            module = call.build()
            if not isinstance(module, nn.Module):
                raise TypeError(f"build() gave {type(module).__name__}, no torch.nn.Module")
        except EaselError:
            raise
        except Exception as error:  # the boundary: an extension's fault has its name
            log.exception("extension %r could not build %s", call.owner, call.key)
            raise fault(call.owner, f"network {call.key}", error) from error
        dtype = torch.float32 if call.float32 else self._placement.dtype
        if others := attention.install(module, self._placement.attention):
            log.info("%s keeps the attention that it came with in %d layers", call.key, len(others))
        return module.to(self._placement.device, dtype).requires_grad_(False).eval()

    def module(self, network: Network) -> nn.Module:
        """The network behind a handle, built again if it had to make room. One that is in memory waits for
        no other that is being built."""
        found = self._modules.get(network)
        if found is None:
            self.load(self._recipes[network])
            found = self._modules[network]
        return found

    def run(self, call: RunNetwork) -> Any:
        """What a network gives for its inputs, in fp32."""
        module = self.module(call.network)
        with named(call.network):
            return in_fp32(module(*(like(module, tensor) for tensor in call.inputs)))

    def residuals(
        self,
        pictures: Sequence[Sequence[ControlNetwork]],
        owner: Tensor | Sequence[int],
        x: Tensor,
        steps: Tensor,
        context: Tensor,
    ) -> Residuals | None:
        """What the adapters of a batch add to the UNet, each network run once for all rows.

        `pictures` are the adapters of each call, equal networks at equal places; `owner` [R] tells which call a
        row is of. x [R, C, h, w], steps [R], context [R, T, D].
        """
        total: Residuals | None = None
        for same in zip(*pictures, strict=True):
            network = same[0].network
            module = self.module(network)
            with named(network):
                inputs = {
                    name: torch.stack([like(module, a.inputs[name]) for a in same])[owner]
                    for name in same[0].inputs
                }
                down, mid = module(like(module, x), steps, like(module, context), **inputs)
                weight = torch.tensor([a.weight for a in same], device=x.device, dtype=x.dtype)
                weight = weight[owner].view(-1, 1, 1, 1)
                added = [part.to(x.dtype) * weight for part in down], mid.to(x.dtype) * weight
                total = added if total is None else plus(total, added)
        return total

    @contextmanager
    def blamed(
        self, adapters: Sequence[ControlNetwork], added: Residuals | None, unet: nn.Module
    ) -> Iterator[None]:
        """Around the UNet call that gets the residuals of `adapters`: where they do not fit, it is their fault."""
        if added is None or not adapters:
            yield
            return
        wanted = expected(unet)
        if wanted is not None and len(added[0]) != wanted:
            raise unfit(adapters[0].network)  # diffusers would leave out the rest without a word
        with named(adapters[0].network):
            try:
                yield
            except RuntimeError as error:
                if "must match the size of tensor" not in str(error):
                    raise
                raise unfit(adapters[0].network) from error


def expected(unet: nn.Module) -> int | None:
    """How many residuals a UNet's way down takes; None where it is built otherwise."""
    blocks = getattr(unet, "down_blocks", None)
    if blocks is None:
        return None
    return 1 + sum(
        len(block.resnets) + len(getattr(block, "downsamplers", None) or ()) for block in blocks
    )


def unfit(network: Network) -> ExtensionError:
    what = "what it adds has another shape than this model takes; use one that was made for models like this"
    return ExtensionError(network.owner, f"network {os.path.basename(network.key)}", what)


def plus(one: Residuals, other: Residuals) -> Residuals:
    return [a + b for a, b in zip(one[0], other[0], strict=True)], one[1] + other[1]


def like(module: nn.Module, tensor: Tensor) -> Tensor:
    """`tensor` on the module's device, in its dtype where it holds fractions."""
    known = next(module.parameters(), None)
    if known is None:
        return tensor
    return tensor.to(known.device, known.dtype if tensor.is_floating_point() else tensor.dtype)


def in_fp32(result: Any) -> Any:
    """Tensors, however nested in tuples, lists and mappings, in fp32."""
    if isinstance(result, Tensor):
        return result.float() if result.is_floating_point() else result
    if isinstance(result, Mapping):
        return {key: in_fp32(value) for key, value in result.items()}
    if isinstance(result, tuple | list):
        return tuple(in_fp32(value) for value in result)
    return result


class named(AbstractContextManager[None]):
    """A boundary: what fails inside is the fault of the network's owner, but for memory, which is the machine's."""

    def __init__(self, network: Network) -> None:
        self._network = network

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        ours = isinstance(error, EaselError) or out_of_memory(error)
        if isinstance(error, Exception) and not ours:
            raise fault(self._network.owner, f"network {self._network.key}", error) from error


def fault(owner: str, what: str, error: Exception) -> ExtensionError:
    return ExtensionError(owner, what, f"{type(error).__name__}: {error}")
