"""The line that says what a model draws: the starter's from its card, others' from theirs, else by their family."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.ui.painter import CARDS
from webui.catalog.library.model_card import folder_card
from webui.errors import ModelFileError
from webui.types import ModelNotes
from webui.ui.model_line import STARTER, model_line

CARD = replace(CARDS[1], side=512)


def test_the_starters_line_is_its_cards_and_has_words_in_every_language() -> None:
    said = model_line(folder_card(STARTER, "starter"))
    assert (said["name"], said["narrow"]) == ("starter", True)
    key, values = said["draws"]
    assert key.startswith("About a hundred things like emoji") and values == {}


def test_what_somebody_wrote_beside_a_model_is_its_line() -> None:
    card = replace(CARD, notes=ModelNotes(description="  Soft light.\nMore of it.\n"))
    assert model_line(card) == {"name": "wide", "draws": "Soft light.", "narrow": False}
    long = replace(CARD, notes=ModelNotes(description="x" * 500))
    assert len(model_line(long)["draws"]) == 200


@pytest.mark.parametrize(
    ("changes", "begins", "side"),
    [
        ({}, "Paints whatever you describe", 512),
        ({"side": 1024}, "Paints whatever you describe", 1024),
        ({"inpainting": True}, "Made to repaint", None),
        ({"refines": True}, "Made to work out the details", None),
        ({"side": 0}, "Paints what it was trained on", None),
    ],
)
def test_a_model_without_words_is_told_of_by_its_family(
    changes: dict[str, object], begins: str, side: int | None
) -> None:
    key, values = model_line(replace(CARD, **changes))["draws"]  # type: ignore[arg-type]
    assert key.startswith(begins) and values.get("side") == side


def test_where_there_is_no_model_that_is_said() -> None:
    assert model_line(None)["narrow"] and model_line(None)["draws"][0].startswith("There is no")


def test_a_description_that_is_no_text_is_refused(tmp_path: Path) -> None:
    for part in STARTER.iterdir():
        if part.name != "easel.json":
            (tmp_path / part.name).symlink_to(part)
    (tmp_path / "easel.json").write_text('{"description": 3}', encoding="utf-8")
    with pytest.raises(ModelFileError, match="'description' is no text"):
        folder_card(tmp_path, "mine")


def test_a_relative_of_a_published_family_is_told_from_it() -> None:
    card = folder_card(STARTER, "starter")
    assert (card.kind, card.side, card.refines) == ("sd1", 0, False)
