from pathlib import Path

import pytest

from webui.errors import EaselError
from webui.training.renderer import Renderer, find_font


@pytest.fixture(scope="session")
def font() -> Path:
    try:
        return find_font()
    except EaselError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def renderer(font: Path) -> Renderer:
    return Renderer(font)
