"""What holds for every built-in sampler."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from tests.engine.samplers.gaussian import denoise, drive, geometric
from webui.engine.samplers import SAMPLERS
from webui.engine.schedules import SCHEDULES
from webui.registry import Registry

every_sampler = pytest.mark.parametrize("sampler", SAMPLERS.values(), ids=list(SAMPLERS))


def zero(sigma: float, sigma_next: float) -> float:
    return 0.0


COUNTS = {"Heun": lambda n: 2 * n - 1, "PLMS": lambda n: n + 1 if n > 1 else n}  # others one a step


@every_sampler
@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 9])
def test_calls_are_as_many_as_documented_and_never_at_sigma_zero(sampler, n):
    sigmas = [8.0 / 2**i for i in range(n)] + [0.0]
    _, asked = drive(sampler.make, 3.0, sigmas, zero)
    assert len(asked) == COUNTS.get(sampler.name, lambda n: n)(n)
    assert asked[0] == (3.0, 8.0)
    assert {sigma for _, sigma in asked} == set(sigmas[:-1])


@every_sampler
@pytest.mark.parametrize("n", [1, 2, 7])
def test_a_single_datum_is_found_exactly(sampler, n):
    final, _ = drive(
        sampler.make,
        42.0,
        geometric(max(n, 2))[-n - 1 :],
        zero,
        lambda x, sigma: denoise(x, sigma, s=0),
    )
    assert final == pytest.approx(0.7, abs=1e-12)


@every_sampler
def test_no_steps_leave_the_latent(sampler):
    assert drive(sampler.make, 3.0, [0.0], zero) == (3.0, [])


@every_sampler
def test_tensors_and_floats_agree_and_the_first_latent_stays(sampler):
    start = torch.tensor([[-4.0, 0.5], [3.0, 20.0]], dtype=torch.float64)
    x = start.clone()
    final, _ = drive(sampler.make, x, geometric(7), zero)
    assert torch.equal(x, start)
    one_by_one = [drive(sampler.make, v.item(), geometric(7), zero)[0] for v in start.flatten()]
    assert final.flatten().tolist() == pytest.approx(one_by_one, rel=1e-12)


@every_sampler
def test_its_usual_schedule_exists(sampler):
    assert sampler.schedule in SCHEDULES


def test_every_alias_finds_its_own_sampler():
    registry = Registry("sampler_name", SAMPLERS.items(), lambda sampler: sampler.aliases)
    for name, sampler in SAMPLERS.items():
        assert {registry.find(alias) for alias in (name.upper(), *sampler.aliases)} == {name}


def test_samplers_and_schedules_load_without_torch():
    code = "import sys, webui.engine.samplers, webui.engine.schedules; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
