"""Infotexts as they come: through other systems, from other programs, with words in odd places. Nothing is lost."""

from __future__ import annotations

import random
import time

import pytest

from tests.test_metadata import finished
from webui.metadata import infotext
from webui.texts import is_settings, parse

PAIRS = (
    "Steps: 20, Sampler: Euler a, CFG scale: 7, Seed: 5, Size: 512x640, Model: m, Version: v1.6.0"
)
TEXT = f"a cat,\nin oil\nNegative prompt: bad,\nworse\n{PAIRS}"
FOUND = {
    **{"Prompt": "a cat,\nin oil", "Negative prompt": "bad,\nworse", "Steps": "20"},
    **{"Sampler": "Euler a", "CFG scale": "7", "Seed": "5", "Size": "512x640", "Model": "m"},
    "Version": "v1.6.0",
}


@pytest.mark.parametrize(
    "end", ["\n", "\r\n", "\r", " \n", "\u00a0\r\n", "\u2028", "\u2029", "\x85"]
)
@pytest.mark.parametrize("before", ["", "\ufeff", " \r\n\r\n", "\u200b\u3000"])
@pytest.mark.parametrize("after", ["", "\r\n\r\n", "\n \n\t", "\u00a0", "\u200b\ufeff", "\0"])
def test_blanks_and_line_ends_do_not_count(end: str, before: str, after: str) -> None:
    assert parse(before + TEXT.replace("\n", end) + after) == FOUND


@pytest.mark.parametrize("end", ["\r\n", "\r"])
@pytest.mark.parametrize("after", ["", "\r\n\r\n", " "])
def test_our_own_text_comes_back_from_other_systems(end: str, after: str) -> None:
    made = finished(prompt="a cat,\nin oil ", negative_prompt="bad,\n worse")
    assert parse(infotext(made).replace("\n", end) + after) == parse(infotext(made))


def test_our_own_texts_are_read_to_the_letter() -> None:
    random_ = random.Random(3)
    bits = [
        *(
            "a",
            " ",
            "\n",
            "\r\n",
            "\r",
            "\u2028",
            "\x85",
            "\ufeff",
            "\u00a0",
            ", ",
            ": ",
            '"',
            "\\",
        ),
        *("Steps: 20, Sampler: Euler, Seed: 3, Size: 1x1", "\nNegative prompt: b", "\nnegative: c"),
        *(
            "\nTemplate: x",
            "Prompt: y",
            '{"a": 1}',
            "[a, b]",
            "Steps: 9",
            "Version: Easel 1",
            "{",
            "[",
        ),
    ]
    for _ in range(700):
        prompt, negative, model = (
            "".join(random_.choices(bits, k=random_.randrange(7))) for _ in range(3)
        )
        made = finished(prompt=prompt, negative_prompt=negative, model=model or "m")
        found = parse(infotext(made))
        assert (found["Prompt"], found["Negative prompt"], found["Model"]) == (
            *(prompt, negative, model or "m"),
        )
        assert (found["Seed"], found["RNG"]) == ("965400086", "CPU")


# --- Where the pairs stand ------------------------------------------------------------------------


@pytest.mark.parametrize("line", [PAIRS, PAIRS.partition("20, ")[2], PAIRS.lower()])
@pytest.mark.parametrize(
    ("below", "more"),
    [
        (
            "Template: a {cat|dog}, Size: 2, Model: x, Seed: 3\nin two lines\nNegative Template: no",
            {
                "Template": "a {cat|dog}, Size: 2, Model: x, Seed: 3\nin two lines",
                "Negative template": "no",
            },
        ),
        ("Negative Template: no", {"Negative template": "no"}),
        ("\nUsed embeddings: bad [12ab]\nand so on", {"More text": "Used embeddings: bad [12ab]\nand so on"}),
    ],
)  # fmt: skip
def test_what_stands_below_the_pairs_is_no_negative_prompt(
    line: str, below: str, more: dict[str, str]
) -> None:
    if not line.lower().startswith("steps") and "Template: a" in below:
        pytest.skip("two lines that look like pairs; the steps say which is")
    found = parse(f"a cat\nNegative prompt: bad\n{line}\n{below}")
    assert (found["Prompt"], found["Negative prompt"]) == ("a cat", "bad")
    assert (found["Seed"], found["Size"].lower()) == ("5", "512x640")
    assert {key: found[key] for key in more} == more


@pytest.mark.parametrize(
    "words",
    [
        "a cat, aspect: 3:2, f: 1.8, iso: 100",
        "aspect: 3:2, f: 1.8, iso: 100",
        "a cat\nMood: calm, Light: soft, Lens: long",
        "Size: huge, Model: woman, Style: gothic, long hair",
        "a countdown\nSteps: 3, two, one\nand a rocket",
        "portrait, Seed: 5, Size: 5x5, Model: y, Steps: 4",
        "Sampler: cross stitch, Model: Anna, Version: two, User: a weaver",
        "Prompt: a cat\nSteps: 3\nand a ladder",
        "a recipe: Steps: 3, stir",
        "prompt: a cat",
        "{cat|dog} in the garden",
        "[cat:dog:0.5], {{masterpiece}}",
        '{"quoted"} words',
    ],
)
def test_words_with_colons_stay_words(words: str) -> None:
    assert parse(words) == {"Prompt": words, "Negative prompt": ""}
    found = parse(f"{words}\nNegative prompt: {words}\n{PAIRS}")
    assert (found["Prompt"], found["Negative prompt"], found["Seed"]) == (words, words, "5")


def test_lines_of_pairs_inside_of_the_words_stay_words() -> None:
    words = "a poster\nSteps: 9, Sampler: Heun, Seed: 1, Size: 8x8\nbelow"
    found = parse(f"{words}\nNegative prompt: b\nNegative prompt: c\n{PAIRS}")
    assert (found["Prompt"], found["Seed"]) == (words, "5")
    assert found["Negative prompt"] == "b\nNegative prompt: c"


@pytest.mark.parametrize(
    "negative", ["Negative: bad", "negative prompt: bad", "Negative Prompt:bad"]
)
@pytest.mark.parametrize("prompt", ["prompt: a cat", "Prompt: a cat", "PROMPT:\na cat"])
def test_other_programs_name_the_prompts(prompt: str, negative: str) -> None:
    pairs = "Steps: 25 | Seed: 18 | Sampler: Euler a | CFG scale: 6.5 | Size: 512x512 | Parser: Full, new"
    found = parse(f"{prompt}\n{negative}\n{pairs}")
    assert found == {
        **{"Prompt": "a cat", "Negative prompt": "bad", "Steps": "25", "Seed": "18"},
        **{"Sampler": "Euler a", "CFG scale": "6.5", "Size": "512x512", "Parser": "Full, new"},
    }


@pytest.mark.parametrize(
    "line", ["negative: inverted colours", "prompt: the word", "negative prompt: x"]
)
def test_a_prompt_that_names_prompts_stays_whole_where_a1111_wrote_it(line: str) -> None:
    for pairs in (PAIRS, PAIRS.partition(", Version")[0]):
        found = parse(f"a film\n{line}\nNegative prompt: bad\n{pairs}")
        assert (found["Prompt"], found["Negative prompt"]) == (f"a film\n{line}", "bad")
    assert parse(f"prompt: {line}\n{PAIRS}")["Prompt"] == f"prompt: {line}"


def test_a_wrapped_line_of_pairs_is_one() -> None:
    found = parse(
        f"a cat\n{PAIRS}, Foo: x".replace(", CFG", ",\nCFG").replace(", Model", ",\r\n Model")
    )
    assert found == {**FOUND, "Prompt": "a cat", "Negative prompt": "", "Foo": "x"}


@pytest.mark.parametrize("at", range(PAIRS.count(" ") - 1))
def test_a_line_of_pairs_may_be_broken_at_any_blank_but_within_its_last_values(at: int) -> None:
    words = PAIRS.split(" ")
    pairs = " ".join(words[: at + 2]) + "\n" + " ".join(words[at + 2 :])
    if pairs.endswith("\n"):
        pairs = pairs.strip()
    assert parse(f"a cat\nNegative prompt: bad\n{pairs}") == {
        **FOUND,
        **{"Prompt": "a cat", "Negative prompt": "bad"},
    }


@pytest.mark.parametrize("blank", [" ", "\u00a0", "\t", "\u3000", "  "])
def test_any_blank_may_stand_in_a_key(blank: str) -> None:
    words = f"a cat\nNegative prompt: bad\n{PAIRS}"
    for key in ("Negative prompt", "CFG scale"):
        words = words.replace(key, key.replace(" ", blank))
    assert parse(words) == {**FOUND, "Prompt": "a cat", "Negative prompt": "bad"}


@pytest.mark.parametrize("blank", [" ", "  ", "\u00a0", "\t"])
def test_line_ends_that_became_blanks_are_found_again(blank: str) -> None:
    for text in (TEXT, infotext(finished(prompt="a cat, in oil", negative_prompt="bad"))):
        found = parse(text)
        spread = {key: " ".join(value.split("\n")) for key, value in found.items()}
        assert parse(text.replace(",\n", ", ").replace("\n", blank)) == spread
    assert parse(f"a cat{blank}{PAIRS}")["Prompt"] == "a cat"
    assert parse("Sampler: Euler, Steps: 9, Seed: 5, Size: 8x8")["Prompt"] == ""


def test_two_settings_in_any_order_are_no_words() -> None:
    found = parse("a cat\nNegative prompt: bad\nSeed: 5, Steps: 20")
    assert (found["Negative prompt"], found["Seed"], found["Steps"]) == ("bad", "5", "20")


def test_a_list_of_settings_that_begins_with_the_prompt_is_read() -> None:
    lines = ("Width: 512", "Height: 640", "Seed: 5", "Steps: 20", "Guidance Scale: 7")
    told = ("Prompt: a cat,", "in oil: thick", *lines, "Sampler: euler_a", "Negative Prompt: bad")
    assert parse("\n".join((*told, "Use Upscaling: null"))) == {
        **{"Prompt": "a cat,\nin oil: thick", "Negative prompt": "bad", "Seed": "5"},
        **{"Steps": "20", "CFG scale": "7", "Sampler": "Euler a", "Size": "512x640"},
        "Use Upscaling": "null",
    }


def test_a_key_of_odd_letters_spoils_no_other_value() -> None:
    found = parse(
        "a\nSteps: 20, Seed: 5, Model: m, FreeU (B1): 1.1, Foo: a, b, Bar.x: 2, c, Size: 8x8"
    )
    assert (found["Model"], found["Foo"], found["Size"]) == ("m", "a, b", "8x8")
    assert found["More text"] == "FreeU (B1): 1.1\nBar.x: 2\nc"


def test_a_line_for_each_pair_is_read_too() -> None:
    found = parse("a cat\nSteps: 20\nSampler: Euler\nSeed: 5\nSize: 64x64\n")
    assert found["Prompt"] == "a cat"
    assert [found[key] for key in ("Steps", "Sampler", "Seed", "Size")] == [
        "20",
        "Euler",
        "5",
        "64x64",
    ]


def test_what_a1111s_extras_write_is_no_prompt() -> None:
    line = "Postprocess upscale by: 4, Postprocess upscaler: R-ESRGAN 4x+"
    found = parse(line)
    assert found["Prompt"] == "" and found["Postprocess upscale by"] == "4" and is_settings(found)


# --- Values ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        '[{"type":"checkpoint","modelName":"Big, Size: XL"},{"weight":1.0,"air":"urn:x: y"}]',
        '{"a": {"b": ["}", 1]}, "Seed: 9, Steps": 2}',
        "[{'modelName': 'Big, Size: XL', 'x': \"it's\"}]",
        "[]",
        "red, green, and blue",
        "{one",
        "Größe (1)",
    ],
)
def test_a_value_is_kept_whole(value: str) -> None:
    found = parse(f"a\nSteps: 20, Seed: 5, Civitai resources: {value}, Size: 64x72, Version: v1")
    assert found["Civitai resources"] == value
    assert (found["Seed"], found["Size"], found["Version"]) == ("5", "64x72", "v1")
    assert len(found) == 7


def test_of_a_key_that_comes_twice_nothing_is_lost() -> None:
    found = parse("a\nSteps: 20, Seed: 5, Size: 64x72, Foo: a, Size: XL, Foo: b, Seed: 7, Seed: 7")
    assert (found["Size"], found["Seed"], found["Foo"]) == ("64x72", "7", "b")
    assert (found["Size 2"], found["Seed 2"], found["Foo 2"]) == ("XL", "5", "a")


def test_a_key_called_negative_prompt_hides_no_words() -> None:
    found = parse(
        "a cat\nNegative prompt: bad\nSteps: 20, Seed: 5, Negative prompt: worse, Size: 8x8"
    )
    assert (found["Negative prompt"], found["More text"]) == ("worse", "bad")


def test_words_between_the_pairs_are_kept() -> None:
    found = parse("a\nSteps: 20, Seed: 5, huh, Size: 64x72, what")
    assert (found["Seed"], found["Size"], found["More text"]) == ("5", "64x72", "huh\nwhat")


@pytest.mark.parametrize(
    "unit",
    [
        *("a: ", "a: [", "a: [,", 'a: "', '"', "a: b, ", "a,", "\n", "\r", "Steps: 2, a: 1\n", "Seed: 1\n"),
        *("a: 9, ", "Seed: 9\n", "Steps: 1,\n"),
        *("{", '{"a":', "a: 1, a: 2, ", "Steps: 1|", "\u2028a: ", "Negative prompt:", "Template: \n"),
        *('a: "\\', "Steps: 1, a: b, b\n", "Seed: 5, x, ", " ", "Steps: 1\nSeed: 2\n", "a: [x], "),
    ],
)  # fmt: skip
def test_any_text_is_read_in_a_time_that_grows_with_it(unit: str) -> None:
    def cost(length: int) -> float:
        text = "".join(unit.replace("9", str(i)) for i in range(length // len(unit) + 1))[:length]
        start = time.process_time()
        for whole in (text, f"x\n{PAIRS}\n{text}", f"Steps: 1, {text}", f"{text}\n{PAIRS}"):
            assert parse(whole)
        return time.process_time() - start

    assert min(cost(20_000) for _ in range(2)) < 10 * min(cost(5_000) for _ in range(3)) + 0.02
