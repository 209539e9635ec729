"""The networks that extensions bring: built, placed and kept as our own are. Knows modules; knows no request."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from threading import RLock
from typing import Any

import torch
from torch import Tensor, nn

from webui.engine import attention
from webui.engine.memory import out_of_memory
from webui.engine.networks import weight_bytes
from webui.engine.part_cache import Part, PartCache
from webui.engine.placement import Placement
from webui.errors import EaselError, ExtensionError, Sentence
from webui.types import LoadNetwork, Network, Residuals, RunNetwork

__all__ = ["ExtensionNetworks", "fault", "key_of", "like", "named"]

log = logging.getLogger(__name__)


class ExtensionNetworks:
    """Networks by their handles. `load` may be called beside the thread that owns the device."""

    def __init__(self, placement: Placement, parts: PartCache) -> None:
        self._placement = placement
        self._parts = parts
        self._recipes: dict[Network, LoadNetwork] = {}
        self._loading = RLock()

    def __contains__(self, network: Network) -> bool:
        return key_of(network) in self._parts

    def resident(self, call: LoadNetwork) -> Network | None:
        """The network's handle if it is in memory."""
        network = Network(call.owner, call.key)
        return network if network in self else None

    def load(self, call: LoadNetwork) -> Network:
        """Builds a network, in the host's memory. What fails is the extension's: `ExtensionError` with its name."""
        network = Network(call.owner, call.key)
        with self._loading:
            if network not in self:
                self._recipes[network] = call
                module, place = self._built(call), self._placement.arrival
                size = weight_bytes(module)
                self._parts.add(Part(key_of(network), "network", module, size, place))
        return network

    def _built(self, call: LoadNetwork) -> nn.Module:
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
        return module.to(self._placement.read_on, dtype).requires_grad_(False).eval()

    def module(self, network: Network) -> nn.Module:
        """The network behind a handle, built again if it had to make room. One that is in memory waits for
        no other that is being built."""
        while True:
            found: nn.Module | None = self._parts.use(key_of(network))
            if found is not None:
                return found
            self.load(self._recipes[network])

    @contextmanager
    def working(self, networks: Sequence[Network]) -> Iterator[None]:
        """Around a call: these networks are on the device, built again where they had to make room."""
        while True:
            for network in networks:
                self.module(network)
            with self._parts.using(map(key_of, networks)) as there:
                if there:
                    yield
                    return

    def run(self, call: RunNetwork) -> Any:
        """What a network gives for its inputs, in fp32."""
        with self.working([call.network]), named(call.network):
            module = self.module(call.network)
            given = {name: like(module, tensor) for name, tensor in call.named.items()}
            return in_fp32(module(*(like(module, tensor) for tensor in call.inputs), **given))


def key_of(network: Network) -> Hashable:
    """The key of a network's part in the cache."""
    return "network", network


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
    if isinstance(result, Residuals):
        return Residuals(*map(in_fp32, (result.skips, result.middle, result.blocks)))
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
    return ExtensionError(
        owner, what, Sentence("{name}: {why}", name=type(error).__name__, why=error)
    )
