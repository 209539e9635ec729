"""The linear preview map against encoders whose inverse is known."""

import json
import os

import pytest
import torch
import torch.nn.functional as F

from webui.engine.preview import PreviewMap, fit, keep, read_map, swatches

MAP = PreviewMap(((0.1, 0.2, 0.3), (-0.1, 0.0, 0.1)), (0.5, 0.4, 0.3))


def test_fit_recovers_an_exactly_linear_encoder():
    mix = torch.tensor([[2.0, 0.5, -1.0], [0.0, 1.5, 1.0], [1.0, -1.0, 3.0]])
    shift = torch.tensor([0.3, -0.2, 0.1])

    def encode(pixels):  # pixels in -1..1, 8 times smaller
        return torch.einsum("bchw,lc->blhw", F.avg_pool2d(pixels, 8), mix) + shift[:, None, None]

    found = fit(encode)
    pixels = swatches(128)[0]
    expected = F.avg_pool2d(pixels, 8)
    latent = encode(pixels[None] * 2 - 1)[0]
    torch.testing.assert_close(found.colours(latent), expected, atol=1e-4, rtol=0)


def test_fit_survives_a_channel_that_says_nothing():
    found = fit(lambda pixels: F.pad(F.avg_pool2d(pixels, 8), (0, 0, 0, 0, 0, 1)))
    assert len(found.matrix) == 4
    latent = torch.cat([torch.full((3, 2, 2), 0.5), torch.zeros(1, 2, 2)])  # 0.5 in -1..1
    torch.testing.assert_close(
        found.colours(latent), torch.full((3, 2, 2), 0.75), atol=1e-4, rtol=0
    )


def test_picture_has_the_size_asked_for_and_no_more_than_512():
    latent = torch.zeros(2, 4, 6)
    assert MAP.picture(latent, 48, 32).size == (48, 32)
    assert MAP.picture(latent, 2048, 1024).size == (512, 256)


def test_picture_shows_the_maps_colours_and_bears_numbers_that_are_none():
    latent = torch.tensor([1.0, -1.0])[:, None, None].expand(2, 8, 8)
    assert MAP.picture(latent, 64, 64).getpixel((30, 30)) == (178, 153, 128)  # 0.7, 0.6, 0.5
    latent = torch.full((2, 8, 8), torch.nan)
    assert MAP.picture(latent, 64, 64).getpixel((30, 30)) == (128, 128, 128)


def test_kept_map_is_read_again_and_destroys_no_other_key(tmp_path):
    path = tmp_path / "easel.json"
    path.write_text('{"defaults": {"steps": 7}}', encoding="utf-8")
    keep(MAP, path)
    beside = json.loads(path.read_text(encoding="utf-8"))
    assert beside["defaults"] == {"steps": 7}
    assert read_map(beside, 2) == MAP
    assert [file.name for file in tmp_path.iterdir()] == ["easel.json"]


@pytest.mark.parametrize("beside", [
    {}, {"preview": 3}, {"preview": {"matrix": [[1, 2]], "bias": [0, 0, 0]}},
    {"preview": {"matrix": [[1, 2, "x"]] * 2, "bias": [0, 0, 0]}},
    {"preview": {"matrix": [[1, 2, float("nan")]] * 2, "bias": [0, 0, 0]}},
])  # fmt: skip
def test_map_that_does_not_fit_is_no_map(beside):
    assert read_map(beside, 2) is None


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root writes anywhere")
def test_read_only_folder_is_left_alone(tmp_path):
    tmp_path.chmod(0o500)
    keep(MAP, tmp_path / "easel.json")
    tmp_path.chmod(0o700)
    assert not list(tmp_path.iterdir())


def test_damaged_file_is_left_as_it_is(tmp_path):
    path = tmp_path / "easel.json"
    path.write_text("{not json", encoding="utf-8")
    keep(MAP, path)
    assert path.read_text(encoding="utf-8") == "{not json"
