"""Whether training computes in bf16 on this machine: asked of the machine, since names and years of processors mislead.

A processor without bf16 instructions computes it all the same, 17 to 22 times slower than fp32.
"""

import time
from collections.abc import Callable

import torch
from torch.nn import functional as F

TRIES = 5


def prefers_bf16(device: str, seconds: Callable[[torch.dtype], float] | None = None) -> bool:
    """True where bf16 is worth it: CUDA that has it in hardware, or a CPU whose convolution is no slower in it.

    `seconds` is what one convolution takes in a dtype; by default it is timed here, in a fraction of a second.
    """
    kind = device.split(":")[0]
    if kind == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if kind != "cpu":
        return False
    seconds = seconds or convolution_seconds
    return seconds(torch.bfloat16) <= seconds(torch.float32)


def convolution_seconds(dtype: torch.dtype) -> float:
    """What one convolution of the U-Net's size takes on the CPU, forwards and backwards: the best of a few tries."""
    weight = torch.ones(96, 96, 3, 3, dtype=dtype, requires_grad=True)
    x = torch.ones(8, 96, 16, 16, dtype=dtype).contiguous(memory_format=torch.channels_last)
    best = float("inf")
    for _ in range(TRIES + 1):  # the first one also makes ready
        started = time.perf_counter()
        torch.autograd.backward(F.conv2d(x, weight, padding=1).sum())
        best = min(best, time.perf_counter() - started)
    return best
