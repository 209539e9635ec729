"""A sentence is English text wherever text is wanted, and keeps its key and values on the way."""

from __future__ import annotations

import copy
import json
import pickle

import pytest

from webui.errors import SENTENCE_MAX, CapacityError, ModelFileError, RequestError
from webui.sentences import Called, Sentence, kept, with_keys

STEP = Sentence("Step {step} of {steps}", step=7, steps=20)


def test_it_reads_as_english_with_its_values() -> None:
    assert STEP == "Step 7 of 20" and isinstance(STEP, str)
    assert f"now: {STEP}" == "now: Step 7 of 20"
    assert json.dumps([STEP]) == '["Step 7 of 20"]'
    assert {"Step 7 of 20": 1}[STEP] == 1


def test_a_name_without_a_value_stays_and_a_value_is_not_read_for_names() -> None:
    told = Sentence("{name}: {other} {}", name="{other}")
    assert told == "{other}: {other} {}"


@pytest.mark.parametrize(
    "kept", [str, copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))]
)
def test_it_keeps_its_key_when_it_is_handed_on(kept) -> None:
    again = kept(STEP)
    assert again == STEP and with_keys(again) == [
        "Step {step} of {steps}",
        {"step": 7, "steps": 20},
    ]


@pytest.mark.parametrize("kind", [RequestError, ModelFileError, CapacityError])
def test_an_error_says_the_sentence_that_it_was_given(kind) -> None:
    assert with_keys(str(kind(STEP))) == with_keys(STEP)


def test_what_somebody_wrote_has_no_key() -> None:
    assert with_keys("what an extension {wrote}") == "what an extension {wrote}"
    told = {"line": STEP, "facts": ("a model", STEP), "number": 3, "none": None}
    key = ["Step {step} of {steps}", {"step": 7, "steps": 20}]
    assert with_keys(told) == {"line": key, "facts": ["a model", key], "number": 3, "none": None}


def test_a_control_is_its_name_to_programs_and_its_label_to_people() -> None:
    told = Sentence("{name}: give a picture", name=Called("image", "Picture"))
    assert told == "image: give a picture"
    assert with_keys(told) == ["{name}: give a picture", {"name": ["Picture", {}]}]
    assert with_keys(copy.deepcopy(told)) == with_keys(told)


def test_what_was_written_down_is_the_same_english_with_the_same_keys() -> None:
    told = Sentence("{name}: {why}", name=Called("image", "Picture"), why=STEP)
    again = kept(str(told), json.dumps(with_keys(told)))
    assert again == "image: Step 7 of 20" and with_keys(again) == with_keys(told)
    assert kept("of before", None) == "of before" and kept(None, None) is None


def test_what_is_no_text_and_no_number_is_told_as_its_text() -> None:
    told = Sentence("{why}, {size}, {part}", why=ValueError("odd"), size=(1, 2), part=float("nan"))
    assert json.dumps(with_keys(told)) == json.dumps(
        ["{why}, {size}, {part}", {"why": "odd", "size": "(1, 2)", "part": "nan"}]
    )


def test_a_sentence_in_a_sentence_is_translated_by_itself() -> None:
    outer = Sentence("{line}; {gone} no longer on disk", line=STEP, gone=2)
    assert outer == "Step 7 of 20; 2 no longer on disk"
    assert with_keys(outer) == [
        "{line}; {gone} no longer on disk",
        {"line": with_keys(STEP), "gone": 2},
    ]


def test_a_sentence_too_long_for_an_error_loses_the_middle_of_its_values() -> None:
    value = "a" * 3_000_000 + "z"
    told = str(RequestError(Sentence("sampler {given}: there is none of that name", given=value)))
    assert len(told) <= SENTENCE_MAX + 100
    assert told.startswith("sampler aaa") and told.endswith("z: there is none of that name")
    key, values = with_keys(told)
    assert (
        key == "sampler {given}: there is none of that name"
        and len(values["given"]) < SENTENCE_MAX + 10
    )
