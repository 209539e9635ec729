"""Which attention kernel runs on a device. Kernels take and give [B, T, heads, d]; they know no network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["Attention", "biased_sdpa", "choose", "sdpa"]

Kernel = Callable[[Tensor, Tensor, Tensor, float], Tensor]
HOPPER = (9, 0)  # from here on PyTorch's own choice (cuDNN) is the faster one


@dataclass(frozen=True, slots=True)
class Attention:
    """A kernel that was tried on the device. `name` is "xformers" or "sdpa", `reason` says why this one.

    `kernel(q, k, v, scale)` takes q [B, T, heads, d] and k, v [B, S, heads, d], gives [B, T, heads, d].
    """

    name: str
    reason: str
    kernel: Kernel


def sdpa(q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
    """PyTorch's scaled dot product attention, which picks flash, cuDNN or memory-efficient by itself."""
    out = F.scaled_dot_product_attention(
        q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), scale=scale
    )
    return out.transpose(1, 2)


def biased_sdpa(q: Tensor, k: Tensor, v: Tensor, scale: float, bias: Tensor) -> Tensor:
    """As `sdpa`, with `bias` [B, 1, S] added to what each key weighs, for all heads."""
    out = F.scaled_dot_product_attention(
        q.transpose(1, 2),
        k.transpose(1, 2),
        v.transpose(1, 2),
        attn_mask=bias[:, None].to(q.dtype),
        scale=scale,
    )
    return out.transpose(1, 2)


def choose(device: torch.device, dtype: torch.dtype, wanted: str) -> Attention:
    """The kernel for `wanted` ("auto", "sdpa" or "xformers"); SDPA with the reason where xformers cannot.

    "auto" takes xformers where it is installed and works on a GPU older than Hopper, else SDPA.
    """
    if wanted == "sdpa":
        return Attention("sdpa", "as asked", sdpa)
    if wanted == "auto" and device.type != "cuda":
        return Attention("sdpa", f"xformers has no kernels for {device.type}", sdpa)
    if wanted == "auto" and torch.cuda.get_device_capability(device) >= HOPPER:
        return Attention("sdpa", "faster than xformers on this GPU", sdpa)
    kernel, fault = _try_xformers(device, dtype)
    if kernel is None:
        return Attention("sdpa", fault, sdpa)
    return Attention("xformers", "as asked" if wanted == "xformers" else "installed", kernel)


def _try_xformers(device: torch.device, dtype: torch.dtype) -> tuple[Kernel | None, str]:
    """xformers' kernel after one real call on `device`, or None and why not.

    That it is installed says nothing: its wheel may be built for another CUDA, or have no operator for the device.
    """
    try:
        from xformers.ops import memory_efficient_attention
    except ModuleNotFoundError:
        return None, "xformers is not installed"
    except (ImportError, OSError, RuntimeError, AttributeError) as fault:
        return None, f"xformers does not load here ({_first_line(fault)})"

    def kernel(q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
        out: Tensor = memory_efficient_attention(q, k, v, scale=scale)
        return out

    probe = torch.zeros(1, 64, 8, 40, device=device, dtype=dtype)  # the widest level of SD 1.x
    try:
        kernel(probe, probe, probe, 40**-0.5)
    except (NotImplementedError, RuntimeError, ValueError, TypeError) as fault:
        return None, f"xformers cannot compute on {device} ({_first_line(fault)})"
    return kernel, ""


def _first_line(fault: Exception) -> str:
    return next(iter(str(fault).splitlines()), type(fault).__name__).strip()
