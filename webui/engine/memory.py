"""Memory that does not suffice, told from every other error of torch's."""

from __future__ import annotations

import torch

__all__ = ["out_of_memory"]

CPU_FULL = "can't allocate memory"  # how torch's CPU allocator says it


def out_of_memory(error: BaseException | None) -> bool:
    """Whether an error of torch's means that the memory does not suffice. On the CPU it is a plain `RuntimeError`."""
    if isinstance(error, torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and CPU_FULL in str(error)
