"""The processor that puts our attention kernel, and the patches of a call, into diffusers' networks.

Knows tensors and diffusers' `Attention` modules; knows no request.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from torch import Tensor, nn

from webui.engine.attention_kernels import Attention, biased_sdpa
from webui.engine.importing import IMPORTING
from webui.engine.memory import out_of_memory
from webui.errors import EaselError, ExtensionError, Sentence
from webui.types import Patch

__all__ = ["Patching", "Processor", "fault_of", "install"]


class Patching:
    """The patches of the U-Net call that is being made. The runner sets them, the processors look.

    `whole` hold for every row of the call, `rows` for the rows with those numbers.
    """

    def __init__(self) -> None:
        self.whole: tuple[Patch, ...] = ()
        self.rows: Mapping[tuple[Patch, ...], Sequence[int]] = {}

    def attend(
        self,
        layer: str,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        kernel: Callable[..., Tensor],
        bias: Tensor | None = None,
    ) -> Tensor:
        """A layer's attention [R, T, heads, d], as far as patches change it; `kernel(q, k, v, bias)`, with the rows'
        `bias` [R, 1, S]."""
        attend = _patched(layer, self.whole, partial(_biased, kernel, bias))
        out = attend(q, k, v)
        for patches, rows in self.rows.items():
            if not any(patch.touches(layer) for patch in patches):
                continue
            theirs = None if bias is None else bias[rows]
            inner = _patched(layer, self.whole, partial(_biased, kernel, theirs))
            other = _patched(layer, patches, inner)
            out[rows] = other(q[rows], k[rows], v[rows]).to(out.dtype)
        return out


def _biased(
    kernel: Callable[..., Tensor], bias: Tensor | None, q: Tensor, k: Tensor, v: Tensor
) -> Tensor:
    """A bias is of the text's keys; a patch may look at others."""
    return kernel(q, k, v, bias if bias is not None and bias.shape[-1] == k.shape[1] else None)


def _patched(
    layer: str, patches: Sequence[Patch], attend: Callable[..., Tensor]
) -> Callable[..., Tensor]:
    """`attend` inside the patches that touch the layer, the first one innermost."""
    for patch in patches:
        if patch.touches(layer):
            attend = partial(_named, layer, patch, attend)
    return attend


def _named(
    layer: str, patch: Patch, attend: Callable[..., Tensor], q: Tensor, k: Tensor, v: Tensor
) -> Tensor:
    try:
        return patch.attention(layer, q, k, v, attend)
    except Exception as error:  # the boundary: an extension's fault has its name
        if isinstance(error, EaselError) or out_of_memory(error):
            raise
        raise fault_of(patch, error) from error


def fault_of(patch: Patch, error: Exception) -> ExtensionError:
    """The error of a patch, with the name of the extension that it came with."""
    owner = type(patch).__module__.removeprefix("extensions.").split(".")[0]
    what = Sentence("{name}: {why}", name=type(error).__name__, why=error)
    return ExtensionError(owner, f"patch {type(patch).__name__}", what)


class Processor:
    """diffusers' attention processor for the self and cross attention of SD U-Nets and the VAE's middle block.

    Equal to diffusers' `AttnProcessor2_0` but for four things: the kernel is ours to choose, patches may change
    it, the heads need not be transposed for kernels that take [B, T, heads, d], and dividing by 1 is skipped.
    """

    def __init__(
        self, attention: Attention, layer: str = "", patching: Patching | None = None
    ) -> None:
        self.attention = attention
        self.layer = layer
        self.patching = patching

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
    ) -> Tensor:
        """`hidden_states` [B, T, D] or [B, D, h, w], `encoder_hidden_states` [B, S, K]; gives the first's shape.
        `attention_mask` [B, 1, S] is added to what each key weighs, as diffusers makes it of a mask."""
        residual = hidden_states
        x: Tensor = hidden_states
        if residual.ndim == 4:
            x = x.flatten(2).transpose(1, 2)  # [B, D, h, w] -> [B, h * w, D]
        if attn.group_norm is not None:
            x = attn.group_norm(x.transpose(1, 2)).transpose(1, 2)

        context = x if encoder_hidden_states is None else encoder_hidden_states
        if encoder_hidden_states is not None and attn.norm_cross is not None:
            context = attn.norm_encoder_hidden_states(context)
        q, k, v = (
            y.unflatten(-1, (attn.heads, -1))
            for y in (attn.to_q(x), attn.to_k(context), attn.to_v(context))
        )
        x = attn.to_out[0](self._attend(q, k, v, attn.scale, attention_mask).flatten(2))

        if residual.ndim == 4:
            x = x.transpose(1, 2).reshape(residual.shape)
        if attn.residual_connection:
            x = x + residual
        if attn.rescale_output_factor != 1:
            x = x / attn.rescale_output_factor
        return x

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, scale: float, bias: Tensor | None) -> Tensor:
        def kernel(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None) -> Tensor:
            if bias is None:
                return self.attention.kernel(q, k, v, scale)
            return biased_sdpa(q, k, v, scale, bias)

        patching = self.patching
        if patching is None or not (patching.whole or patching.rows):
            return kernel(q, k, v, bias)
        return patching.attend(self.layer, q, k, v, kernel, bias)


def install(
    module: nn.Module, attention: Attention, patching: Patching | None = None
) -> tuple[str, ...]:
    """Makes the attentions of a network use `attention`, and look at `patching` at each call.

    Gives the names of those of a kind that `Processor` does not compute; they keep the processor that they came with,
    and no patch reaches them.
    """
    with IMPORTING:
        from diffusers.models.attention_processor import Attention as Layer

    others = []
    for name, layer in module.named_modules():
        if not isinstance(layer, Layer):
            continue
        if any(getattr(layer, part, None) is not None for part in OTHER_PARTS):
            others.append(name)
        else:
            layer.set_processor(Processor(attention, name, patching))
    return tuple(others)


# What attentions have that work in another way: on a map of places, normed, or on two sequences at once.
OTHER_PARTS = ("spatial_norm", "norm_q", "norm_k", "added_kv_proj_dim")
