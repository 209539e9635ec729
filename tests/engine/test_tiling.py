"""A picture made in tiles is the picture made whole, without a seam, and the VAE is afterwards as it was."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL
from torch import Tensor

from webui.engine.tiling import Tile, run_tile, spans, tiled
from webui.settings import ROOT

LEVELS = 127.5  # of 255, for a difference in -1..1


@pytest.fixture(scope="module")
def vae() -> Any:
    """The starter's: a trained one, whose two groups a norm make it sensitive to what a tile does not see."""
    return (
        AutoencoderKL.from_pretrained(ROOT / "models" / "starter" / "vae")
        .requires_grad_(False)
        .eval()
    )


@pytest.fixture(scope="module")
def picture() -> Tensor:
    """A smooth scene with edges, [1, 3, 192, 320] in -1..1, brighter to the right, so that tiles differ."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, 192), torch.linspace(-1, 1, 320), indexing="ij")
    disc = ((x * 1.6 - 0.6) ** 2 + y**2 < 0.4).float()
    return torch.stack([x, y * 0.5 + disc, 0.5 - disc])[None].clamp(-1, 1)


def made(vae: Any, way: Any, x: Tensor, **sizes: int) -> Tensor:
    run, reply = tiled(way, x, 8, **sizes), None
    with torch.inference_mode():
        while True:
            try:
                reply = run_tile(vae, run.send(reply))  # type: ignore[arg-type]
            except StopIteration as stop:
                return stop.value


def test_a_decode_in_tiles_is_the_whole_one(vae: Any, picture: Tensor) -> None:
    with torch.inference_mode():
        latent = vae.encode(picture).latent_dist.mode()
        whole = vae.decode(latent).sample
    ours = made(vae, "decode", latent, tile=16, overlap=4)
    difference = (ours - whole).abs() * LEVELS
    assert difference.mean() < 4 and difference.max() < 16  # a change of tone, of 255 levels
    vae.enable_tiling()
    vae.tile_latent_min_size, vae.tile_sample_min_size, vae.tile_overlap_factor = 16, 128, 0.25
    with torch.inference_mode():
        theirs = (vae.decode(latent).sample - whole).abs() * LEVELS
    vae.disable_tiling()
    assert difference.mean() < 0.5 * theirs.mean() and difference.max() < 0.5 * theirs.max()


def test_no_seam_shows_where_tiles_meet(vae: Any, picture: Tensor) -> None:
    """Beyond what the whole picture has, the step from column to column at a tile's edge is under half a level."""
    with torch.inference_mode():
        latent = vae.encode(picture).latent_dist.mode()
        whole = vae.decode(latent).sample
    change = made(vae, "decode", latent, tile=16, overlap=4) - whole
    steps = change.diff(dim=-1).abs().mean(dim=(0, 1, 2)) * LEVELS
    edges = [s.start * 8 - 1 for s in spans(40, 16, 4) if s.start] + [
        s.stop * 8 - 1 for s in spans(40, 16, 4)
    ][:-1]
    assert steps[edges].max() < 0.5


def test_an_encode_in_tiles_is_the_whole_one(vae: Any, picture: Tensor) -> None:
    with torch.inference_mode():
        whole = vae.encode(picture).latent_dist
    moments = made(vae, "encode", picture, tile=16, overlap=4)
    mean = moments.chunk(2, dim=1)[0]
    spread = whole.mode().std()
    assert (mean - whole.mode()).abs().mean() < 0.1 * spread


def test_one_tile_is_the_whole(vae: Any) -> None:
    torch.manual_seed(0)
    latent = torch.randn(1, 8, 12, 16)
    with torch.inference_mode():
        whole = vae.decode(latent).sample
    torch.testing.assert_close(made(vae, "decode", latent), whole, rtol=1e-3, atol=1e-3)


def test_the_vae_is_left_as_it_was(vae: Any) -> None:
    torch.manual_seed(0)
    latent = torch.randn(1, 8, 20, 20)
    with torch.inference_mode():
        before = vae.decode(latent).sample
        made(vae, "decode", latent, tile=16, overlap=4)
        assert torch.equal(vae.decode(latent).sample, before)
    assert not any(layer._forward_hooks for layer in vae.modules())


@pytest.mark.parametrize(
    ("length", "tile", "overlap"),
    [(7, 16, 4), (16, 16, 4), (17, 16, 4), (100, 16, 4), (256, 64, 8)],
)
def test_tiles_cover_a_side_and_overlap_enough(length: int, tile: int, overlap: int) -> None:
    found = spans(length, tile, overlap)
    assert found[0].start == 0 and found[-1].stop == length
    assert {s.stop - s.start for s in found} == {min(tile, length)}
    for one, other in itertools.pairwise(found):
        assert one.stop - other.start >= overlap


def test_memory_is_that_of_a_tile() -> None:
    """No call is given more than a tile, but for the middle at the latent's size."""
    run = tiled("decode", torch.zeros(1, 4, 200, 300), 8)
    call: Tile = next(run)
    assert call.part == "whole" and call.x.shape[-2:] == (200, 300)
