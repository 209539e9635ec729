from __future__ import annotations

from pathlib import Path

import pytest

from webui.errors import RequestError
from webui.settings import BUNDLED, ROOT, Settings


def test_a_data_folder_holds_outputs_and_further_models(tmp_path):
    settings = Settings.at(tmp_path, port=0, device=None)
    assert settings.outputs_dir == tmp_path / "outputs"
    assert settings.models_dirs == (ROOT / "models", tmp_path / "models")
    assert (settings.port, settings.device) == (0, "auto")


def test_the_program_folder_is_searched_once():
    assert Settings.at(ROOT) == Settings()
    assert Settings().models_dirs == (ROOT / "models",)
    assert (ROOT / "launch.py").is_file()


@pytest.mark.parametrize("device", ["auto", "cpu", "cuda", "cuda:1", "mps"])
def test_devices(device):
    assert Settings(device=device).device == device


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"device": "gpu"}, "device 'gpu': use auto, cpu, cuda, cuda:N or mps"),
        ({"device": "cuda:"}, "device 'cuda:': use auto, cpu, cuda, cuda:N or mps"),
        ({"dtype": "fp16"}, "dtype 'fp16': use auto, float32, bfloat16, float16"),
        ({"attention": "flash"}, "attention 'flash': use auto, sdpa, xformers"),
        ({"port": 65536}, "port 65536: use 0 to 65535 (0 takes a free one)"),
        ({"port": -1}, "port -1: use 0 to 65535 (0 takes a free one)"),
        ({"defaults": {"stepps": 3}}, "defaults: 'stepps' is no field of a request"),
    ],
)
def test_values_that_cannot_be_meant_are_refused(values, says):
    with pytest.raises(RequestError) as caught:
        Settings(**values)
    assert str(caught.value) == says
    assert caught.value.field == next(iter(values))


def test_settings_stay_as_they_were_given():
    defaults = {"steps": 12}
    settings = Settings(defaults=defaults, data_dir=Path("x"))
    defaults["steps"] = 99
    assert settings.defaults["steps"] == 12
    with pytest.raises(TypeError):
        settings.defaults["steps"] = 3  # type: ignore[index]
    with pytest.raises(AttributeError):
        settings.port = 1  # type: ignore[misc]


def test_what_is_called_bundled_is_there_and_has_its_page():
    """So that --safe-mode starts with all of ours, and with nothing that somebody put beside them."""
    there = {path.stem for path in (ROOT / "extensions").iterdir()}
    assert set(BUNDLED) <= there
    pages = {page.stem for page in (ROOT / "docs/extensions").glob("*.md")} - {"index"}
    assert pages == set(BUNDLED)
