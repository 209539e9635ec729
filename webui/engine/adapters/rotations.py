"""OFT (Qiu et al. 2023): a layer's outputs or inputs, in blocks, are turned by orthogonal matrices.

Each block's R is made of a skew matrix Q by Cayley's transform. LyCORIS and kohya turn the outputs, peft the inputs. A
strength between 0 and 1 lies on the straight line from no turn to the whole one, as LyCORIS has it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from webui.engine.adapters.configs import Config

__all__ = ["Butterfly", "TurnedInputs", "TurnedOutputs", "turned_inputs", "turned_outputs"]


@dataclass(frozen=True, slots=True)
class TurnedOutputs:
    """R = (I + Q)(I - Q)^-1 with Q = B - B^T on blocks of the outputs.

    `blocks` is [n, b, b] with n * b = O, `limit` bounds the length of all Q (0: no bound), `rescale` [O, 1...]
    stretches the outputs.
    """

    blocks: Tensor
    limit: float = 0.0
    rescale: Tensor | None = None

    def changed(self, weight: Tensor, strength: float) -> Tensor:
        turn = _partly(_cayley(-_limited(self.blocks, self.limit * weight.shape[0])), strength)
        _covers(self.blocks, weight.shape[0])
        rows = weight.reshape(*self.blocks.shape[:2], -1)
        turned = torch.einsum("nab,nac->nbc", turn, rows).reshape(weight.shape)
        return _stretched(turned, self.rescale, strength)

    def tensors(self) -> Mapping[str, Tensor]:
        extra = {} if self.rescale is None else {"rescale": self.rescale}
        return {"oft_blocks": self.blocks, **extra}

    def to(self, device: torch.device) -> TurnedOutputs:
        rescale = None if self.rescale is None else self.rescale.to(device)
        return replace(self, blocks=self.blocks.to(device), rescale=rescale)


@dataclass(frozen=True, slots=True)
class Butterfly:
    """BOFT (Liu et al. 2023), as LyCORIS has it: R of `TurnedOutputs` in m stages, of which each turns other outputs
    together. `blocks` is [m, n, b, b] with n * b = O; a strength is that of each stage."""

    blocks: Tensor
    limit: float = 0.0
    rescale: Tensor | None = None

    def changed(self, weight: Tensor, strength: float) -> Tensor:
        side = self.blocks.shape[-1]
        turns = _partly(_cayley(-_limited(self.blocks, self.limit * weight.shape[0])), strength)
        _covers(self.blocks[0], weight.shape[0])
        rows, width = weight, weight[0].numel()
        for stage, turn in enumerate(turns):
            reach = 2**stage * side // 2  # outputs this far from one another meet
            if weight.shape[0] % (2 * reach):
                raise ValueError(
                    f"stage {stage + 1} does not fit a layer of {weight.shape[0]} outputs"
                )
            rows = rows.reshape(-1, 2, reach, width).transpose(1, 2)
            rows = torch.einsum("nab,nbc->nac", turn, rows.reshape(-1, side, width))
            rows = rows.reshape(-1, reach, 2, width).transpose(1, 2)
        return _stretched(rows.reshape(weight.shape), self.rescale, strength)

    def tensors(self) -> Mapping[str, Tensor]:
        extra = {} if self.rescale is None else {"rescale": self.rescale}
        return {"oft_blocks": self.blocks, **extra}

    def to(self, device: torch.device) -> Butterfly:
        rescale = None if self.rescale is None else self.rescale.to(device)
        return replace(self, blocks=self.blocks.to(device), rescale=rescale)


def turned_outputs(
    blocks: Tensor, limit: float, rescale: Tensor | None
) -> TurnedOutputs | Butterfly:
    """The change that LyCORIS' and kohya's tensors mean. `limit` is alpha, the bound of Q's length for each output.
    `ValueError` where they make no square blocks."""
    if blocks.dim() not in (3, 4) or blocks.shape[-1] != blocks.shape[-2]:
        raise ValueError(f"oft_blocks of shape {list(blocks.shape)} makes no square blocks")
    if blocks.dim() == 3:
        return TurnedOutputs(blocks, limit, rescale)
    if blocks.shape[-1] % 2:
        raise ValueError(f"oft_blocks has blocks of {blocks.shape[-1]}, an odd number")
    return Butterfly(blocks, limit, rescale)


def _limited(blocks: Tensor, limit: float) -> Tensor:
    """Q of blocks B, no longer in all than `limit` (0: no bound)."""
    skew = blocks.float() - blocks.float().transpose(-1, -2)
    if limit <= 0:
        return skew
    limited: Tensor = skew * (limit / (skew.norm() + 1e-8)).clamp_max(1.0)
    return limited


def _covers(blocks: Tensor, outputs: int) -> None:
    if blocks.shape[0] * blocks.shape[1] != outputs:
        raise ValueError(
            f"made for a layer of {blocks.shape[0] * blocks.shape[1]} outputs, the model's has {outputs}; "
            "was it made for another family of models?"
        )


@dataclass(frozen=True, slots=True)
class TurnedInputs:
    """peft's OFT: W R^T, with R on blocks of a layer's inputs (for a convolution, of its I * k * k).

    `blocks` is [n, b(b - 1) / 2], the upper triangles of Q, or of peft before 0.16 [n, b, b] with Q = (B - B^T) / 2;
    one block is used for all. `terms` is how many of the Neumann series stand for the inverse (None: it is computed),
    `eps` bounds the length of each block, `rescale` [O, 1] stretches the outputs.
    """

    blocks: Tensor
    terms: int | None = None
    eps: float | None = None
    rescale: Tensor | None = None

    @property
    def kind(self) -> str:
        """Which of peft's ways of making R this is, in its words."""
        if self.blocks.dim() == 3:
            how = "of peft before 0.16"
        elif self.terms is None:
            how = "with the exact inverse"
        else:
            how = f"with {self.terms} Cayley-Neumann terms"
        return how if self.eps is None else f"{how}, constrained with eps {self.eps:g}"

    def changed(self, weight: Tensor, strength: float) -> Tensor:
        square = self.blocks.dim() == 3
        blocks = self.blocks.float() if square else _from_triangles(self.blocks.float())
        if self.eps is not None:
            blocks = _bounded(blocks, self._bound(weight, blocks.shape[-1]))
        skew = (blocks - blocks.transpose(1, 2)) / 2 if square else blocks
        turn = _cayley(skew) if self.terms is None else _neumann(skew, self.terms)
        turn = _partly(turn, strength)
        inputs = weight[0].numel()
        if inputs % turn.shape[-1] or len(turn) not in (1, inputs // turn.shape[-1]):
            raise ValueError(
                f"made for a layer of {len(turn) * turn.shape[-1]} inputs, the model's has {inputs}; "
                "was it made for another family of models?"
            )
        rows = weight.reshape(weight.shape[0], -1, turn.shape[-1])
        if len(turn) == 1:
            turn = turn.expand(rows.shape[1], -1, -1)
        turned = torch.einsum("orc,rkc->ork", rows, turn).reshape(weight.shape)
        return _stretched(turned, self.rescale, strength)

    def _bound(self, weight: Tensor, block: int) -> float:
        assert self.eps is not None
        bound = self.eps
        if self.blocks.dim() == 3:  # peft before 0.16 made it larger for larger layers
            bound *= math.ceil(weight.shape[0] * block / weight[0].numel()) ** 2
        return bound / math.sqrt(self.blocks.shape[0])

    def tensors(self) -> Mapping[str, Tensor]:
        extra = {} if self.rescale is None else {"rescale": self.rescale}
        return {"oft_R": self.blocks, **extra}

    def to(self, device: torch.device) -> TurnedInputs:
        rescale = None if self.rescale is None else self.rescale.to(device)
        return replace(self, blocks=self.blocks.to(device), rescale=rescale)


def turned_inputs(blocks: Tensor, rescale: Tensor | None, config: Config) -> TurnedInputs:
    """The change that peft's tensors mean. `ValueError` where they make no square blocks."""
    if blocks.dim() == 3:
        if blocks.shape[1] != blocks.shape[2]:
            raise ValueError(f"oft_r has blocks of {blocks.shape[1]} x {blocks.shape[2]}")
        return TurnedInputs(blocks, None, config.eps, rescale)
    if (
        blocks.dim() != 2
        or _side(blocks.shape[1]) * (_side(blocks.shape[1]) - 1) != 2 * blocks.shape[1]
    ):
        raise ValueError(f"oft_R of shape {list(blocks.shape)} makes no square blocks")
    return TurnedInputs(blocks, config.terms, config.eps, rescale)


def _side(count: int) -> int:
    """b, of b(b - 1) / 2 numbers above the diagonal."""
    return (1 + math.isqrt(1 + 8 * count)) // 2


def _from_triangles(numbers: Tensor) -> Tensor:
    side = _side(numbers.shape[1])
    rows, columns = torch.triu_indices(side, side, 1, device=numbers.device)
    upper = numbers.new_zeros(len(numbers), side, side)
    upper[:, rows, columns] = numbers
    return upper - upper.transpose(1, 2)


def _bounded(blocks: Tensor, bound: float) -> Tensor:
    length = blocks.norm(dim=(1, 2), keepdim=True)
    return torch.where(length <= bound, blocks, blocks * (bound / length))


def _cayley(skew: Tensor) -> Tensor:
    """(I - Q)(I + Q)^-1"""
    one = torch.eye(skew.shape[-1], device=skew.device)
    turn: Tensor = torch.linalg.solve(one + skew, one - skew, left=False)
    return turn


def _neumann(skew: Tensor, terms: int) -> Tensor:
    """I + 2Q + 2Q^2 + ... + Q^n, which is near (I + Q)(I - Q)^-1, the other way round than `_cayley`: so peft has it,
    with an n of 3 at least for more than two terms."""
    turn = torch.eye(skew.shape[-1], device=skew.device).expand_as(skew)
    if terms == 1:
        return turn
    turn = turn + 2 * skew
    last = max(terms - 1, 3) if terms > 2 else 1
    power = skew
    for exponent in range(2, last + 1):
        power = power @ skew
        turn = turn + power * (1 if exponent == last else 2)
    return turn


def _partly(turn: Tensor, strength: float) -> Tensor:
    one = torch.eye(turn.shape[-1], device=turn.device)
    return one + (turn - one) * strength


def _stretched(weight: Tensor, by: Tensor | None, strength: float) -> Tensor:
    if by is None:
        return weight
    if by.numel() != weight.shape[0]:
        raise ValueError(
            f"it stretches outputs by numbers of shape {list(by.shape)}, the model's layer has {weight.shape[0]}"
        )
    stretch = by.float().reshape(-1, *[1] * (weight.dim() - 1))
    return weight * (1 + (stretch - 1) * strength)
