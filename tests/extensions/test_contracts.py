"""Every bundled extension keeps what the kit asks of anybody's, with values of its controls with which it works."""

from __future__ import annotations

import pytest

from tests.extensions.test_controlnet import tiny_controlnet
from tests.extensions.test_esrgan import random_weights
from webui.settings import BUNDLED, ROOT
from webui.testing import check_extension

# Values with which each does something; what is not named is guessed by `example_values`.
EXTRAS = {
    "controlnet": {"controlnet_model": "tiny", "controlnet_start": 0.0, "controlnet_end": 1.0},
    "dynamic_thresholding": {"mimic_scale": 2.0, "threshold_percentile": 0.95},
    "upscale": {"upscale_by": 1.5},
}
VALUES = {"wildcards": {"prompt": "a {cat|dog} on the grass"}}


@pytest.fixture(scope="session")
def files(tmp_path_factory):
    """Networks for those that need some."""
    from diffusers import UNet2DConditionModel
    from safetensors.torch import save_file

    from webui.testing import tiny_models

    root = tmp_path_factory.mktemp("networks")
    unet = UNet2DConditionModel.from_pretrained(
        tiny_models(root) / "Stable-diffusion" / "tiny" / "unet", low_cpu_mem_usage=False
    )
    tiny_controlnet(unet).save_pretrained(root / "ControlNet" / "tiny")
    (root / "ESRGAN").mkdir()
    save_file(random_weights(), root / "ESRGAN" / "random.safetensors")
    return root


@pytest.mark.parametrize("name", BUNDLED)
def test_a_bundled_extension_keeps_its_promises(name, files):
    folder = ROOT / "extensions"
    path = folder / name if (folder / name).is_dir() else folder / f"{name}.py"
    check_extension(path, EXTRAS.get(name), models_dirs=[files], **VALUES.get(name, {}))
