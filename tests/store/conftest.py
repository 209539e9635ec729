"""A gallery over an empty folder, for the tests of all its parts."""

import pytest

from tests.store.pictures import gallery_at


@pytest.fixture
def outputs(tmp_path):
    (tmp_path / "outputs").mkdir()
    return tmp_path / "outputs"


@pytest.fixture
def gallery(tmp_path, outputs):
    made = gallery_at(tmp_path)
    yield made
    made.close()
