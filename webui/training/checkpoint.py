"""Checkpoints that survive a kill: written beside the old one, then renamed over it."""

import os
from pathlib import Path
from typing import Any

import torch


def save(path: Path, state: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    torch.save(state, part)
    os.replace(part, path)


def load(path: Path, device: str = "cpu") -> dict[str, Any] | None:
    """The state saved at `path`, or None where there is none."""
    if not path.is_file():
        return None
    state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    return state


def learning_rate(step: int, steps: int, peak: float, warmup: int, decay_share: float) -> float:
    """Warm-up, then constant, then a straight line to zero over the last `decay_share` of the steps.

    The constant middle makes a run extensible: until the decay begins, a checkpoint does not know how long it will be.
    """
    up = min(1.0, (step + 1) / max(1, warmup))
    down = min(1.0, (steps - step) / max(1.0, steps * decay_share))
    return peak * up * max(0.0, down)
