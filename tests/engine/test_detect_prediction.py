"""The probe on networks that are right by mathematics, and on a trained one."""

import math
from pathlib import Path

import pytest
import torch

from webui.catalog.checkpoints import list_models
from webui.engine.detect_prediction import likely_prediction, share
from webui.engine.loading import load
from webui.engine.placement import place
from webui.engine.schedules import model_sigmas
from webui.testing.families import FAMILIES, build, write
from webui.types import ModelCard

PLACEMENT = place("cpu", "float32", "sdpa")
SIGMA = model_sigmas({"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"})[
    -1
]
ROOT = Path(__file__).resolve().parents[2]


def perfect(prediction, spread, mean=0.0):
    """What a perfect network says of x = alpha * x0 + s * noise where x0 is normal about `mean` with `spread`."""
    alpha, s = 1 / math.sqrt(1 + SIGMA**2), SIGMA / math.sqrt(1 + SIGMA**2)

    def call(x):
        clean = mean + alpha * spread**2 / (alpha**2 * spread**2 + s**2) * (x - alpha * mean)
        noise = (x - alpha * clean) / s
        return noise if prediction == "epsilon" else alpha * noise - s * clean

    return call


@pytest.mark.parametrize("spread", [0.3, 1.0, 2.0])
@pytest.mark.parametrize("mean", [0.0, 0.8])
@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_a_perfect_denoiser_of_normal_pictures_is_told(prediction, spread, mean):
    assert likely_prediction(perfect(prediction, spread, mean), (4, 32, 32)) == prediction


def test_the_share_is_the_factor_of_the_input_whatever_stands_beside_it():
    noise, other = torch.randn(2, 1, 4, 32, 32, generator=torch.Generator().manual_seed(1))
    picture = torch.linspace(-2, 2, 32).expand(1, 4, 32, 32)
    assert share(noise, 0.7 * noise + 3) == pytest.approx(0.7, abs=1e-6)
    assert share(noise, 0.7 * noise + 0.5 * other - picture) == pytest.approx(0.7, abs=0.06)


class Facts:
    def __init__(self, known=None):
        self.known = known
        self.asked = 0

    def prediction(self, card):
        self.asked += 1
        return self.known

    def remember_prediction(self, card, prediction):
        self.known = prediction

    def keep_sha256(self, path, stamp, sha256):
        self.hashed = (path, sha256)

    def used(self, card):
        self.last = card.name


def test_a_trained_network_is_told_by_a_call_of_it():
    """The starter model predicts v, and its file says so; here nobody asks the file."""
    (card,) = (c for c in list_models([ROOT / "models"]) if c.name == "starter")
    assert card.prediction == "v_prediction"
    untold = ModelCard("starter", card.path, kind=card.kind, prediction=None)
    facts = Facts()
    assert load(untold, PLACEMENT, facts).model.prediction == "v_prediction"
    assert facts.known == "v_prediction"


@pytest.mark.parametrize("inpainting", [False, True])
@pytest.mark.parametrize("name", ["sd2", "sdxl", "sdxl-refiner"])
def test_every_family_can_be_probed_and_is_probed_once(tmp_path, name, inpainting):
    path = write(tmp_path / "m.safetensors", build(FAMILIES[name], inpainting=inpainting), "ldm")
    card = ModelCard("m", path, kind=name, layout="ldm", inpainting=inpainting)
    facts = Facts()
    found = load(card, PLACEMENT, facts).model.prediction
    assert facts.known == found
    other = {"epsilon": "v_prediction", "v_prediction": "epsilon"}[found]
    assert load(card, PLACEMENT, Facts(other)).model.prediction == other
    told = ModelCard("m", path, kind=name, layout="ldm", inpainting=inpainting, prediction="sample")
    unasked = Facts("epsilon")
    assert load(told, PLACEMENT, unasked).model.prediction == "sample"
    assert unasked.asked == 0
