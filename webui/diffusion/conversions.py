"""Noised latents and what a network may say of them: noise, x0, v and flow, each from the others.

A noised latent is x = signal * x0 + spread * noise, whatever the model: signal = sqrt(ᾱ) and spread = sqrt(1 - ᾱ) in
DDPM's training, 1 - t and t in flow matching's, 1 and sigma on the variance-exploding scale. Everything here works
with floats and tensors alike; signal and spread broadcast against the latents.
"""

from __future__ import annotations

import math
from typing import Any, TypeVar

from webui.errors import EaselError, Sentence

__all__ = ["clean_and_noise", "noised", "signal_and_spread", "target"]

L = TypeVar("L")  # a float or a tensor
N = TypeVar("N")


def signal_and_spread(alpha_bar: N) -> tuple[N, N]:
    """sqrt(ᾱ) and sqrt(1 - ᾱ), what DDPM's training multiplies a clean latent and the noise by."""
    level: Any = alpha_bar
    return _root(level), _root(1 - level)


def noised(x0: L, noise: L, signal: Any, spread: Any) -> L:
    """The latent x0 with that much noise. Ho et al. 2020, equation 4."""
    clean: Any = x0
    mixed: L = signal * clean + spread * noise
    return mixed


def target(prediction: str, x0: L, noise: L, signal: Any, spread: Any) -> L:
    """What a perfect network says of `noised(x0, noise, signal, spread)`, by the name of what it predicts.

    "epsilon" is the noise (Ho et al. 2020), "sample" x0, "v_prediction" signal * noise - spread * x0 (Salimans & Ho
    2022, section 4), "flow" noise - x0 (Liu et al. 2022). `EaselError` for another name.
    """
    clean: Any = x0
    random: Any = noise
    match prediction:
        case "epsilon":
            said = random
        case "sample":
            said = clean
        case "v_prediction":
            said = signal * random - spread * clean
        case "flow":
            said = random - clean
        case _:
            raise unknown(prediction)
    found: L = said
    return found


def clean_and_noise(prediction: str, x: L, said: L, signal: Any, spread: Any) -> tuple[L, L]:
    """x0 and the noise in a noised latent `x`, by what a network `said` of it: `target`, turned round.

    For "v_prediction" signal² + spread² must be 1, for "flow" signal + spread. Where the latent is pure noise,
    "epsilon" says nothing of x0; where it is clean, "sample" says nothing of the noise: division by 0.
    """
    seen: Any = x
    told: Any = said
    match prediction:
        case "epsilon":
            pair = (seen - spread * told) / signal, told
        case "sample":
            pair = told, (seen - signal * told) / spread
        case "v_prediction":
            pair = signal * seen - spread * told, spread * seen + signal * told
        case "flow":
            pair = seen - spread * told, seen + signal * told
        case _:
            raise unknown(prediction)
    found: tuple[L, L] = pair
    return found


def unknown(prediction: str) -> EaselError:
    return EaselError(
        Sentence(
            "prediction {prediction} is not known; use epsilon, v_prediction, sample, flow",
            prediction=repr(prediction),
        )
    )


def _root(number: Any) -> Any:
    return number.sqrt() if hasattr(number, "sqrt") else math.sqrt(number)
