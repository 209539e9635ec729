"""Number formats are decoded and rounded exactly as torch does."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from webui.catalog.formats.numbers import decode, encode

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
}


@pytest.mark.parametrize("dtype", ["F16", "BF16", "F8_E4M3", "F8_E5M2"])
def test_every_code_decodes_as_torch_decodes_it(dtype):
    width = 1 if dtype.startswith("F8") else 2
    codes = np.arange(256**width, dtype="<u1" if width == 1 else "<u2").tobytes()
    expected = torch.frombuffer(bytearray(codes), dtype=DTYPES[dtype]).float().numpy()
    np.testing.assert_array_equal(decode(codes, dtype), expected)


@pytest.mark.parametrize("dtype", ["F64", "F32", "F16", "BF16"])
def test_numbers_round_as_torch_rounds_them(dtype):
    bits = np.random.default_rng(0).integers(0, 1 << 32, 100_000, dtype=np.uint32)
    numbers = bits.view(np.float32)
    numbers = numbers[np.isfinite(numbers) & (np.abs(numbers) < 6e4)]
    expected = torch.from_numpy(numbers.copy()).to(DTYPES[dtype])
    got = torch.frombuffer(bytearray(encode(numbers, dtype)), dtype=DTYPES[dtype])
    assert torch.equal(got, expected)


def test_nan_stays_nan_and_too_large_is_an_error():
    odd = np.array([np.nan, np.inf, -np.inf], np.float32)
    for dtype in ("F16", "BF16"):
        np.testing.assert_array_equal(decode(encode(odd, dtype), dtype), odd)
    with pytest.raises(OverflowError, match="F16"):
        encode(np.array([1e6], np.float32), "F16")
