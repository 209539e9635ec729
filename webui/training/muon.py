"""Muon: momentum whose matrices are orthogonalised, for hidden layers (Jordan et al. 2024).

With Moonshot's scale (Liu et al. 2025, equation 4) its updates are as large as AdamW's, so one learning rate
serves both. Convolutions are matrices [out, in * height * width]. Embeddings, first and last layers, norms and
biases belong to AdamW.
"""

from collections.abc import Iterable
from typing import Any

import torch


def orthogonalise(matrix: torch.Tensor, iterations: int = 5) -> torch.Tensor:
    """About U V^T of a matrix U S V^T, by Newton-Schulz iterations in bf16; singular values end in 0.7..1.2."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = matrix.bfloat16()
    tall = x.shape[0] > x.shape[1]
    if tall:
        x = x.T
    x = x / (x.norm() + 1e-7)
    for _ in range(iterations):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    result: torch.Tensor = x.T if tall else x
    return result


class Muon(torch.optim.Optimizer):
    """One group's options: `lr`, `momentum` (Nesterov's), `weight_decay`. Parameters of two or more dimensions."""

    def __init__(
        self,
        params: Iterable[torch.nn.Parameter],
        lr: float,
        momentum: float = 0.95,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]  # no closure is called
        del closure
        for group in self.param_groups:
            lr, momentum = group["lr"], group["momentum"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if not state:
                    state["momentum"] = torch.zeros_like(p)
                state["momentum"].lerp_(p.grad, 1 - momentum)
                nesterov = p.grad.lerp(state["momentum"], momentum)
                update = orthogonalise(nesterov.reshape(len(p), -1))
                scale = 0.2 * max(update.shape) ** 0.5
                p.mul_(1 - lr * group["weight_decay"])
                p.add_(update.reshape(p.shape).to(p.dtype), alpha=-lr * scale)
