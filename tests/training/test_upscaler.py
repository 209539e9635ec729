from pathlib import Path

import torch
from torch.nn import functional as F

from extensions.esrgan.weights import build
from webui.training.classifier import Classifier
from webui.training.upscaler import UpscalerPreset, UpscalerStage, shrink, train_upscaler

TINY = UpscalerPreset(filters=8, growth=4, blocks=1, steps=3, batch=2, crop=32, adversary_from=0.5)


def features():
    torch.manual_seed(0)
    return Classifier((4, 4, 4, 4, 4)).eval().requires_grad_(False).features


def test_shrinking_keeps_a_flat_picture_and_quarters_its_side():
    flat = torch.full((1, 3, 32, 32), 0.3)
    assert torch.allclose(shrink(flat), torch.full((1, 3, 8, 8), 0.3), atol=1e-5)


def test_the_file_is_an_esrgan_and_draws_four_times_as_large(renderer, tmp_path: Path):
    path = tmp_path / "x4.safetensors"
    figures = train_upscaler(
        TINY, renderer, features(), tmp_path / "work", path, bf16=False, log=lambda line: None
    )
    assert {"ours_psnr", "bicubic_psnr", "ours_features", "bicubic_features"} <= figures.keys()
    network = build(path).float()
    assert network(torch.rand(1, 3, 8, 8)).shape == (1, 3, 32, 32)


def test_the_shipped_size_is_under_a_megabyte():
    from webui.training.upscaler import build_upscaler

    count = sum(p.numel() for p in build_upscaler(UpscalerPreset()).parameters())
    assert 2 * count < 950_000


def test_training_starts_near_the_picture_and_gets_nearer(renderer):
    stage = UpscalerStage(TINY, renderer, features(), device="cpu", bf16=False)
    pictures = stage._pictures(0)
    assert pictures.shape == (2, 3, 32, 32) and 0 <= pictures.min() and pictures.max() <= 1
    assert F.interpolate(shrink(pictures), scale_factor=4).shape == pictures.shape
    first = [float(stage.advance(0)["pixels"]) for _ in range(12)]
    assert first[-1] < first[0]
