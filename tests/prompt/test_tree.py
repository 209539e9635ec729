"""What a prompt's signs mean, that any text is a prompt, and that a tree gives its text back."""

from __future__ import annotations

import random

import pytest

from tests.prompt.shown import shown
from webui.prompt import Edit, Part, Prompt, Text, parse
from webui.prompt.tree import source_of


@pytest.mark.parametrize(
    ("prompt", "tree"),
    [
        ("", []),
        ("a cat", ["a cat"]),
        ("(a (b:1.3) [c])", [(1.1, "a ", (1.3, "b"), " ", ("/1.1", "c"))]),
        ("[cat:dog:0.5]", [("edit", ["cat"], ["dog"], 0.5, "part")]),
        ("[cat:dog: 12 ]", [("edit", ["cat"], ["dog"], 12, "step")]),
        ("[dog:1.]", [("edit", None, ["dog"], 1, "part")]),
        ("[cat::.25]", [("edit", ["cat"], [], 0.25, "part")]),
        ("[:dog:3]", [("edit", [], ["dog"], 3, "step")]),
        ("[:3]", [("edit", None, [], 3, "step")]),
        ("[a (b:1.2):[c|d]:8]", [("edit", ["a ", (1.2, "b")], [("or", ["c"], ["d"])], 8, "step")]),
        ("[a|b|c]", [("or", ["a"], ["b"], ["c"])]),
        ("[fe|]male", [("or", ["fe"], []), "male"]),
        ("[|]", [("or", [], [])]),
        ("[(a|b):2]", [("edit", None, [(1.1, "a|b")], 2, "step")]),
        (r"[a\|b]", [("/1.1", "a", "|", "b")]),
        ("[a:b:c:0.5]", [("/1.1", "a:b:c:0.5")]),
        ("[a|b:0.5]", [("/1.1", "a|b:0.5")]),
        ("[a:b]", [("/1.1", "a:b")]),
        ("[a:-1]", [("/1.1", "a:-1")]),
        ("[a:1e3]", [("/1.1", "a:1e3")]),
        ("a:b|c:0.5", ["a:b|c:0.5"]),
        ("(a:b:0.5)", [(0.5, "a:b")]),
        ("(a", ["open (", "a"]),
        ("[a (b] c) d", ["open [", "a ", (1.1, "b", "]", " c"), " d"]),
        ("a)", ["a", ")"]),
        ("a BREAK b", ["a", "BREAK", "b"]),
        ("(a BREAK b)", [(1.1, "a", "BREAK", "b")]),
        ("BREAKFAST AND_B", ["BREAKFAST AND_B"]),
        ("<lora:x:1>[a<lora:y>:2]", ["<x>", ("edit", None, ["a", "<y>"], 2, "step")]),
        ("a {b|c} __d__", ["a {b|c} __d__"]),
    ],
)
def test_what_signs_mean(prompt: str, tree: list[object]) -> None:
    (part,) = parse(prompt).parts
    assert shown(part.nodes) == tree and part.weight == 1


@pytest.mark.parametrize(
    ("prompt", "parts"),
    [
        ("a AND b", [("a ", 1), (" b", 1)]),
        (
            "a cat :1.2 AND a dog AND grass:-0.5",
            [("a cat ", 1.2), (" a dog ", 1), (" grass", -0.5)],
        ),
        ("a:2 AND :0.5", [("a", 2), (" ", 0.5)]),
        ("AND", [("", 1), ("", 1)]),
        ("a 16:9", [("a 16:9", 1)]),  # one part has no weight
        ("(a AND b:1.2)", [("(a AND b:1.2)", 1)]),  # inside of brackets it is a word
        ("(a AND b", [("(a ", 1), (" b", 1)]),  # of such that end
        ("SAND AND LAND", [("SAND ", 1), (" LAND", 1)]),
        (r"a \(x:2\) AND b", [(r"a \(x:2\) ", 1), (" b", 1)]),
    ],
)
def test_and_stands_between_parts_with_weights(prompt: str, parts: list[tuple[str, float]]) -> None:
    def words(part: Part) -> str:
        return source_of(part.nodes)

    assert [(words(part), part.weight) for part in parse(prompt).parts] == parts


def test_what_switches_while_a_picture_is_made_is_read_as_it_is_written() -> None:
    for prompt in ("[cat:dog:0.5]", "[cat|dog|]", "[::3]"):
        (piece,) = parse(prompt).pieces()
        assert (piece.text, piece.weight) == (prompt[1:-1], 1 / 1.1)
    (piece,) = parse("a :2 AND b").pieces()
    assert (piece.text, piece.weight) == ("a :2 AND b", 1)


# --- Textual inversions ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prompt", "tree"),
    [
        ("a my-cat, MY", ["a ", "@my-cat", ", ", "@my"]),
        ("mystery my_cat", ["mystery my_cat"]),
        ("(my-cat:1.2)", [(1.2, "@my-cat")]),
        ("[my:my-cat:3]", [("edit", ["@my"], ["@my-cat"], 3, "step")]),
        ("[my|x my]", [("or", ["@my"], ["x ", "@my"])]),
        (r"\(my\)", ["(", "@my", ")"]),
        (r"\__x__ y", [r"'\\__'", "@__x__", " y"]),
        ("my-<lora:a>cat", ["'my-'", "<a>", "@my-cat"]),
        ("a<lora:a>my", ["a", "<a>", "my"]),
        ("<lora:my:1>", ["<my>"]),
        ("MY ſ", ["@my", " ſ"]),
    ],
)
def test_names_of_inversions_are_words_of_their_own(prompt: str, tree: list[object]) -> None:
    parsed = parse(prompt, ["my", "My-cat", "__x__", "s"])
    assert shown(parsed.parts[0].nodes) == tree and parsed.printed() == prompt


def test_a_name_that_is_not_there_for_its_reader_is_a_word() -> None:
    prompt = parse("a my-cat, (my:1.0) b", ["my-cat", "my"])
    assert prompt.inversions == {"my", "my-cat"} and prompt.named == ("my-cat", "my")
    assert [(one.text, one.name) for one in prompt.pieces()] == [("a my-cat, my b", "")]
    assert [(one.text, one.name) for one in prompt.pieces({"my"})] == [
        ("a my-cat, ", ""),
        ("my", "my"),
        (" b", ""),
    ]


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("(my)(cat)", [("mycat", "", 1.1)]),  # as one word is read that is written so
        ("(my:1.2)(my:1.2)", [("mymy", "", 1.2)]),
        ("(my), (my)", [("my", "my", 1.1), (", ", "", 1), ("my", "my", 1.1)]),
        ("(a (my:1.0) b)", [("a ", "", 1.1), ("my", "my", 1.1), (" b", "", 1.1)]),
        ("(my:1.2)my", [("my", "my", 1.2), ("my", "my", 1)]),
        ("m<lora:a>y<lora:b>", [("my", "my", 1)]),
        ("th<lora:a>ere", [("there", "", 1)]),  # which is not there for this reader
    ],
)
def test_a_word_is_what_stands_between_other_signs_in_text_of_one_weight(
    text: str, pieces: list[tuple[str, str, float]]
) -> None:
    prompt = parse(text, ["my", "there"])
    assert [(one.text, one.name, one.weight) for one in prompt.pieces({"my"})] == pieces


# --- Any text -------------------------------------------------------------------------------------

SIGNS = (
    *("(", ")", "[", "]", ":", "|", ":1.2)", ":0.5]", ":3]", "\\", "\\(", "\\|", "__", "{", "}", "<", ">"),
    *(" ", "\n", ",", "x", "cat", "my", "é", "猫", "1", ".", "-", "BREAK", " BREAK ", "AND", " AND ", ":1.3 AND "),
    *("<lora:a:1>", "<hypernet:b:te=1:lbw=2>", "<lora:", "<lora::1>"),
)  # fmt: skip


def test_any_text_is_a_prompt_and_the_tree_gives_it_back() -> None:
    dice = random.Random(5)
    for _ in range(3000):
        text = "".join(dice.choices(SIGNS, k=dice.randint(0, 24)))
        prompt = parse(text, ["my", "cat x"])
        assert prompt.printed() == text
        assert prompt.pieces() and parse(text).pieces() == prompt.pieces(), text
        again = parse(prompt.words)  # as if the tags had never been there
        assert again.every_tag or again.pieces() == prompt.pieces(), text


def test_places_of_tags_and_names_are_those_in_the_text() -> None:
    text = "[a (my:1.2 <lora:b>):c|my<lora:my:1>] AND my :2"
    prompt = parse(text, ["my"])
    assert [text[a:b] for a, b in prompt.tag_spans()] == ["<lora:b>", "<lora:my:1>"]
    assert [text[a:b] for a, b in prompt.inversion_spans()] == ["my", "my", "my"]
    assert prompt.tag_spans()[1] == (text.index("<lora:my"), text.index("] AND"))


@pytest.mark.parametrize(
    "text",
    [
        *("(" * 20_000, "[" * 20_000, "(" * 10_000 + ")" * 10_000, "[" * 10_000 + "]" * 10_000),
        *("[a:" * 5_000 + ":3]" * 5_000, "[a|" * 5_000 + "b]" * 5_000, "[a|(b:" * 3_000),
        *("(a:1.1)" * 2_857, "(a my " * 3_000 + "b:1.01)" * 285, "AND " * 5_000),
    ],
)
def test_brackets_may_be_as_deep_as_a_text_is_long(text: str) -> None:
    prompt: Prompt | None = parse(text, ["my"])
    assert prompt is not None and prompt.printed() == text and prompt.pieces({"my"})
    assert hash(prompt) == hash(parse(text, ["my"])) and prompt == parse(text, ["my"])
    del prompt  # which takes a tree apart


def test_a_tree_that_is_changed_prints_the_change() -> None:
    (edit,) = parse("[cat:dog:0.5]").parts[0].nodes
    assert isinstance(edit, Edit)
    other = Edit(edit.before, (Text("fox", "fox"),), 0.7, "0.7")
    assert source_of([other]) == "[cat:fox:0.7]"
