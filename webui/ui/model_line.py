"""What a model draws, in a line for who sees it for the first time."""

from __future__ import annotations

from typing import Any

from webui.sentences import Sentence, with_keys
from webui.settings import ROOT
from webui.types import ModelCard

__all__ = ["STARTER", "model_line"]

STARTER = ROOT / "models" / "starter"  # its description is in the languages' files
LONGEST = 200  # characters of what somebody wrote


def model_line(card: ModelCard | None) -> dict[str, Any]:
    """For the page: the `name` of a model ("" where there is none), what it `draws` (a sentence, or what somebody wrote
    beside it), and whether that is `narrow`, so that another model is what most people want next."""
    if card is None:
        return {
            "name": "",
            "draws": with_keys(Sentence("There is no model here yet.")),
            "narrow": True,
        }
    said, narrow = _own_words(card), card.path == STARTER
    if said and narrow:
        said = Sentence.named(said)
    return {"name": card.name, "draws": with_keys(said or _by_family(card)), "narrow": narrow}


def _own_words(card: ModelCard) -> str:
    line = next(iter(card.notes.description.strip().splitlines()), "").strip()
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1].rstrip()}…"


def _by_family(card: ModelCard) -> Sentence:
    if card.refines:
        return Sentence("Made to work out the details of another model's pictures.")
    if card.inpainting:
        return Sentence("Made to repaint parts of pictures.")
    if card.side:
        return Sentence(
            "Paints whatever you describe, best at about {side} × {side} pixels.",
            side=card.side,
        )
    return Sentence("Paints what it was trained on.")
