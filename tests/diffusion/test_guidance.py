"""Classifier-free guidance against its definition."""

import pytest
import torch

from webui.diffusion.conversions import clean_and_noise, target
from webui.diffusion.guidance import guided, weights


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


def test_the_weights_of_a_sum_are_guidance():
    (first,), (second,) = weights(7.5, [1.0])
    assert first * 5.0 + second * 2.0 == guided(2.0, 5.0, 7.5)


def test_several_texts_are_moved_away_from_what_is_shared_of_none():
    uncond = 0.25 * 2.0 + 0.75 * 6.0
    expected = uncond + 3.0 * (0.7 * (1.0 - uncond) - 0.2 * (9.0 - uncond))
    conds, unconds = weights(3.0, [0.7, -0.2], [1.0, 3.0])
    found = conds[0] * 1.0 + conds[1] * 9.0 + unconds[0] * 2.0 + unconds[1] * 6.0
    assert found == pytest.approx(expected, rel=1e-12)
    assert sum(conds) + sum(unconds) == pytest.approx(1.0, rel=1e-12)


def test_shares_of_nothing_are_refused():
    with pytest.raises(ValueError, match="sum to 0"):
        weights(3.0, [1.0], [1.0, -1.0])
