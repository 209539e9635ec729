"""Where networks live and in which number formats. Knows devices; knows no model and no request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

from webui.engine.attention_kernels import Attention, choose
from webui.errors import RequestError, Sentence

__all__ = ["DTYPES", "Placement", "place"]

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
TENSOR_CORES = (7, 0)  # compute capability from which half precision is faster


@dataclass(frozen=True, slots=True)
class Placement:
    """`dtype` is the U-Net's and the text encoder's. The reasons are sentences' ends for `doctor`."""

    device: torch.device
    dtype: torch.dtype
    vae_dtype: torch.dtype
    attention: Attention
    device_reason: str = ""
    dtype_reason: str = ""

    @property
    def read_on(self) -> torch.device:
        """Where files are read to: the host's memory."""
        return torch.device("cpu")

    @property
    def arrival(self) -> Literal["device", "host"]:
        """Which place that is: where the device works in the host's memory, its own."""
        return "device" if self.device.type == "cpu" else "host"

    @property
    def dtype_name(self) -> str:
        return str(self.dtype).removeprefix("torch.")


def place(device: str, dtype: str, attention: str) -> Placement:
    """Turns settings into a placement; "auto" takes what is fastest here without visible loss.

    A device that is not there, or an unknown dtype or attention, raises `RequestError` naming what there is.
    """
    if attention not in ("auto", "sdpa", "xformers"):
        raise RequestError(
            Sentence(
                "attention {attention}: use auto, sdpa or xformers", attention=repr(attention)
            ),
            "attention",
        )
    if dtype != "auto" and dtype not in DTYPES:
        raise RequestError(
            Sentence(
                "dtype {dtype}: use auto, {dtypes}", dtype=repr(dtype), dtypes=", ".join(DTYPES)
            ),
            "dtype",
        )
    there, device_reason = _device(device)
    if dtype == "auto":
        kind, dtype_reason = _dtype(there)
    else:
        kind, dtype_reason = DTYPES[dtype], "as asked"
    vae = torch.float32 if there.type == "cpu" else kind
    return Placement(there, kind, vae, choose(there, kind, attention), device_reason, dtype_reason)


def _device(wanted: str) -> tuple[torch.device, str]:
    if wanted == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", 0), "a CUDA GPU is here"
        if torch.backends.mps.is_available():
            return torch.device("mps"), "Apple's GPU is here"
        return torch.device("cpu"), "no GPU that this torch can use"
    try:
        device = torch.device(wanted)
    except RuntimeError as fault:
        raise RequestError(
            Sentence("device {wanted}: use auto, cpu, cuda, cuda:N or mps", wanted=repr(wanted)),
            "device",
        ) from fault
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= count:
            here = (
                Sentence("cuda:0 to cuda:{count} are here", count=count - 1)
                if count
                else Sentence("no CUDA GPU is here")
            )
            raise RequestError(
                Sentence(
                    "device {wanted}: {here} (torch {version})",
                    wanted=repr(wanted),
                    here=here,
                    version=torch.__version__,
                ),
                "device",
            )
        return torch.device("cuda", device.index or 0), "as asked"
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise RequestError(Sentence("device 'mps': this torch has no Apple GPU"), "device")
    if device.type not in ("cpu", "mps"):
        raise RequestError(
            Sentence("device {wanted}: use auto, cpu, cuda, cuda:N or mps", wanted=repr(wanted)),
            "device",
        )
    return torch.device(device.type), "as asked"


def _dtype(device: torch.device) -> tuple[torch.dtype, str]:
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
        if torch.cuda.get_device_capability(device) < TENSOR_CORES:
            return torch.float32, f"{name} gains nothing from half precision"
        if "GTX 16" in name:  # known for NaN (black pictures) in half precision
            return torch.float32, f"{name} is unreliable in half precision"
        return torch.float16, f"{name} has tensor cores"
    if device.type == "cpu" and _cpu_computes_bfloat16():
        return torch.bfloat16, "this CPU multiplies it in hardware"
    return torch.float32, f"the safe one on {device.type}"


def _cpu_computes_bfloat16() -> bool:
    """Whether oneDNN takes bfloat16 here and the CPU has instructions for it (AVX512_BF16 or AMX).

    oneDNN alone also says yes where it would emulate, which is slower than float32.
    """
    probe = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)
    if probe is None or not probe():
        return False
    native = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, lambda: False)() for name in native)
