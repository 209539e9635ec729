"""Changed weights hold for a call: one set of adapters inside another, as two texts of one call bring them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from webui.engine.adapters.applying import AdapterStrengths, MergedWeightCache, applied
from webui.engine.adapters.deltas import Added
from webui.engine.adapters.files import LoadedAdapter
from webui.engine.adapters.names import Target
from webui.engine.part_cache import PartCache


def adapter(name: str, value: float, *layers: str) -> LoadedAdapter:
    changes = {
        Target("unet", layer): Added("difference", {"diff": torch.full((4, 4), value)}, 1.0)
        for layer in layers or ("0",)
    }
    return LoadedAdapter("m", 1, name, Path(name), "1", name, changes)


@pytest.mark.parametrize("kept", [2**30, 0])
def test_two_sets_inside_one_another_are_both_applied_and_leave_nothing(kept: int) -> None:
    network = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False))
    cache, x = MergedWeightCache(PartCache(kept)), torch.ones(1, 4)
    a: AdapterStrengths = ((adapter("a", 1.0), 1.0),)
    b: AdapterStrengths = ((adapter("b", 10.0, "0", "1"), 0.5),)

    def shifted(first: float, second: float) -> torch.Tensor:
        """What comes out when `first` and `second` are added to all weights of the two layers."""
        weights = [layer.weight + by for layer, by in zip(network, (first, second), strict=True)]
        return x @ weights[0].T @ weights[1].T

    with torch.inference_mode():
        for _ in range(2):  # the second time from what is kept
            with applied("unet", network, a, cache):
                torch.testing.assert_close(network(x), shifted(1, 0))
                with applied("unet", network, b, cache):
                    torch.testing.assert_close(network(x), shifted(6, 5))
                torch.testing.assert_close(network(x), shifted(1, 0))
                with pytest.raises(KeyError), applied("unet", network, b, cache):
                    raise KeyError
                torch.testing.assert_close(network(x), shifted(1, 0))
            torch.testing.assert_close(network(x), shifted(0, 0))
    assert all("forward" not in layer.__dict__ for layer in network)
