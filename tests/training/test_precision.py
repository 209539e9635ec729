import pytest
import torch

from webui.training.precision import convolution_seconds, prefers_bf16


@pytest.mark.parametrize(
    "bf16, fp32, chosen", [(0.01, 0.02, True), (0.02, 0.01, False), (0.18, 0.01, False)]
)
def test_the_faster_dtype_is_chosen_on_a_cpu(bf16, fp32, chosen):
    times = {torch.bfloat16: bf16, torch.float32: fp32}
    assert prefers_bf16("cpu", times.__getitem__) is chosen


def test_both_dtypes_are_timed_on_the_machine_itself():
    asked = []

    def timed(dtype):
        asked.append(dtype)
        return convolution_seconds(dtype)

    prefers_bf16("cpu", timed)
    assert set(asked) == {torch.bfloat16, torch.float32}
    assert 0 < convolution_seconds(torch.float32) < 60


def test_other_devices_are_not_timed():
    def never(dtype):
        raise AssertionError(dtype)

    assert prefers_bf16("mps", never) is False
    if torch.cuda.is_available():
        assert prefers_bf16("cuda:0", never) is torch.cuda.is_bf16_supported(
            including_emulation=False
        )
