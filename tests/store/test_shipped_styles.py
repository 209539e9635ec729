"""The styles that come with Easel: whole, with the starter's own words among them."""

from __future__ import annotations

import json

from webui.settings import ROOT
from webui.store.shipped_styles import SHIPPED, shipped_styles
from webui.store.style_tables import parse
from webui.training.captions import STYLE_WORDS

VOCABULARY = ROOT / "models/starter/tokenizer/vocab.json"


def test_the_file_is_whole_and_every_style_takes_a_prompt() -> None:
    table = parse(SHIPPED.read_text(encoding="utf-8"))
    assert not table.damaged and table.others == ("group",)
    assert len(table.found) >= 30
    assert [one.style.name for one in shipped_styles()] == [one.name for one in table.found]
    for one in shipped_styles():
        assert one.group and one.style.prompt.count("{prompt}") == 1, one


def test_six_are_made_of_words_that_the_starter_knows_whole() -> None:
    known = json.loads(VOCABULARY.read_text(encoding="utf-8"))
    ours = [one.style for one in shipped_styles() if one.group == "Starter model"]
    assert len(ours) == 6
    words = " ".join(one.prompt.replace("{prompt}", "").replace(",", "") for one in ours).split()
    assert [word for word in words if f"{word}</w>" not in known] == []
    assert not any(one.negative_prompt for one in ours)


def test_styles_that_the_starters_training_paints_begin_as_its_captions_do() -> None:
    prompts = [one.style.prompt for one in shipped_styles()]
    learnt = [
        words[0]
        for words in STYLE_WORDS.values()
        if any(prompt.startswith(f"{words[0]} of {{prompt}}, ") for prompt in prompts)
    ]
    assert len(learnt) >= 6


def test_without_the_file_there_are_none(tmp_path) -> None:
    assert shipped_styles(tmp_path / "styles.csv") == ()
