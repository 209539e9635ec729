"""The noisy samplers. A latent is a vector of coefficients of independent unit Gaussians, so that its
variance is the squared length, exactly and from a single run."""

from itertools import pairwise

import numpy as np
import pytest

from tests.engine.samplers.gaussian import denoise, drive, even, geometric, no_noise
from webui.engine.samplers.ancestral import ddim, ddpm, euler_ancestral, split
from webui.engine.samplers.euler import euler

ETAS = [0.0, 0.3, 1.0]


def run(make, sigmas, s, **options):
    """The final variance, the variances that were asked about, and the noises' (sigma, sigma_next)."""
    drawn = []

    def noise(sigma, sigma_next):
        drawn.append((sigma, sigma_next))
        return np.eye(len(sigmas))[len(drawn)]

    x = np.eye(len(sigmas))[0] * np.hypot(s, sigmas[0])
    final, asked = drive(
        make, x, sigmas, noise, lambda x, sigma: denoise(x, sigma, mu=0.0, s=s), **options
    )
    return final @ final, [x @ x for x, _ in asked], drawn


@pytest.mark.parametrize("eta", ETAS)
@pytest.mark.parametrize("make", [euler_ancestral, ddim])
def test_around_a_single_datum_the_variance_is_the_schedules_at_every_step(make, eta):
    sigmas = geometric(9)
    final, asked, _ = run(make, sigmas, s=0.0, eta=eta)
    assert asked == pytest.approx([sigma**2 for sigma in sigmas[:-1]], rel=1e-12)
    assert final == 0


@pytest.mark.parametrize("make", [euler_ancestral, ddim, ddpm])
def test_variance_of_the_pictures_converges_to_the_datas(make):
    errors = [abs(run(make, even(n), s=0.5)[0] - 0.25) for n in (128, 256, 512)]
    ratios = [errors[0] / errors[1], errors[1] / errors[2]]
    assert errors[-1] < 0.01
    assert ratios == pytest.approx([2, 2], abs=0.2)  # first order


def test_each_step_but_the_last_draws_once_in_order():
    sigmas = geometric(5)
    expected = list(pairwise(sigmas[:-1]))
    assert run(euler_ancestral, sigmas, s=0.5)[2] == expected
    assert run(ddim, sigmas, s=0.5, eta=0.1)[2] == expected
    assert run(ddpm, sigmas, s=0.5)[2] == expected


@pytest.mark.parametrize(("make", "options"), [(ddim, {}), (euler_ancestral, {"eta": 0.0})])
def test_without_noise_it_is_euler(make, options):
    final, asked = drive(make, 5.0, geometric(12), no_noise, **options)
    final_euler, asked_euler = drive(euler, 5.0, geometric(12))
    assert final == pytest.approx(final_euler, rel=1e-12)
    assert [x for x, _ in asked] == pytest.approx([x for x, _ in asked_euler], rel=1e-12)


def test_full_noise_is_the_posterior_of_the_forward_process():
    # x = x0 + sigma_next z + sqrt(sigma² - sigma_next²) z': the textbook conditional of two Gaussians.
    sigma, sigma_next = 3.0, 1.2
    down, up = split(sigma, sigma_next, 1.0)
    gain = sigma_next**2 / sigma**2
    assert down / sigma == pytest.approx(gain)
    assert up**2 == pytest.approx(sigma_next**2 * (1 - gain))
