"""Settings to devices and number formats."""

import pytest
import torch

from webui.engine.placement import place
from webui.errors import RequestError


def test_asked_for_values_are_taken():
    placement = place("cpu", "float32", "sdpa")
    assert placement.device == torch.device("cpu")
    assert placement.dtype == placement.vae_dtype == torch.float32
    assert placement.attention.name == "sdpa"


def test_auto_says_why():
    placement = place("auto", "auto", "auto")
    assert placement.device_reason and placement.dtype_reason and placement.attention.reason
    assert placement.dtype_name in ("float32", "bfloat16", "float16")


def test_vae_on_a_cpu_stays_in_float32():
    placement = place("cpu", "bfloat16", "auto")
    assert (placement.dtype, placement.vae_dtype) == (torch.bfloat16, torch.float32)


def test_auto_on_a_cpu_takes_bfloat16_only_with_instructions_for_it(monkeypatch):
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.setattr(torch.cpu, name, lambda: False, raising=False)
    assert place("cpu", "auto", "auto").dtype == torch.float32


@pytest.mark.parametrize("device", ["cuda:99", "nonsense", "meta", "vulkan"])
def test_device_that_is_not_there_is_refused_by_name(device):
    with pytest.raises(RequestError, match=device) as caught:
        place(device, "auto", "auto")
    assert caught.value.field == "device"


@pytest.mark.parametrize(("field", "values"), [("dtype", ("cpu", "int8", "auto")),
                                               ("attention", ("cpu", "auto", "flash"))])  # fmt: skip
def test_unknown_values_are_refused(field, values):
    with pytest.raises(RequestError, match="use auto") as caught:
        place(*values)
    assert caught.value.field == field


@pytest.mark.gpu
def test_gpu_is_preferred_and_halves():
    placement = place("auto", "auto", "auto")
    assert placement.device == torch.device("cuda", 0)
    assert placement.dtype == placement.vae_dtype
