import numpy as np
import pytest
from PIL import Image

from webui.errors import EaselError
from webui.training.data import drawing_examples, folder_examples, rendered_examples, thermal
from webui.training.renderer import Renderer


def test_a_folders_pictures_are_squares_with_the_captions_beside_them(tmp_path):
    Image.new("RGB", (40, 20), "red").save(tmp_path / "b.png")
    Image.new("L", (9, 30), 200).save(tmp_path / "a.jpg")
    (tmp_path / "b.txt").write_text("a red\n wall", encoding="utf-8")
    (tmp_path / "notes.md").write_text("not a picture")
    examples = folder_examples(tmp_path, 16, "mine")
    assert examples.pictures.shape == (2, 16, 16, 3)
    assert examples.captions == ("mine", "a red wall")
    assert tuple(examples.pictures[1, 8, 8]) == (255, 0, 0)


@pytest.mark.parametrize("kind", ["missing", "empty", "broken"])
def test_a_folder_that_cannot_be_learnt_from_is_told(tmp_path, kind):
    folder = tmp_path / "pictures"
    if kind != "missing":
        folder.mkdir()
    if kind == "broken":
        (folder / "x.png").write_bytes(b"no picture")
    with pytest.raises(EaselError, match=r"x\.png" if kind == "broken" else "pictures"):
        folder_examples(folder, 16)


def test_rendered_examples_are_the_changed_renders(renderer: Renderer):
    plain = rendered_examples(renderer, 3)
    hot = rendered_examples(renderer, 3, thermal, "thermal")
    assert all(text.endswith(", thermal") for text in hot.captions)
    assert (np.asarray(thermal(Image.fromarray(plain.pictures[1]))) == hot.pictures[1]).all()


def test_an_added_drawing_is_shown_on_every_background(font, renderer: Renderer):
    examples = drawing_examples(Renderer(font, (0x1F994,)), "hedgehog")
    assert "a hedgehog on a red background" in examples.captions and len(examples.captions) > 20
    with pytest.raises(EaselError, match="drawing"):
        drawing_examples(renderer, "hedgehog")
