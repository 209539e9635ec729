"""A file of weights to the network that they are for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from webui.api import ModelFileError, Sentence

from .rrdbnet import renamed, rrdbnet, shape_of

if TYPE_CHECKING:
    from torch import Tensor, nn


# Parts of names that tell other architectures.
OTHERS = (
    ("residual_group.overlap_attn", "HAT"),
    ("residual_group.", "SwinIR"),
    ("layers.0.blocks.0.attn.attns", "DAT"),
    ("block_1.c1_r.", "SPAN"),
    ("feats.0.", "PLKSR"),
    ("stylegan_decoder.", "GFPGAN"),
    ("residual_layer.0.", "OmniSR"),
    ("body.1.weight", "compact network (SRVGG)"),
    ("head.0.weight", "EDSR or RCAN"),
)


def build(path: Path) -> nn.Module:
    """The network of `path`: from [1, 3, H, W] in 0..1 to a larger one. What it is not raises `ModelFileError`."""
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        weights = load_file(path)
    except (SafetensorError, OSError, ValueError) as fault:
        raise ModelFileError(
            Sentence("{path}: cannot be read, get it again ({why})", path=path, why=fault)
        ) from fault
    ours = renamed(weights)
    shape = shape_of(ours)
    for name, value in ours.items():
        if not value.is_floating_point() or not value.float().isfinite().all():
            what = (
                Sentence("values that are not numbers (NaN)")
                if value.is_floating_point()
                else Sentence("no fractions")
            )
            raise ModelFileError(
                Sentence(
                    "{path}: {name} has {what}; the file is damaged, get it again",
                    path=path,
                    name=repr(name),
                    what=what,
                )
            )
    if shape is None:
        known = next((what for part, what in OTHERS if any(part in name for name in weights)), "")
        which = f"the weights of a {known}, not" if known else "not the weights"
        return _other(path, weights, f"these are {which} of an RRDBNet")
    with torch.device("meta"):  # no time for random weights
        network = rrdbnet(shape)
    wanted = network.state_dict()
    if unknown := sorted(ours.keys() - wanted.keys()):
        return _other(path, weights, f"an RRDBNet has no {unknown[0]!r}")
    for name, value in wanted.items():
        if name not in ours:
            raise ModelFileError(
                Sentence("{path}: has no {name}; get the file again", path=path, name=repr(name))
            )
        if ours[name].shape != value.shape:
            found = Sentence(
                "{shape} instead of {shape2}",
                shape=tuple(ours[name].shape),
                shape2=tuple(value.shape),
            )
            raise ModelFileError(
                Sentence(
                    "{path}: {name} has shape {found}", path=path, name=repr(name), found=found
                )
            )
    network.load_state_dict(ours, assign=True)
    return network


def _other(path: Path, weights: Mapping[str, Tensor], why: str) -> nn.Module:
    """A network of another architecture, by spandrel (github.com/chaiNNer-org/spandrel) where it imports."""
    from torch import nn

    try:
        import spandrel
    except ImportError as fault:
        needs = f"other architectures need the package spandrel, which cannot be imported ({fault})"
        raise ModelFileError(
            Sentence("{path}: {why}; {needs}", path=path, why=why, needs=needs)
        ) from fault
    try:
        found = spandrel.ModelLoader().load_from_state_dict(dict(weights))
    except Exception as fault:  # each of its architectures raises what it likes
        raise ModelFileError(
            Sentence(
                "{path}: {why}, and spandrel does not know it ({why2})",
                path=path,
                why=why,
                why2=repr(fault),
            )
        ) from fault
    if not isinstance(found, spandrel.ImageModelDescriptor) or found.input_channels != 3:
        raise ModelFileError(
            Sentence("{path}: does not make an RGB picture of an RGB picture", path=path)
        )

    class Other(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = found.model

        def forward(self, x: Tensor) -> Tensor:
            return found(x)  # also pads to the sizes that the architecture takes

    return Other()
