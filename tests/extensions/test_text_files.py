"""A text file beside the picture, with what stands in it, and only when asked."""

from pathlib import Path

import pytest

from extensions import text_files
from tests.engine.conftest import request
from webui.errors import EaselError
from webui.types import SavedPicture


def saved(folder: Path, **extras) -> list[Path]:
    picture = SavedPicture(folder / "00001-7.png", 7, 8, 8, "a löwe\nSteps: 4")
    text_files.image_saved(picture, request(extras=extras))
    return list(folder.iterdir())


def test_the_infotext_is_written_beside_the_picture(tmp_path):
    (path,) = saved(tmp_path, text_files=True)
    assert path.name == "00001-7.txt"
    assert path.read_text(encoding="utf-8") == "a löwe\nSteps: 4\n"


def test_a_text_that_is_there_stays(tmp_path):
    (path,) = saved(tmp_path, text_files=True)
    assert saved(tmp_path, text_files=True) == [path]  # told of it once more
    path.write_text("my own words")
    with pytest.raises(EaselError, match="was there already"):
        saved(tmp_path, text_files=True)
    assert path.read_text() == "my own words"


def test_nothing_is_written_unasked(tmp_path):
    assert saved(tmp_path, text_files=False) == saved(tmp_path) == []
