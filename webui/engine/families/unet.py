"""Stable Diffusion 1, 2 and XL: diffusers' `UNet2DConditionModel`, told texts and, by XL's, sizes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from webui.diffusion.noise_schedules import model_sigmas
from webui.engine.families.model_family import ModelFamily
from webui.engine.families.unet_names import original_names
from webui.engine.importing import IMPORTING

__all__ = ["UNetFamily"]


class UNetFamily(ModelFamily):
    def build(self, config: Mapping[str, Any]) -> nn.Module:
        with IMPORTING:
            from diffusers import UNet2DConditionModel

        unet: nn.Module = UNet2DConditionModel.from_config(config)
        return unet

    def noise_levels(self, schedule: Mapping[str, Any]) -> tuple[float, ...]:
        return model_sigmas(schedule)

    def text_width(self, network: Any) -> int:
        return int(network.config.cross_attention_dim)

    def pooled_width(self, network: Any) -> int:
        """What is left of the numbers that the network is told when the picture's are taken away."""
        if not self.about.pooled:
            return 0
        config = network.config
        sizes = self.about.size_count * int(config.addition_time_embed_dim)
        return int(config.projection_class_embeddings_input_dim) - sizes

    def predict(
        self,
        network: nn.Module,
        seen: Tensor,
        timesteps: Tensor,
        told: Mapping[str, Tensor],
        added: Mapping[str, Any] | None = None,
    ) -> Tensor:
        beside = None
        if self.about.pooled:
            beside = {"text_embeds": told["pooled"], "time_ids": told["sizes"]}
        prediction: Tensor = network(
            seen,
            timesteps,
            told["context"],
            added_cond_kwargs=beside,
            encoder_attention_mask=told.get("mask"),
            **(added or {}),
            return_dict=False,
        )[0]
        return prediction

    def original_names(self, network: Any) -> Mapping[str, str]:
        return original_names(network, int(network.config.layers_per_block))
