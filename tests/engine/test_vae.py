"""Our way to and from latents against diffusers' VAE and image processor, and the retry in float32."""

from dataclasses import replace

import pytest
import torch
from diffusers import AutoencoderKL
from diffusers.image_processor import VaeImageProcessor

from tests.networks import tiny_folder
from webui.catalog.checkpoints import list_models
from webui.engine import vae
from webui.engine.loading import load
from webui.engine.placement import place
from webui.errors import ModelFileError

PLACEMENT = place("cpu", "float32", "sdpa")


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    models = tmp_path_factory.mktemp("models")
    tiny_folder(models / "starter")
    return models


@pytest.fixture
def networks(models):
    """Loaded anew for each test: some of them damage the weights."""
    return load(list_models([models])[0], PLACEMENT)


@pytest.fixture(scope="module")
def theirs(models):
    return AutoencoderKL.from_pretrained(models / "starter" / "vae", low_cpu_mem_usage=False).eval()


def test_encode_is_the_scaled_mean_of_diffusers_posterior(networks, theirs):
    pixels = torch.rand(2, 3, 64, 48, generator=torch.manual_seed(0)) * 2 - 1
    latents = vae.encode(networks, pixels)
    assert (latents.shape, latents.dtype) == ((2, 4, 8, 6), torch.float32)
    expected = theirs.encode(pixels).latent_dist.mean * theirs.config.scaling_factor
    torch.testing.assert_close(latents, expected, atol=2e-6, rtol=0)


def test_decode_is_the_picture_that_diffusers_makes(networks, theirs):
    latents = torch.randn(2, 4, 8, 6, generator=torch.manual_seed(0))
    pictures = vae.decode(networks, latents)
    assert (pictures.shape, pictures.dtype) == ((2, 64, 48, 3), torch.uint8)
    decoded = theirs.decode(latents / theirs.config.scaling_factor).sample.detach()
    expected = VaeImageProcessor().postprocess(decoded, output_type="np") * 255
    # half a level is the rounding; the rest is for batches of one
    assert (pictures - torch.from_numpy(expected)).abs().max() <= 0.501


def test_picture_does_not_depend_on_its_neighbours(networks):
    latents = torch.randn(3, 4, 8, 8, generator=torch.manual_seed(0))
    together = vae.decode(networks, latents)
    assert torch.equal(together[1:2], vae.decode(networks, latents[1:2]))


def test_overflow_in_half_precision_is_made_again_in_float32_for_good(networks):
    latents = (
        torch.randn(1, 4, 8, 8, generator=torch.manual_seed(0)) * 1e6
    )  # float16 ends at 65,504
    expected = vae.decode(networks, latents)
    assert networks.notes == []
    networks.vae.to(torch.float16)
    again = vae.decode(networks, latents)
    assert networks.vae.dtype == torch.float32
    assert len(networks.notes) == 1 and "float16" in networks.notes[0]
    assert (again.int() - expected.int()).abs().max() <= 3  # the weights were rounded to float16
    vae.decode(networks, latents)
    assert len(networks.notes) == 1


def test_numbers_that_are_none_in_float32_name_the_model(networks):
    networks.vae.decoder.conv_in.weight.fill_(torch.nan)
    with pytest.raises(ModelFileError, match=r"starter.*VAE.*even in float32"):
        vae.decode(networks, torch.zeros(1, 4, 8, 8))


def test_latent_without_numbers_is_the_unets_fault(networks):
    networks.placement = replace(networks.placement, dtype=torch.float16)
    with pytest.raises(ModelFileError, match=r"U-Net gave.*float16"):
        vae.decode(networks, torch.full((1, 4, 8, 8), torch.nan))
