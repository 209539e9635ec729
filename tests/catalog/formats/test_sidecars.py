"""What lies beside a checkpoint is read with limits; what it says wins over the header."""

from __future__ import annotations

import json

import pytest

from tests.catalog.formats.files import checkpoint
from webui.catalog.checkpoints import list_models
from webui.catalog.formats.sidecars import read_configuration, read_json
from webui.errors import ModelFileError

V = "model:\n  target: ldm.models.diffusion.ddpm.LatentDiffusion\n  params:\n    parameterization: 'v'\n"
SDXL = """
model:
  params:
    denoiser_config:
      params:
        scaling_config:
          target: sgm.modules.diffusionmodules.denoiser_scaling.VScaling
"""


@pytest.fixture
def folder(tmp_path):
    checkpoint(tmp_path / "Stable-diffusion" / "m.safetensors", "sd2")
    return tmp_path / "Stable-diffusion"


def card(folder):
    (found,) = list_models([folder.parent])
    return found


@pytest.mark.parametrize(
    ("text", "prediction"),
    [
        (V, "v_prediction"),
        (SDXL, "v_prediction"),
        (V.replace("'v'", "eps"), "epsilon"),
        ("model:\n  params:\n    scale_factor: 0.18215\n", None),
        (
            V + "    linear_start: 0.00085\n    linear_end: 0.0120\n    timesteps: 1000\n",
            "v_prediction",
        ),
    ],
)
def test_an_inference_configuration_says_what_is_predicted(folder, text, prediction):
    (folder / "m.yaml").write_text(text)
    assert (card(folder).prediction, card(folder).problem) == (prediction, None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (V + "    linear_start: 0.0015\n", "linear_start 0.0015"),
        (V + "    linear_end: 0.0195\n", "linear_end 0.0195"),
        (V + "    timesteps: 500\n", "timesteps 500"),
        (V + "    beta_schedule: cosine\n", "beta_schedule cosine"),
        (V + "    scale_factor: 1.5305\n", "scale_factor 1.5305"),
        (V.replace("'v'", "flow"), "parameterization 'flow'"),
        (SDXL.replace("VScaling", "VScalingWithEDMcNoise"), "VScalingWithEDMcNoise"),
        (SDXL.replace("VScaling", "EDMScaling"), "EDMScaling"),
        (
            SDXL.replace("scaling_config", "discretization_config").replace("VScaling", "EDMDiscretization"),
            "EDMDiscretization",
        ),
    ],
)  # fmt: skip
def test_what_a_configuration_says_and_nobody_computes_is_told(folder, text, said):
    (folder / "m.yaml").write_text(text)
    assert said in (card(folder).problem or "")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [1", "is not YAML"),
        ("- 1", "no model.params"),
        ("!!python/object/apply:os.system ['true']", "is not YAML"),
        ("a: &x [1]\nb: *x\n", "an alias"),
        ("[" * 20_000, "is not YAML"),
        ("x" * 100_000, "more than 65536"),
        ("\x00", "is not YAML"),
    ],
)
def test_a_damaged_configuration_is_one_sentence(folder, text, said):
    (folder / "m.yaml").write_text(text)
    problem = card(folder).problem
    assert "m.yaml" in problem and said in problem and "\n" not in problem


def test_a_configuration_that_links_to_nowhere_is_told(folder):
    (folder / "m.yaml").symlink_to(folder / "gone")
    assert "m.yaml" in card(folder).problem


def test_notes_are_those_of_a1111(folder):
    told = {
        "description": "Soft light.",
        "sd version": "SD2",
        "activation text": "softlight",
        "negative text": "dark",
        "preferred weight": 0.8,
        "notes": "good at 768",
        "vae": "soft.safetensors",
        "prediction_type": "v",
        "ztsnr": True,
        "defaults": {"width": 768},
        "prompts": ["a lamp"],
    }
    (folder / "m.json").write_text(json.dumps(told))
    found = card(folder)
    notes = found.notes
    assert (notes.description, notes.sd_version, notes.vae) == (
        "Soft light.",
        "SD2",
        "soft.safetensors",
    )
    assert (notes.activation_text, notes.negative_text, notes.notes) == (
        "softlight",
        "dark",
        "good at 768",
    )
    assert notes.preferred_weight == 0.8
    assert (found.prediction, found.zero_snr) == ("v_prediction", True)
    assert (dict(found.defaults), found.prompts) == ({"width": 768}, ("a lamp",))


@pytest.mark.parametrize("text", ["{", "[1]", '{"prompts": 3}', '{"defaults": 3}', "[" * 100_000])
def test_damaged_notes_do_not_keep_a_model_from_being_used(folder, text):
    (folder / "m.json").write_text(text)
    assert card(folder).problem is None and "m.json" in card(folder).notes.notes


def test_values_of_another_kind_are_left_out(folder):
    (folder / "m.json").write_text('{"description": 3, "preferred weight": "much", "vae": "None"}')
    notes = card(folder).notes
    assert (notes.description, notes.preferred_weight, notes.vae) == ("", None, "")


@pytest.mark.parametrize("ending", [".png", ".preview.png", ".jpg", ".preview.webp"])
def test_a_picture_beside_a_model_is_its_preview(folder, ending):
    (folder / f"m{ending}").write_bytes(b"")
    assert card(folder).preview == folder / f"m{ending}"


def test_json_has_a_limit(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps({"a": "x" * 1000}))
    assert read_json(tmp_path / "a.json")["a"]
    with pytest.raises(ModelFileError, match="more than 100"):
        read_json(tmp_path / "a.json", 100)


def test_a_configuration_in_another_encoding_is_told(tmp_path):
    (tmp_path / "a.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(ModelFileError, match="is not UTF-8"):
        read_configuration(tmp_path / "a.yaml")
