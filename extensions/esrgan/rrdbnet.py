"""RRDBNet, the network of ESRGAN (Wang et al. 2018, arXiv 1809.00219) and Real-ESRGAN (Wang et al. 2021, 2107.10833).

Everything about a network is told by the names and shapes of its weights. Three layouts of names are in use; the one
here is Real-ESRGAN's, and `renamed` brings the others to it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from torch import Tensor, nn

T = TypeVar("T")

NAMES = (  # (pattern, our name)
    # ESRGAN as it was published: one nn.Sequential, `model.3` and up are found by their order below
    (r"model\.0\.", "conv_first."),
    (r"model\.1\.sub\.(\d+)\.RDB(\d)\.conv(\d)\.0\.", r"body.\1.rdb\2.conv\3."),
    (r"model\.1\.sub\.\d+\.(weight|bias)$", r"conv_body.\1"),
    # BSRGAN and RealSR
    (r"RRDB_trunk\.(\d+)\.RDB(\d)\.", r"body.\1.rdb\2."),
    (r"trunk_conv\.", "conv_body."),
    (r"upconv(\d)\.", r"conv_up\1."),
    (r"HRconv\.", "conv_hr."),
)


@dataclass(frozen=True, slots=True)
class Shape:
    """`filters` channels, `blocks` RRDBs whose dense blocks grow by `growth`, `ups` doublings of the size.

    `shuffle`: the picture is first folded, so that a square of that many pixels becomes one of more channels;
    the network's scale is 2**ups / shuffle.
    """

    filters: int
    growth: int
    blocks: int
    ups: int
    shuffle: int


FRONTS = ("params_ema.", "params.", "generator.", "module.")  # averages first


def unwrapped(weights: Mapping[str, T]) -> dict[str, T]:
    """`weights` without what trainers put in front of all names; of two sets the averaged one."""
    found = dict(weights)
    for front in FRONTS:
        below = {k.removeprefix(front): v for k, v in found.items() if k.startswith(front)}
        others = {k for k in found if not k.startswith(FRONTS)}
        if below and not others:
            found = below
    return found


def renamed(weights: Mapping[str, T]) -> dict[str, T]:
    """`weights` by Real-ESRGAN's names, whichever of the three layouts they come in."""
    weights = unwrapped(weights)
    tail = sorted({int(key.split(".")[1]) for key in weights if re.match(r"model\.\d+\.[wb]", key)})
    tail = [number for number in tail if number > 1]
    ups = [f"conv_up{i}" for i in range(1, len(tail) - 1)]
    parts = dict(zip(tail, [*ups, "conv_hr", "conv_last"], strict=False))

    def name(key: str) -> str:
        for pattern, ours in NAMES:
            key, found = re.subn(f"^{pattern}", ours, key)
            if found:
                return key
        match = re.match(r"model\.(\d+)\.(weight|bias)$", key)
        return f"{parts[int(match[1])]}.{match[2]}" if match and int(match[1]) in parts else key

    return {name(key): value for key, value in weights.items()}


def shape_of(weights: Mapping[str, Tensor]) -> Shape | None:
    """The shape of the RRDBNet whose weights these are, by Real-ESRGAN's names; None: they are no RRDBNet's."""
    try:
        filters, seen = weights["conv_first.weight"].shape[:2]
        shown = weights["conv_last.weight"].shape[0]
        growth = weights["body.0.rdb1.conv1.weight"].shape[0]
        blocks = 1 + max(int(key.split(".")[1]) for key in weights if key.startswith("body."))
    except (KeyError, ValueError, IndexError):
        return None
    if blocks > len(weights):  # a number that no block has
        return None
    ups = sum(bool(re.fullmatch(r"conv_up\d\.weight", key)) for key in weights)
    shuffle = {3: 1, 12: 2, 48: 4}.get(seen)
    return Shape(filters, growth, blocks, ups, shuffle) if shuffle and shown == 3 else None


def rrdbnet(shape: Shape) -> nn.Module:
    """The network without its weights: from [N, 3, H, W] in 0..1 to [N, 3, H * scale, W * scale]."""
    from torch import cat, nn
    from torch.nn.functional import interpolate, leaky_relu, pad, pixel_unshuffle

    def conv(before: int, after: int) -> nn.Conv2d:
        return nn.Conv2d(before, after, 3, padding=1)

    class DenseBlock(nn.Module):
        """Five convolutions, each seeing all that came before it."""

        def __init__(self) -> None:
            super().__init__()
            for i in range(1, 6):
                after = shape.filters if i == 5 else shape.growth
                self.add_module(f"conv{i}", conv(shape.filters + (i - 1) * shape.growth, after))

        def forward(self, x: Tensor) -> Tensor:
            seen = x
            for i in range(1, 5):
                layer = self.get_submodule(f"conv{i}")
                seen = cat([seen, leaky_relu(layer(seen), 0.2)], dim=1)
            return x + self.get_submodule("conv5")(seen) * 0.2

    class RRDB(nn.Module):
        """Residual in residual dense block."""

        def __init__(self) -> None:
            super().__init__()
            self.rdb1, self.rdb2, self.rdb3 = DenseBlock(), DenseBlock(), DenseBlock()

        def forward(self, x: Tensor) -> Tensor:
            return x + self.rdb3(self.rdb2(self.rdb1(x))) * 0.2

    class RRDBNet(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            n = shape.filters
            self.conv_first = conv(3 * shape.shuffle**2, n)
            self.body = nn.Sequential(*(RRDB() for _ in range(shape.blocks)))
            self.conv_body = conv(n, n)
            for i in range(1, shape.ups + 1):
                self.add_module(f"conv_up{i}", conv(n, n))
            self.conv_hr = conv(n, n)
            self.conv_last = conv(n, 3)

        def forward(self, x: Tensor) -> Tensor:
            height, width = x.shape[-2:]
            x = pad(x, (0, -width % shape.shuffle, 0, -height % shape.shuffle), mode="replicate")
            x = self.conv_first(pixel_unshuffle(x, shape.shuffle))
            x = x + self.conv_body(self.body(x))
            for i in range(1, shape.ups + 1):
                x = interpolate(x, scale_factor=2, mode="nearest")
                x = leaky_relu(self.get_submodule(f"conv_up{i}")(x), 0.2)
            x = self.conv_last(leaky_relu(self.conv_hr(x), 0.2))
            scale = 2**shape.ups / shape.shuffle
            return x[..., : round(height * scale), : round(width * scale)]

    return RRDBNet()
