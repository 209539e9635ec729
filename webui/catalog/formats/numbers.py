"""The number formats of weights as NumPy arrays, with bfloat16 and the 8-bit floats, which NumPy has not."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["FLOATS", "decode", "encode"]

FLOATS = ("F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2")


def _e4m3() -> NDArray[np.float32]:
    """The values of the 256 codes of 8-bit floats with 4 bits of exponent (no infinity, two codes of NaN)."""
    codes = np.arange(256)
    exponent, mantissa = codes >> 3 & 15, codes & 7
    normal = np.ldexp(1 + mantissa / 8, exponent - 7)
    values = np.where(exponent == 0, np.ldexp(mantissa / 8, -6), normal)
    values[codes & 127 == 127] = np.nan
    return np.where(codes > 127, -values, values).astype(np.float32)


E4M3 = _e4m3()


def decode(data: bytes, dtype: str) -> NDArray[Any]:
    """The numbers in `data`, as float32 (of F64 as float64), flat."""
    if dtype == "BF16":
        wide = np.frombuffer(data, "<u2").astype("<u4")
        return (wide << 16).view("<f4")
    if dtype == "F8_E4M3":
        return E4M3[np.frombuffer(data, np.uint8)]
    if dtype == "F8_E5M2":  # the upper half of a 16-bit float
        return (np.frombuffer(data, np.uint8).astype("<u2") << 8).view("<f2").astype(np.float32)
    if dtype == "F16":
        return np.frombuffer(data, "<f2").astype(np.float32)
    return np.frombuffer(data, {"F32": "<f4", "F64": "<f8"}[dtype])


def encode(numbers: NDArray[Any], dtype: str) -> bytes:
    """`numbers` in the format `dtype` (F64, F32, F16 or BF16), rounded to the nearest. Raises `OverflowError` where a
    finite number becomes infinite."""
    if dtype == "BF16":
        code = numbers.astype("<f4").view("<u4")
        rounded = ((code + 0x7FFF + (code >> 16 & 1)) >> 16).astype("<u2")
        rounded = np.where(np.isnan(numbers), np.uint16(0x7FC0), rounded).astype("<u2")
        result = (rounded.astype("<u4") << 16).view("<f4")
        made: bytes = rounded.tobytes()
    else:
        with np.errstate(over="ignore"):
            result = numbers.astype({"F64": "<f8", "F32": "<f4", "F16": "<f2"}[dtype])
        made = result.tobytes()
    if np.isinf(result).any() and not np.array_equal(np.isinf(result), np.isinf(numbers)):
        raise OverflowError(f"a number is too large for {dtype}")
    return made
