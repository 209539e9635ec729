"""Wildcards and choices: what a template means, that the seed alone decides, and what is refused."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from itertools import permutations

import pytest

from extensions import wildcards
from extensions.wildcards import lists
from extensions.wildcards.template import Drawing
from tests.engine.conftest import request
from webui.errors import RequestError
from webui.types import Places

EXTRAS = {"wildcards_template": "", "wildcards_negative_template": ""}
PROMPTS = ("prompt", "negative_prompt")
FILES = {
    "colour.txt": "red\n# a comment\n\ngreen\nblue\n",
    "animals/dog.txt": "poodle\nterrier\n",
    "animals/cat.txt": "\ufeffsiamese\n",
    "nested.txt": "a {big|small} __animals/dog__\n",
    "likely.txt": "9::often\nseldom\n",
    "loop.txt": "__loop__ again\n",
    "many.txt": "{__colour__|__colour__} " * 400,
    "empty.txt": "# nothing yet\n",
    "under_score.txt": "kept\n",
}


@pytest.fixture
def places(tmp_path):
    for name, text in FILES.items():
        path = tmp_path / "data" / "wildcards" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    for number, text in enumerate(["mine\n", "other\n"]):
        folder = tmp_path / f"models{number}" / "wildcards"
        folder.mkdir(parents=True)
        (folder / "shared.txt").write_text(text)
        (folder / f"only{number}.txt").write_text(text)
    (tmp_path / "secret.txt").write_text("secret\n")
    models = (tmp_path / "models0", tmp_path / "models1")
    return Places(tmp_path / "data", models, tmp_path / "outputs")


def resolved(places, prompt, seed=1, negative=""):
    asked = request(prompt=prompt, negative_prompt=negative, seed=seed, extras=EXTRAS)
    return wildcards.change_request(asked, places, PROMPTS) or asked


def prompts(places, prompt, seeds=300):
    """How often each result comes of the first seeds."""
    return Counter(resolved(places, prompt, seed).prompt for seed in range(seeds))


# --- What a template means ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("template", "results"),
    [
        ("a {red|blue} cat", {"a red cat", "a blue cat"}),
        ("{|very }good", {"good", "very good"}),
        ("{a|{b|c}}{x|}", {"a", "b", "c", "ax", "bx", "cx"}),
        ("__colour__", {"red", "green", "blue"}),
        ("__Animals/Dog__", {"poodle", "terrier"}),
        ("__animals/*__", {"poodle", "terrier", "siamese"}),
        ("__nested__", {f"a {s} {d}" for s in ("big", "small") for d in ("poodle", "terrier")}),
        ("__under_score__", {"kept"}),
        ("__shared__ __only0__ __only1__", {"mine mine other"}),
        ("{2$$a|b|c}", {"a, b", "b, a", "a, c", "c, a", "b, c", "c, b"}),
        ("{1-2$$ and $$a|b}", {"a", "b", "a and b", "b and a"}),
        ("{2$$$$a|b}", {"ab", "ba"}),
        ("{0-1$$a|b}", {"", "a", "b"}),
        ("{2$$__animals/dog__}", {"poodle, terrier", "terrier, poodle"}),
        ("{2$$__animals/dog__|x}", {"poodle, x", "terrier, x", "x, poodle", "x, terrier"}),
        (r"\{a|b\} \__colour__ {\||\}}", {r"\{a|b\} \__colour__ \|", r"\{a|b\} \__colour__ \}"}),
        ("{0::a|b}", {"b"}),
        ("{0.::a|.5::b}", {"b"}),
        ("{-2$$a|b|c}", {"a", "b", "c", *(f"{a}, {b}" for a, b in permutations("abc", 2))}),
        ("{-2$$ / $$a|b}", {"a", "b", "a / b", "b / a"}),
        ("{2-$$a|b}", {"a, b", "b, a"}),
        ("{ 1-2 $$a|b}", {"a", "b", "a, b", "b, a"}),
        ("{0-$$__animals/dog__}", {"", "poodle", "terrier", "poodle, terrier", "terrier, poodle"}),
        ("__animals\\dog__", {"poodle", "terrier"}),
        ("__shared____only1__", {"mineother"}),
        ("{__shared__}", {"{mine}"}),
        ("{a {b|b} c}", {"{a b c}"}),
        ("{{a|b}", {"{a", "{b"}),
        ("(__shared__:1.2), [{x|x}]", {"(mine:1.2), [x]"}),
        ("<lora:{x|x}:1>{<lora:a:1>|<lora:a:1>}", {"<lora:x:1><lora:a:1>"}),
        ("__shared__s 猫__shared__猫", {"mines 猫mine猫"}),
    ],
)
def test_every_result_comes_and_no_other(places, template, results):
    assert set(prompts(places, template)) == results


PLAIN = """
a cat	a | b }	__	a__b	$$ 2::x	1$$a	[day|night] (dog:1.2)	a \\(b\\)
<lora:my__colour__style:1> cat	<hypernet:my__h__x:1>	<lyco:__colour__>	bad__colour__v5
a__colour__	\u00e9__colour__	<lora:a|b:1> {<lora:a|b:1>}	__nope__v2
<ti:__colour__:1><ti:__colour__:1> <lora:__colour__>	<lora:a<b__colour__:1>
{masterpiece}	{{{masterpiece}}}	:{	:}	}{	{	}	|{|	{}	a {b|c	{$$a}	{2$a}	{:3}
\\{a|b\\} cat	\\__colour__	\\{a\\|b\\} \\\\{c|d}
"""


@pytest.mark.parametrize(
    "prompt",
    [
        *("", *PLAIN.strip().replace("\n", "\t").split("\t")),
        *("{" * 20_000, "{" * 9_999 + "}" * 9_999, "{a|" * 5_000),
    ],
)
def test_what_is_no_template_is_left_alone(places, prompt):
    asked = request(prompt=prompt, extras=EXTRAS)
    assert wildcards.change_request(asked, places, PROMPTS) is None


@pytest.mark.parametrize(
    ("template", "chances"),
    [
        ("{a|b|c}", {"a": 1 / 3, "b": 1 / 3, "c": 1 / 3}),
        ("{2::a|b|0.5::c}", {"a": 2 / 3.5, "b": 1 / 3.5, "c": 0.5 / 3.5}),
        ("__likely__", {"often": 0.9, "seldom": 0.1}),
        ("{1-3$$a|a|a}", {"a": 1 / 3, "a, a": 1 / 3, "a, a, a": 1 / 3}),
    ],
)
def test_options_come_as_often_as_their_weights_say(places, template, chances):
    """Of 1500 seeds, within 4 standard deviations."""
    drawn = prompts(places, template, 1500)
    for result, chance in chances.items():
        deviation = (1500 * chance * (1 - chance)) ** 0.5
        assert abs(drawn[result] - 1500 * chance) < 4 * deviation


# --- The seed, and the request --------------------------------------------------------------------


def test_the_seed_alone_decides(places):
    template = "__colour__ {a|b|c} " * 5
    one = resolved(places, template, seed=7)
    random.seed(99)  # other people's random numbers change nothing
    assert resolved(places, template, seed=7).prompt == one.prompt
    assert len(prompts(places, template, 50)) > 45


def test_the_draws_of_both_prompts_follow_each_other(places):
    """So that equal templates in both need not come to the same."""
    asked = [resolved(places, "{a|b}", seed, "{a|b}") for seed in range(100)]
    assert len({(r.prompt, r.negative_prompt) for r in asked}) == 4


def test_the_templates_are_kept_where_something_was_replaced(places):
    changed = resolved(places, "a {cat|cat}", negative="ugly")
    assert changed.prompt == "a cat"
    assert dict(changed.extras) == {**EXTRAS, "wildcards_template": "a {cat|cat}"}
    changed = resolved(places, "a cat", negative="{ugly|ugly}")
    assert dict(changed.extras) == {**EXTRAS, "wildcards_negative_template": "{ugly|ugly}"}


def test_a_resolved_request_is_not_resolved_again(places):
    changed = resolved(places, r"{a|b} \{c|d\}")
    assert changed.prompt in (r"a \{c|d\}", r"b \{c|d\}")
    assert changed.extras["wildcards_template"] == r"{a|b} \{c|d\}"


@pytest.mark.parametrize(
    ("template", "prompt"),
    [
        (r"{\{a\|b\}|\{a\|b\}} cat", r"\{a\|b\} cat"),
        ("{__barred__}", r"\{a\|b\}"),  # what a list holds is a choice beside braces
        ("_{_colour|_colour}__", r"\__colour__"),
        ("{{1$|1$}$b}", r"\{1$$b\}"),
    ],
)
def test_the_prompt_of_a_picture_gives_the_same_prompt_again(places, template, prompt):
    """Whatever it is made of: a text that would be a template is written with backslashes, which mean themselves."""
    (places.data_dir / "wildcards" / "barred.txt").write_text("a|b\n")
    changed = resolved(places, template)
    assert changed.prompt == prompt
    assert wildcards.change_request(changed, places, PROMPTS) is None


def test_any_text_comes_to_one_that_comes_to_itself(places):
    """Nor is anything an error but what a list or a number says."""
    random.seed(3)
    parts = [
        "{",
        "}",
        "|",
        "\\",
        "__",
        "_",
        "a",
        " ",
        "colour",
        "$$",
        "1-2$$",
        "2::",
        "<lora:",
        ">",
        ":",
        "\n",
        "猫",
    ]
    for _ in range(3000):
        template = "".join(random.choices(parts, k=random.randint(1, 14)))
        try:
            changed = resolved(places, template, seed=5)
        except RequestError as refused:
            said = ("is not known", "draws from", "no option has a weight", "no line to draw")
            assert any(words in str(refused) for words in said), template
            continue
        assert resolved(places, changed.prompt, seed=5).prompt == changed.prompt, template


def test_prompts_of_other_controls_are_resolved_behind_the_two(places):
    asked = request(prompt="{a|b}", extras={**EXTRAS, "to": "__colour__ {a|b}", "words": "{a|b}"})
    changed = wildcards.change_request(asked, places, (*PROMPTS, "to"))
    assert changed.prompt == resolved(places, "{a|b}").prompt
    assert changed.extras["to"].split()[0] in ("red", "green", "blue")
    assert changed.extras["words"] == "{a|b}"
    again = wildcards.change_request(changed, places, (*PROMPTS, "to"))
    assert again is None
    with pytest.raises(RequestError, match=r"^to: wildcard 'nope' is not known"):
        extras = {**EXTRAS, "to": "__nope__"}
        wildcards.change_request(replace(asked, extras=extras), places, (*PROMPTS, "to"))


@pytest.mark.parametrize("folder", ["models0/embeddings", "embeddings"])
def test_the_name_of_an_embedding_is_a_word(places, tmp_path, folder):
    for name in ("bad-__colour__-v5", "__Nope__", "hands", "__colour__"):
        path = tmp_path / folder / f"{name}.pt"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"")
    prompt = "Bad-__colour__-v5, __nope__, __hands__, (__NOPE__:1.2)"
    for field in PROMPTS:
        asked = request(**{field: prompt}, extras=EXTRAS)
        assert wildcards.change_request(asked, places, PROMPTS) is None
    assert resolved(places, "__colour__").prompt in ("red", "green", "blue")  # a list comes first


def test_a_task_without_the_hidden_control_has_its_prompt_resolved_too(places):
    changed = wildcards.change_request(request(prompt="{a|a}", extras={}), places, PROMPTS)
    assert (changed.prompt, dict(changed.extras)) == ("a", {})


def test_the_controls_are_hidden_and_empty():
    (group,) = wildcards.register_controls()
    assert all(control.hidden and control.default == "" for control in group.controls)
    assert {control.name for control in group.controls} == set(EXTRAS)


# --- What is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("template", "sentence"),
    [
        ("__color__", r"wildcard 'color' is not known; did you mean 'colour'\?"),
        ("__zzzz__", "'zzzz' is not known; there are 'animals/cat', "),
        ("__empty__", "has no line to draw"),
        ("{4$$a|b|c}", r"draws from 3 options"),
        ("{3-2$$a|b|c}", r"draws from 3 options"),
        ("{0::a|0::b}", "no option has a weight above 0"),
        ("__loop__", "more than 10 wildcards inside each other.*name itself"),
        ("__many__ __many__ __many__", "more than 1000 choices"),
        ("__../secret__", "not known"),
        ("__../../secret__", "not known"),
        ("__../*__", "not known"),
    ],
)
def test_what_cannot_be_resolved_is_refused_with_a_sentence(places, template, sentence):
    for field in ("prompt", "negative_prompt"):
        asked = request(**{"prompt": "a cat", field: template}, extras=EXTRAS)
        with pytest.raises(RequestError, match=f"^{field}: .*{sentence}") as refused:
            wildcards.change_request(asked, places, PROMPTS)
        assert refused.value.field == field


def test_an_absolute_path_is_no_name(places, tmp_path):
    with pytest.raises(RequestError, match="not known"):
        resolved(places, f"__{tmp_path / 'secret'}__")


def test_without_any_list_the_sentence_says_where_they_go(tmp_path):
    bare = Places(tmp_path, (), tmp_path)
    with pytest.raises(RequestError, match=r"put lists, one option a line, into .*wildcards$"):
        resolved(bare, "__colour__")


def test_a_list_that_cannot_be_used_is_refused_and_no_other_with_it(places, tmp_path, monkeypatch):
    folder = places.data_dir / "wildcards"
    (folder / "bad-binary.txt").write_bytes(b"\xff\xfe\x00\xd8")
    (folder / "bad-latin.txt").write_bytes("grün\n".encode("latin-1"))
    (folder / "bad-folder.txt").mkdir()
    (folder / "bad-gone.txt").symlink_to(tmp_path / "nowhere")
    (folder / "bad-large.txt").write_text("x\n" * 5000)
    monkeypatch.setattr(lists, "BYTES_MAX", 4000)
    for name, says in (
        ("binary", "save it as UTF-8"),
        ("latin", "save it as UTF-8"),
        ("large", "is larger than"),
    ):
        with pytest.raises(RequestError, match=rf"bad-{name}\.txt cannot be read: .*{says}"):
            resolved(places, f"__bad-{name}__")
    for name in ("folder", "gone"):
        with pytest.raises(RequestError, match="is not known"):
            resolved(places, f"__bad-{name}__")
    with pytest.raises(RequestError, match="cannot be read"):
        resolved(places, "__bad-*__")
    (folder / "bad-not.txt").write_text("good\n")
    assert resolved(places, "__bad-*__").prompt == "good"


def test_what_would_come_to_too_much_text_is_refused():
    drawing = Drawing(random.Random(0), lambda name: ["x" * 15_000])
    with pytest.raises(ValueError, match="more than 20000 characters"):
        drawing.resolved("__a__ __a__")
