"""Other programs' JSON: what of it is settings, and that it never becomes a prompt."""

from __future__ import annotations

import json

import pytest

from webui.texts import is_json, is_settings, parse

FOOOCUS = {
    **{"prompt": "a cat, {x}", "negative_prompt": "bad", "prompt_expansion": "", "steps": 30},
    **{"styles": "['Fooocus V2']", "performance": "Speed", "resolution": "(896, 1152)"},
    **{"guidance_scale": 4.0, "sharpness": 2.0, "base_model": "jug", "base_model_hash": "aeb7e9e689"},
    **{"sampler": "dpmpp_2m_sde_gpu", "scheduler": "karras", "seed": "7152", "loras": [["x", 0.1, "ab"]]},
    **{"metadata_scheme": "fooocus", "version": "Fooocus v2.3.1"},
}  # fmt: skip
SWARM = {
    "sui_image_params": {
        **{"prompt": "a cat", "negativeprompt": "bad", "model": "sub/xl", "seed": 12, "steps": 20},
        **{"cfgscale": 7.5, "width": 1024, "height": 768, "sampler": "euler_ancestral"},
        **{"scheduler": "sgm_uniform", "swarm_version": "0.9"},
    },
    "sui_models": [{"name": "xl", "hash": "0x12"}],
}


@pytest.mark.parametrize("indent", [None, 2])
def test_fooocus_and_swarmui_are_read(indent: int | None) -> None:
    found = parse(json.dumps(FOOOCUS, indent=indent))
    assert {
        key: found[key] for key in found if key in (*"Size Seed".split(), "Steps", "Model")
    } == {**{"Size": "896x1152", "Seed": "7152", "Steps": "30", "Model": "jug"}}
    assert (found["Prompt"], found["Negative prompt"]) == ("a cat, {x}", "bad")
    assert (found["Sampler"], found["Schedule type"]) == ("DPM++ 2M SDE", "karras")
    assert (found["CFG scale"], found["Model hash"]) == ("4", "aeb7e9e689")
    assert found["loras"] == '[["x", 0.1, "ab"]]' and found["sharpness"] == "2"  # told, not lost

    found = parse(json.dumps(SWARM, indent=indent))
    assert (found["Prompt"], found["Negative prompt"], found["Size"]) == (
        "a cat",
        "bad",
        "1024x768",
    )
    assert (found["Seed"], found["Steps"], found["CFG scale"]) == ("12", "20", "7.5")
    assert (found["Sampler"], found["Schedule type"]) == ("Euler a", "sgm_uniform")
    assert found["Model"] == "sub/xl" and "xl" in found["sui_models"]


def test_fooocus_older_names_are_read() -> None:
    old = {"Prompt": "a", "Negative Prompt": "b", "Seed": 5, "Guidance Scale": 4, "Base Model": "m"}
    found = parse(json.dumps({**old, "Resolution": "(64, 72)"}))
    assert [
        found[key] for key in ("Prompt", "Negative prompt", "Seed", "CFG scale", "Model", "Size")
    ] == [*("a", "b", "5", "4", "m", "64x72")]


@pytest.mark.parametrize(
    "text",
    [
        '{"3": {"class_type": "KSampler", "inputs": {"seed": 5, "steps": 3}}}',
        '{"prompt": {"3": {"class_type": "KSampler"}}, "seed": 5}',
        '{"positive_prompt": "a cat", "cfg_scale": 7, "app_version": "4.2"}',
        '{"prompt": "a cat"}',
        '[{"prompt": "a cat", "seed": 5}]',
        "{}",
        '{"prompt": "a cat", "seed": 5',
        '  {"prompt": "a cat", "seed": NaN, oops}',
        '{"a": ' * 2000 + "1" + "}" * 2000,
        '{"seed": ' + "1" * 5000 + ', "prompt": "a"}',
    ],
)
def test_other_json_is_no_prompt(text: str) -> None:
    for given in (text, f"\ufeff{text}\r\n"):
        found = parse(given)
        assert found == {"Prompt": "", "Negative prompt": ""}
        assert not is_settings(found)


def test_words_in_braces_are_no_json() -> None:
    for words in ("{cat|dog}", "[cat:dog:0.5]", "{a} and {b}", '{"a"}', "(a:1.2)"):
        assert not is_json(words)
        assert parse(words)["Prompt"] == words
