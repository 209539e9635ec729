"""Our attention processor against diffusers' own on the same weights, and what happens without xformers."""

import sys
from types import ModuleType

import pytest
import torch
from diffusers import AutoencoderKL
from diffusers.models.attention_processor import Attention as Layer
from diffusers.models.attention_processor import AttnProcessor, AttnProcessor2_0

from webui.engine.attention import Processor, install
from webui.engine.attention_kernels import Attention, choose, sdpa

CPU = torch.device("cpu")
TOLERANCE = 2e-6


def plain(q, k, v, scale):
    """Attention as its definition has it, in the layout that kernels are called with."""
    weights = torch.einsum("bthd,bshd->bhts", q, k).mul(scale).softmax(-1)
    return torch.einsum("bhts,bshd->bthd", weights, v)


def self_attention():
    return Layer(query_dim=48, heads=4, dim_head=12), torch.randn(2, 20, 48), None


def cross_attention():
    layer = Layer(query_dim=48, cross_attention_dim=32, heads=4, dim_head=12)
    return layer, torch.randn(2, 20, 48), torch.randn(2, 77, 32)


def vae_middle():
    layer = Layer(query_dim=32, heads=1, dim_head=32, norm_num_groups=4, bias=True, eps=1e-6,
                  residual_connection=True, rescale_output_factor=1.5)  # fmt: skip
    return layer, torch.randn(2, 32, 5, 6), None


@pytest.mark.parametrize("kernel", [sdpa, plain])
@pytest.mark.parametrize("theirs", [AttnProcessor, AttnProcessor2_0])
@pytest.mark.parametrize("kind", [self_attention, cross_attention, vae_middle])
def test_processor_equals_diffusers(kind, theirs, kernel):
    torch.manual_seed(0)
    layer, x, context = kind()
    layer.set_processor(theirs())
    expected = layer(x, encoder_hidden_states=context)
    layer.set_processor(Processor(Attention("test", "", kernel)))
    torch.testing.assert_close(layer(x, encoder_hidden_states=context), expected,
                               atol=TOLERANCE, rtol=0)  # fmt: skip


def test_install_reaches_every_attention_and_keeps_the_result():
    torch.manual_seed(0)
    vae = AutoencoderKL(block_out_channels=(8,), norm_num_groups=4).eval()
    x = torch.randn(1, 3, 16, 16)
    expected = vae(x).sample
    used = []

    def counted(q, k, v, scale):
        used.append(q.shape)
        return sdpa(q, k, v, scale)

    install(vae, Attention("counted", "", counted))
    torch.testing.assert_close(vae(x).sample, expected, atol=1e-5, rtol=0)
    assert used == [(1, 256, 1, 8)] * 2  # encoder's and decoder's middle block


def test_install_leaves_attentions_of_another_kind_as_they_are_and_names_them():
    other = Layer(query_dim=8, heads=1, dim_head=8, qk_norm="layer_norm")
    usual = Layer(query_dim=8, heads=1, dim_head=8)
    theirs = other.processor
    network = torch.nn.Sequential(other, usual)
    assert install(network, Attention("sdpa", "", sdpa)) == ("0",)
    assert other.processor is theirs and isinstance(usual.processor, Processor)


def test_auto_on_a_cpu_is_sdpa():
    chosen = choose(CPU, torch.float32, "auto")
    assert (chosen.name, chosen.kernel) == ("sdpa", sdpa)
    assert "cpu" in chosen.reason


def test_xformers_that_is_not_installed_falls_back_in_words(monkeypatch):
    monkeypatch.setitem(sys.modules, "xformers", None)
    monkeypatch.setitem(sys.modules, "xformers.ops", None)
    chosen = choose(CPU, torch.float32, "xformers")
    assert chosen.name == "sdpa"
    assert "not installed" in chosen.reason


@pytest.fixture
def xformers_ops(monkeypatch):
    """A stand-in for xformers.ops, whose function a test sets."""
    ops = ModuleType("xformers.ops")
    package = ModuleType("xformers")
    package.ops = ops
    monkeypatch.setitem(sys.modules, "xformers", package)
    monkeypatch.setitem(sys.modules, "xformers.ops", ops)
    return ops


def test_xformers_without_an_operator_for_the_device_falls_back_in_words(xformers_ops):
    def refuse(q, k, v, scale):  # what xformers 0.0.35 raises on a CPU
        raise NotImplementedError(
            "No operator found for `memory_efficient_attention_forward`\nwith"
        )

    xformers_ops.memory_efficient_attention = refuse
    chosen = choose(CPU, torch.float32, "xformers")
    assert chosen.name == "sdpa"
    assert "No operator found" in chosen.reason and "\n" not in chosen.reason


def test_xformers_that_works_is_taken_and_called_in_its_layout(xformers_ops):
    def in_their_layout(q, k, v, scale):  # [B, T, heads, d]
        return plain(q, k, v, scale)

    xformers_ops.memory_efficient_attention = in_their_layout
    chosen = choose(CPU, torch.float32, "xformers")
    assert chosen.name == "xformers"
    q, k = torch.randn(2, 9, 3, 8), torch.randn(2, 7, 3, 8)
    torch.testing.assert_close(chosen.kernel(q, k, k, 8**-0.5), sdpa(q, k, k, 8**-0.5),
                               atol=TOLERANCE, rtol=0)  # fmt: skip


@pytest.mark.gpu
def test_chosen_kernel_on_the_gpu_equals_the_definition():
    chosen = choose(torch.device("cuda"), torch.float16, "auto")
    q, k = (torch.randn(2, n, 8, 40, device="cuda", dtype=torch.float16) for n in (64, 77))
    expected = plain(q.float(), k.float(), k.float(), 40**-0.5)
    torch.testing.assert_close(
        chosen.kernel(q, k, k, 40**-0.5).float(), expected, atol=3e-3, rtol=0
    )
