"""Tags in prompts name adapters and strengths, and never reach the text encoder."""

import pytest

from webui.engine.adapters.tags import Tag, take


@pytest.mark.parametrize(
    ("written", "tag"),
    [
        ("<lora:style>", Tag("style", 1, 1)),
        ("<lora:style:0.8>", Tag("style", 0.8, 0.8)),
        ("<lora:style:-1:.5>", Tag("style", -1, 0.5)),
        ("<LoRA:a style v2:te=0.2:unet=0.7>", Tag("a style v2", 0.2, 0.7)),
        ("<lora:style:0.5:unet=1>", Tag("style", 0.5, 1)),
        ("<lyco:sub/style:0.8:0.7:4>", Tag("sub/style", 0.8, 0.7)),
        ("<lora:1.5>", Tag("1.5", 1, 1)),
        ("<lora:my: style: 0.8 >", Tag("my: style", 0.8, 0.8)),
        ("<lora:C:/style:te=.2>", Tag("C:/style", 0.2, 0.2)),
        ("<lora:style:0,8>", Tag("style:0,8", 1, 1)),  # which is no file
        ("<lora:style:nan>", Tag("style:nan", 1, 1)),
    ],
)
def test_a_tag_has_a_name_and_two_strengths(written: str, tag: Tag) -> None:
    assert take(f"a cat {written}, red") == ("a cat , red", [tag], [])


def test_hypernetworks_have_tags_of_their_own() -> None:
    words, tags, notes = take("a <hypernet:a:0.5><lora:a:1>cat<HYPERNET:b>")
    assert (words, notes) == ("a cat", [])
    assert tags == [Tag("a", 0.5, 0.5, "hypernet"), Tag("a", 1, 1), Tag("b", 1, 1, "hypernet")]


def test_the_first_of_two_tags_of_a_name_counts() -> None:
    assert take("<lora:a:1><lora:b:2><lora:a:3>")[1] == [Tag("a", 1, 1), Tag("b", 2, 2)]


@pytest.mark.parametrize("written", ["<lora::1>", "<lora: >", "<lora:a:1:1:1:1>"])
def test_what_is_not_understood_is_told_and_taken_out(written: str) -> None:
    words, tags, notes = take(f"a {written}cat")
    assert (words, tags) == ("a cat", [])
    assert notes == [f"{written} is not understood: write <lora:name:strength>"]


def test_other_brackets_are_words() -> None:
    assert take("a <cat> 1 < 2") == ("a <cat> 1 < 2", [], [])
