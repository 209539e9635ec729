"""The network as the patches of a call want it, for the length of that call.

Patches that change the network (`applied`) hold for every row of a UNet call, so rows with several sets of these take a
call for each set. Patches that change attention alone are looked up row by row.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from webui.engine.attention import fault_of
from webui.engine.memory import out_of_memory
from webui.engine.row_groups import RowGroup
from webui.errors import EaselError

if TYPE_CHECKING:
    from webui.engine.networks import Networks

__all__ = ["patched"]


@contextmanager
def patched(networks: Networks, group: RowGroup) -> Iterator[None]:
    """The UNet as a group's patches want it, and as it was behind that. `ExtensionError` names a patch that fails."""
    patching = networks.patching
    everything = (*group.network, *group.attention, *(one for own in group.of_rows for one in own))
    for patch in everything:
        if sentence := patch.misfit(networks.model):
            raise EaselError(sentence)
    with ExitStack() as undo:
        for patch in group.network:
            try:
                undo.enter_context(patch.applied(networks.unet))
            except Exception as error:  # the boundary: an extension's fault has its name
                if isinstance(error, EaselError) or out_of_memory(error):
                    raise
                raise fault_of(patch, error) from error
        patching.whole, patching.rows = group.attention, group.of_rows
        try:
            yield
        finally:
            patching.whole, patching.rows = (), {}
