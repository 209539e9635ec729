"""Tags in prompts name adapters and strengths, and never reach the text encoder."""

import pytest

from webui.prompt import Argument, Tag, parse


def said(tag: Tag) -> tuple[str, float, float, str]:
    return tag.name, tag.text, tag.unet, tag.kind


def read(text: str) -> tuple[str, list[tuple[str, float, float, str]], list[str]]:
    """The words without tags, what the tags say, and what cannot be meant."""
    prompt = parse(text)
    return prompt.words, [said(tag) for tag in prompt.tags], list(prompt.faults)


@pytest.mark.parametrize(
    ("written", "tag"),
    [
        ("<lora:style>", ("style", 1, 1, "lora")),
        ("<lora:style:0.8>", ("style", 0.8, 0.8, "lora")),
        ("<lora:style:-1:.5>", ("style", -1, 0.5, "lora")),
        ("<LoRA:a style v2:te=0.2:unet=0.7>", ("a style v2", 0.2, 0.7, "lora")),
        ("<lora:style:0.5:unet=1>", ("style", 0.5, 1, "lora")),
        ("<lyco:sub/style:0.8:0.7:4>", ("sub/style", 0.8, 0.7, "lora")),
        ("<lora:1.5>", ("1.5", 1, 1, "lora")),
        ("<lora:my: style: 0.8 >", ("my: style", 0.8, 0.8, "lora")),
        ("<lora:C:/style:te=.2>", ("C:/style", 0.2, 0.2, "lora")),
        ("<lora:style:0,8>", ("style", 0.8, 0.8, "lora")),  # as some languages write it
        ("<lora:style:1.:-,5>", ("style", 1, -0.5, "lora")),
        ("<lora:style::0.5>", ("style", 1, 0.5, "lora")),
        ("<lora:style:>", ("style", 1, 1, "lora")),
        ("<lora:style:TE=.5:Unet=1e-1>", ("style", 0.5, 0.1, "lora")),
        (
            "<lora:style:high>",
            ("style:high", 1, 1, "lora"),
        ),  # the folder knows which names there are
        ("<lora:a<b:1>", ("a<b", 1, 1, "lora")),
        ("<lora:test2 :1>", ("test2", 1, 1, "lora")),
    ],
)
def test_a_tag_has_a_name_and_two_strengths(
    written: str, tag: tuple[str, float, float, str]
) -> None:
    assert read(f"a cat {written}, red") == ("a cat , red", [tag], [])


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
    prompt = parse(f"a {written}cat")
    (tag,) = prompt.tags
    assert (prompt.words, prompt.faults) == ("a cat", ())
    assert (tag.name, tag.text, tag.unet) == ("x", text, unet)
    assert tag.notes == tuple(
        f"{written}: “{one}” is not known here and does nothing" for one in unknown
    )


@pytest.mark.parametrize(
    "strength", ["1e400", "-1001", "inf", "nan", "9" * 400, "te=1e99", "1:1e9"]
)
def test_a_strength_that_no_number_can_hold_is_told(strength: str) -> None:
    (fault,) = parse(f"<lora:x:{strength}>").faults
    assert "is too large; use -1000 to 1000" in fault and len(fault) < 200


def test_a_tag_that_is_never_closed_is_no_tag() -> None:
    assert read("<lora:a:1 <lora:b:1> <lora:c") == (
        "<lora:a:1  <lora:c",
        [("b", 1, 1, "lora")],
        [],
    )


def test_hypernetworks_have_tags_of_their_own() -> None:
    words, tags, notes = read("a <hypernet:a:0.5><lora:a:1>cat<HYPERNET:b>")
    assert (words, notes) == ("a cat", [])
    assert tags == [("a", 0.5, 0.5, "hypernet"), ("a", 1, 1, "lora"), ("b", 1, 1, "hypernet")]


def test_the_first_of_two_tags_of_a_name_counts() -> None:
    assert read("<lora:a:1><lora:b:2><lora:a:3>")[1] == [
        ("a", 1, 1, "lora"),
        ("b", 2, 2, "lora"),
    ]


@pytest.mark.parametrize("written", ["<lora::1>", "<lora: >", "<lora:::>"])
def test_what_is_not_understood_is_told_and_taken_out(written: str) -> None:
    words, tags, notes = read(f"a {written}cat")
    assert (words, tags) == ("a cat", [])
    assert notes == [f"{written} is not understood: write <lora:name:strength>"]


def test_other_brackets_are_words() -> None:
    assert read("a <cat> 1 < 2") == ("a <cat> 1 < 2", [], [])


def test_every_argument_is_kept_in_its_order() -> None:
    (tag,) = parse("<lora:x:0.5:lbw=1,0,0:unet=.7:8:9:TE=y>").tags
    assert tag.arguments == (
        Argument("", "0.5", True),
        Argument("lbw", "1,0,0", False),
        Argument("unet", ".7", True),
        Argument("", "8", True),
        Argument("", "9", False),
        Argument("TE", "y", False),
    )


@pytest.mark.parametrize(
    ("prompt", "pieces"),
    [
        ("(cat:1.2 <lora:a:1>)", [("cat", 1.2)]),
        ("(cat<lora:a:1>:1.2)", [("cat", 1.2)]),
        ("ca<lora:a>t", [("cat", 1)]),
        ("a <lora:a> BREAK<lora:b> b", [("a", 1), (None, 1), ("b", 1)]),
        ("BRE<lora:a>AK", [(None, 1)]),
        ("\\<lora:a>(cat", [("(cat", 1)]),
    ],
)
def test_a_tag_is_nowhere_in_the_way(prompt: str, pieces: list[tuple[str | None, float]]) -> None:
    """Brackets, breaks and words are read as if it were not there."""
    tree = parse(prompt)
    assert [(one.text, one.weight) for one in tree.pieces()] == pieces
    assert tree.tags and tree.printed() == prompt
