"""Flow matching's noise levels on the variance-exploding scale: sigma = t / (1 - t).

x_t = (1 - t) * x0 + t * noise is (1 - t) times x0 + sigma * noise, so samplers work with it unchanged
(`parameterisation` says what the network sees and gives). Only t = 1 lies at infinity.
"""

from __future__ import annotations

__all__ = ["SIGMA_MAX", "flow_sigmas", "flow_time"]

SIGMA_MAX = 4096.0
"""The stand-in for pure noise, as for DDPM's models of zero terminal SNR."""


def flow_sigmas(count: int = 1000, shift: float = 1.0) -> tuple[float, ...]:
    """The training noise levels, ascending: those of `count` even times up to 1, moved towards noise by `shift` (Esser
    et al. 2024, equation 23). `ValueError` for what makes none."""
    if not (2 <= count <= 100_000 and 0 < shift < float("inf")):
        raise ValueError(f"{count} times, moved by {shift}, make no noise levels")
    times = (shift * i / (count + (shift - 1) * i) for i in range(1, count + 1))
    return tuple(min(t / (1 - t), SIGMA_MAX) if t < 1 else SIGMA_MAX for t in times)


def flow_time(sigma: float) -> float:
    """The time t of a noise level, 0 for none and 1 for infinitely much."""
    return sigma / (1 + sigma)
