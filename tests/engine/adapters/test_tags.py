"""Tags in prompts name adapters and strengths, and never reach the text encoder."""

from dataclasses import replace

import pytest

from webui.engine.adapters.tags import Tag, extract_network_tags


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
        ("<lora:style:0,8>", Tag("style", 0.8, 0.8)),  # as some languages write it
        ("<lora:style:1.:-,5>", Tag("style", 1, -0.5)),
        ("<lora:style::0.5>", Tag("style", 1, 0.5)),
        ("<lora:style:>", Tag("style", 1, 1)),
        ("<lora:style:TE=.5:Unet=1e-1>", Tag("style", 0.5, 0.1)),
        (
            "<lora:style:high>",
            Tag("style:high", 1, 1),
        ),  # the folder knows which names there are
        ("<lora:a<b:1>", Tag("a<b", 1, 1)),
        ("<lora:test2 :1>", Tag("test2", 1, 1)),
    ],
)
def test_a_tag_has_a_name_and_two_strengths(written: str, tag: Tag) -> None:
    words, tags, faults = extract_network_tags(f"a cat {written}, red")
    assert (words, [replace(one, notes=()) for one in tags], faults) == ("a cat , red", [tag], [])


@pytest.mark.parametrize(
    ("written", "text", "unet", "unknown"),
    [
        ("<lora:x:1:lbw=1,0,0>", 1, 1, ["lbw=1,0,0"]),
        ("<lora:x:0.7:step=0-10>", 0.7, 0.7, ["step=0-10"]),
        ("<lora:x:0.7:MIDD>", 0.7, 0.7, ["MIDD"]),
        ("<lora:x:lbw=IN02:0.5>", 0.5, 0.5, ["lbw=IN02"]),
        ("<lora:x:0.1:0.2:3:4:5>", 0.1, 0.2, ["3", "4", "5"]),
        ("<lora:x:1:te=much:dyn=8>", 1, 1, ["te=much", "dyn=8"]),
        ("<hypernet:x:1:2:lbw=a>", 1, 2, ["lbw=a"]),
    ],
)
def test_options_of_other_programs_are_told_and_the_adapter_is_taken(
    written: str, text: float, unet: float, unknown: list[str]
) -> None:
    words, (tag,), faults = extract_network_tags(f"a {written}cat")
    assert (words, faults) == ("a cat", [])
    assert (tag.name, tag.text, tag.unet) == ("x", text, unet)
    assert tag.notes == tuple(
        f"{written}: “{one}” is not known here and does nothing" for one in unknown
    )


@pytest.mark.parametrize(
    "strength", ["1e400", "-1001", "inf", "nan", "9" * 400, "te=1e99", "1:1e9"]
)
def test_a_strength_that_no_number_can_hold_is_told(strength: str) -> None:
    (fault,) = extract_network_tags(f"<lora:x:{strength}>")[2]
    assert "is too large; use -1000 to 1000" in fault and len(fault) < 200


def test_a_tag_that_is_never_closed_is_no_tag() -> None:
    assert extract_network_tags("<lora:a:1 <lora:b:1> <lora:c") == (
        "<lora:a:1  <lora:c",
        [Tag("b", 1, 1)],
        [],
    )


def test_hypernetworks_have_tags_of_their_own() -> None:
    words, tags, notes = extract_network_tags("a <hypernet:a:0.5><lora:a:1>cat<HYPERNET:b>")
    assert (words, notes) == ("a cat", [])
    assert tags == [Tag("a", 0.5, 0.5, "hypernet"), Tag("a", 1, 1), Tag("b", 1, 1, "hypernet")]


def test_the_first_of_two_tags_of_a_name_counts() -> None:
    assert extract_network_tags("<lora:a:1><lora:b:2><lora:a:3>")[1] == [
        Tag("a", 1, 1),
        Tag("b", 2, 2),
    ]


@pytest.mark.parametrize("written", ["<lora::1>", "<lora: >", "<lora:::>"])
def test_what_is_not_understood_is_told_and_taken_out(written: str) -> None:
    words, tags, notes = extract_network_tags(f"a {written}cat")
    assert (words, tags) == ("a cat", [])
    assert notes == [f"{written} is not understood: write <lora:name:strength>"]


def test_other_brackets_are_words() -> None:
    assert extract_network_tags("a <cat> 1 < 2") == ("a <cat> 1 < 2", [], [])
