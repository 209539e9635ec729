"""What training minimises. One equation, one function; tensors in, a scalar out. Pictures are [B, 3, H, W] in -1..1."""

from collections.abc import Callable, Sequence

import torch
from torch.nn import functional as F


def edge_maps(pictures: torch.Tensor) -> torch.Tensor:
    """Sobel gradients, [B, 3, H, W] -> [B, 6, H-2, W-2]."""
    kernel = pictures.new_tensor([[1.0, 2, 1], [0, 0, 0], [-1, -2, -1]]) / 8
    weight = torch.stack([kernel, kernel.T]).unsqueeze(1).repeat(3, 1, 1, 1)
    return F.conv2d(pictures, weight, groups=3)


def reconstruction(
    drawn: torch.Tensor, wanted: torch.Tensor, squares: float, edges: float
) -> torch.Tensor:
    """Mean of |d - w| + squares (d - w)^2, plus `edges` times 4 mean |Sobel d - Sobel w|.

    The absolute error alone lets rare colours go, as its pull does not grow with the error (purple became grey);
    the square alone blurs.
    """
    error = drawn - wanted
    flat = error.abs().mean() + squares * error.square().mean()
    return flat + edges * 4 * F.l1_loss(edge_maps(drawn), edge_maps(wanted))


def kl(mean: torch.Tensor, std: torch.Tensor) -> torch.Tensor:
    """KL divergence of N(mean, std^2) from N(0, 1), averaged over the elements: (m^2 + s^2 - 1 - log s^2) / 2.

    Kingma and Welling 2014, appendix B.
    """
    return 0.5 * (mean.square() + std.square() - 1 - 2 * std.log()).mean()


def lpips(got: Sequence[torch.Tensor], wanted: Sequence[torch.Tensor]) -> torch.Tensor:
    """Distance of two pictures in a network's features, one [B, C, H, W] a level: sum over levels of the mean over
    positions of |g / |g| - w / |w||^2, where |.| is the length over the channels at a position.

    Zhang et al. 2018, equation 1, with all channel weights 1.
    """
    levels = [
        (unit_channels(g) - unit_channels(w)).square().sum(1).mean()
        for g, w in zip(got, wanted, strict=True)
    ]
    return torch.stack(levels).sum()


def unit_channels(features: torch.Tensor, floor: float = 1e-6) -> torch.Tensor:
    """Features whose channels have length 1 at every position."""
    return features * (features.square().sum(1, keepdim=True) + floor).rsqrt()


def hinge_discriminator(real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
    """(mean max(0, 1 - real) + mean max(0, 1 + fake)) / 2, for the judge's answers. Lim and Ye 2017, equation 5."""
    return (F.relu(1 - real).mean() + F.relu(1 + fake).mean()) / 2


def hinge_generator(fake: torch.Tensor) -> torch.Tensor:
    """-mean fake. Lim and Ye 2017, equation 6."""
    return -fake.mean()


def adaptive_weight(
    wanted: torch.Tensor,
    adversarial: torch.Tensor,
    last_layer: torch.Tensor,
    most: float = 1e4,
    average: Callable[[Sequence[torch.Tensor]], None] | None = None,
) -> torch.Tensor:
    """How much the adversarial loss counts: |d wanted / d L| / (|d adversarial / d L| + 1e-6), L the last layer's
    weight, so that both pull equally hard there; at most `most`. Without a gradient of its own. `average` makes the
    two gradients their means over several processes.

    Esser et al. 2021 (VQGAN), equation 7.
    """
    (pull,) = torch.autograd.grad(wanted, last_layer, retain_graph=True)
    (push,) = torch.autograd.grad(adversarial, last_layer, retain_graph=True)
    if average is not None:
        average((pull, push))
    weight: torch.Tensor = pull.norm() / (push.norm() + 1e-6)
    return weight.clamp(0, most).detach()


def alignment(projected: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
    """1 - mean cosine between a network's projected hidden states and features of the clean picture, [B, C, h, w].

    Yu et al. 2025 (REPA), equation 8, as a distance.
    """
    return 1 - F.cosine_similarity(projected, features, dim=1).mean()


def min_snr(snr: torch.Tensor, gamma: float) -> torch.Tensor:
    """Weights of the squared errors of v: min(SNR + 1, gamma) / (SNR + 1).

    Hang et al. 2023 cap the weight of nearly clean samples so; their min(SNR, gamma) / (SNR + 1) also gives nearly pure
    noise no weight at all, where the first of few sampling steps decides what the picture shows.
    """
    return (snr + 1).clamp(max=gamma) / (snr + 1)
