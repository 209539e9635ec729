"""Stable Diffusion 3: diffusers' `SD3Transformer2DModel`, a transformer of flow matching (Esser et al. 2024)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from webui.diffusion.flow import flow_sigmas
from webui.engine.families.model_family import ModelFamily
from webui.engine.importing import IMPORTING
from webui.errors import EaselError, ModelFileError, Sentence

__all__ = ["TransformerFamily"]


class TransformerFamily(ModelFamily):
    def build(self, config: Mapping[str, Any]) -> nn.Module:
        with IMPORTING:
            from diffusers import SD3Transformer2DModel

        transformer: nn.Module = SD3Transformer2DModel.from_config(config)
        return transformer

    def noise_levels(self, schedule: Mapping[str, Any]) -> tuple[float, ...]:
        try:
            return flow_sigmas(
                int(schedule.get("num_train_timesteps", 1000)), float(schedule.get("shift", 1.0))
            )
        except (TypeError, ValueError, OverflowError) as fault:
            raise ModelFileError(
                Sentence("its noise levels cannot be read: {why}", why=fault)
            ) from None

    def text_width(self, network: Any) -> int:
        return int(network.config.joint_attention_dim)

    def pooled_width(self, network: Any) -> int:
        return int(network.config.pooled_projection_dim)

    def predict(
        self,
        network: nn.Module,
        seen: Tensor,
        timesteps: Tensor,
        told: Mapping[str, Tensor],
        added: Mapping[str, Any] | None = None,
    ) -> Tensor:
        if added:
            raise EaselError(
                Sentence("control networks do not work with {about} yet", about=self.about.name)
            )
        if "mask" in told:
            raise EaselError(
                Sentence("masks of texts do not work with {about} yet", about=self.about.name)
            )
        prediction: Tensor = network(
            hidden_states=seen,
            encoder_hidden_states=told["context"],
            pooled_projections=told["pooled"],
            timestep=timesteps,
            return_dict=False,
        )[0]
        return prediction
