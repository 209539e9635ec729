"""Memory that does not suffice, told from every other error."""

from __future__ import annotations

import errno

import torch

from webui.errors import causes

__all__ = ["out_of_memory", "starved"]

# How torch and what it is built on say it where they raise no kind of their own: the CPU's allocator here and on
# Windows, a mapped file, C++, cuBLAS, Apple's.
WORDS = (
    "can't allocate memory",
    "not enough memory",
    "Cannot allocate memory",
    "bad_alloc",
    "out of memory",
    "ALLOC_FAILED",
)


def out_of_memory(error: BaseException | None) -> bool:
    """Whether an error means that the memory does not suffice. torch's is a plain `RuntimeError` on the CPU."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, RuntimeError) and any(words in str(error) for words in WORDS)


def starved(error: BaseException | None) -> bool:
    """Whether an error, or what it was raised from, means that the memory does not suffice."""
    return any(out_of_memory(one) for one in causes(error))
