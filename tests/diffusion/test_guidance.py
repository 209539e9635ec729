"""Classifier-free guidance against its definition."""

import pytest
import torch

from webui.diffusion.conversions import clean_and_noise, target
from webui.diffusion.guidance import guided


def test_the_scale_goes_from_without_through_with_and_beyond():
    assert [guided(2.0, 5.0, scale) for scale in (0.0, 1.0, 3.0)] == [2.0, 5.0, 11.0]


@pytest.mark.parametrize("name", ["epsilon", "sample", "v_prediction"])
def test_guiding_what_the_network_says_guides_the_clean_latent(name):
    """One noised latent, two opinions of it: guidance may come before the conversion or after."""
    x, one, other = torch.randn(3, 4, generator=torch.Generator().manual_seed(1)).double()
    said = guided(one, other, 6.5)
    clean = clean_and_noise(name, x, said, 0.6, 0.8)[0]
    each = [clean_and_noise(name, x, s, 0.6, 0.8)[0] for s in (one, other)]
    torch.testing.assert_close(clean, guided(*each, 6.5))
    assert torch.equal(target("epsilon", one, said, 0.6, 0.8), said)
