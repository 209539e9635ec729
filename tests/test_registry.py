from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from webui.engine.samplers import SAMPLERS
from webui.engine.schedules import SCHEDULES
from webui.errors import RequestError
from webui.registry import Catalog, Registry, nearest
from webui.types import ModelCard

SAMPLERS_FOUND = Registry("sampler_name", SAMPLERS.items(), lambda s: s.aliases)
SCHEDULES_FOUND = Registry("scheduler", SCHEDULES.items(), lambda s: (s.label, *s.aliases))


@pytest.mark.parametrize(
    ("registry", "typed", "name"),
    [
        (SAMPLERS_FOUND, "Euler a", "Euler a"),
        (SAMPLERS_FOUND, "EULER A", "Euler a"),
        (SAMPLERS_FOUND, "k_euler_a", "Euler a"),
        (SAMPLERS_FOUND, "euler_ancestral", "Euler a"),
        (SAMPLERS_FOUND, " dpm++  2m ", "DPM++ 2M"),
        (SAMPLERS_FOUND, "k_dpmpp_2m", "DPM++ 2M"),
        (SCHEDULES_FOUND, "SGM Uniform", "sgm_uniform"),
        (SCHEDULES_FOUND, "SGMUniform", "sgm_uniform"),
        (SCHEDULES_FOUND, "Automatic", "automatic"),
    ],
)
def test_names_are_found_as_people_write_them(registry, typed, name):
    assert registry.find(typed) == name
    assert registry[name].name == name


@pytest.mark.parametrize("typed", ["Eulr", "", None, 3, ["Euler"]])
def test_an_unknown_name_is_a_sentence_with_the_field(typed):
    with pytest.raises(RequestError, match="is not known") as caught:
        SAMPLERS_FOUND.find(typed)
    assert caught.value.field == "sampler_name"


def test_the_nearest_name_is_offered():
    with pytest.raises(RequestError, match=r"'Eulr' is not known; did you mean 'Euler'\?"):
        SAMPLERS_FOUND.find("Eulr")
    assert nearest("qqqq", ["red", "blue"]) == "; use 'red', 'blue'"
    assert nearest("red", []) == "; there is none"


@pytest.mark.parametrize("typed", ["x" * 201, True, 5, ["red"]])
def test_what_is_no_slip_of_the_finger_is_compared_with_nothing(typed):
    assert nearest(typed, ["x" * 200, "true", "['red']"]).startswith("; use ")


def test_a_sentence_about_a_value_of_megabytes_keeps_its_ends():
    said = str(RequestError(f"seed {'9' * 10_000_000!r}: give a whole number", "seed"))
    assert said.startswith("seed '999") and said.endswith("999': give a whole number")
    assert len(said) < 2100


def test_the_first_of_two_values_with_one_name_wins_and_names_beat_aliases():
    registry = Registry("x", [("a", "first"), ("a", "second"), ("b", "third")], lambda v: ["B", v])
    assert dict(registry) == {"a": "first", "b": "third"}
    assert registry.find("B") == "b"
    assert registry.find("THIRD") == "b"


def test_order_is_kept():
    assert list(SAMPLERS_FOUND) == list(SAMPLERS)


def test_models_are_asked_for_anew():
    cards = [ModelCard("one", Path("one"))]
    catalog = Catalog(Registry("task", []), SAMPLERS_FOUND, SCHEDULES_FOUND, lambda: list(cards))
    assert list(catalog.models()) == ["one"]
    cards.append(ModelCard("two", Path("two")))
    assert catalog.models().find("TWO") == "two"


def test_a_model_and_a_vae_are_found_by_what_infotexts_call_them():
    card = ModelCard("sd/Dream.safetensors", Path("one"), sha256="0123456789abcdef")
    catalog = Catalog(
        Registry("task", []),
        SAMPLERS_FOUND,
        SCHEDULES_FOUND,
        lambda: [card],
        list_vaes=lambda: ["soft/mse.safetensors"],
    )
    for name in ("dream", "Dream.safetensors", "0123456789", "Dream [0123456789]"):
        assert catalog.models().find(name) == card.name
    assert list(catalog.vaes()) == ["automatic", "none", "soft/mse.safetensors"]
    assert (
        catalog.vaes().find("MSE")
        == catalog.vaes().find("mse.safetensors")
        == "soft/mse.safetensors"
    )


def test_models_are_put_in_order_anew_only_when_they_are_others():
    cards = [ModelCard(name="one", path=Path("one")), ModelCard(name="two", path=Path("two"))]
    nothing = Registry("none", ())
    catalog = Catalog(nothing, nothing, nothing, lambda: list(cards))
    first = catalog.models()
    assert catalog.models() is first
    cards[1] = replace(cards[1], sha256="ab" * 32)
    second = catalog.models()
    assert second is not first and second.find(cards[1].hash) == "two"
