"""Many pictures' numbers at once are, to the bit, what each picture's are alone."""

from __future__ import annotations

import pytest
import torch

from webui.diffusion.parameterisation import NAMES, named
from webui.engine.denoising import Numbers, guided, layout
from webui.types import Denoise, Model, Row

CPU = torch.device("cpu")
ROWS = {  # roles and weights of the rows of a call
    "one": [("cond", 1.0)],
    "guided": [("cond", 7.3), ("uncond", -6.3)],
    "three": [("cond", 4.1), ("uncond", -3.7), ("other", 0.6)],
    "two texts": [("cond", 2.2), ("cond", 1.1), ("uncond", -2.3)],
    "cancelling": [("cond", 1.7), ("cond", -1.7), ("uncond", 1.0)],
}


def calls_of(name, kinds):
    model = Model("m", 4, False, (0.03, 0.5, 14.6), prediction=name)
    dice = torch.Generator().manual_seed(4)
    return [
        Denoise(
            model,
            torch.randn(4, 3, 5, generator=dice) * 9,
            0.037 + 1.31 * place,
            tuple(Row(torch.zeros(1), weight, role) for role, weight in ROWS[kind]),
        )
        for place, kind in enumerate(kinds)
    ]


def alone(call, network, outputs):
    """A picture's guidance in plain arithmetic on its own tensors."""
    clean = call.x * network.c_skip(call.sigma) + outputs * network.c_out(call.sigma)
    total = clean[0] * call.rows[0].weight
    for row, one in zip(call.rows[1:], clean[1:], strict=True):
        total = total + one * row.weight
    return clean, total


@pytest.mark.parametrize(
    "kinds", [("guided",), ("guided",) * 3, ("one", "three", "guided"), tuple(ROWS)]
)
@pytest.mark.parametrize("name", NAMES)
def test_guidance_of_a_batch_is_that_of_each_picture_to_the_bit(name, kinds):
    calls = calls_of(name, kinds)
    network = named(name, calls[0].model.sigmas)
    rows = layout(tuple(len(call.rows) for call in calls), CPU)
    numbers = Numbers.of(network, calls, CPU)
    outputs = torch.randn(len(rows.owner), 4, 3, 5, generator=torch.Generator().manual_seed(8))
    x = torch.stack([call.x for call in calls])
    clean = (x * numbers.c_skip)[rows.owner] + outputs * numbers.c_out[rows.owner]
    replies = guided(calls, rows, clean, numbers.weights)
    first = 0
    for call, reply, seen in zip(calls, replies, x * numbers.c_in, strict=True):
        own, total = alone(call, network, outputs[first : first + len(call.rows)])
        assert torch.equal(reply.denoised, total)
        assert torch.equal(seen, call.x * network.c_in(call.sigma))
        (uncond,) = [p for r, p in zip(call.rows, own, strict=True) if r.role == "uncond"] or (
            None,
        )
        assert (reply.uncond is None) if uncond is None else torch.equal(reply.uncond, uncond)
        if sum(row.role == "cond" for row in call.rows) == 1:
            assert torch.equal(reply.cond, own[0])
        first += len(call.rows)
    assert numbers.timestep.tolist() == [
        pytest.approx(network.timestep(call.sigma), rel=1e-6) for call in calls
    ]


def test_the_layout_of_a_batch_is_made_once_and_says_whose_each_row_is():
    rows = layout((2, 1, 3), CPU)
    assert rows is layout((2, 1, 3), CPU)
    assert rows.owner.tolist() == [0, 0, 1, 2, 2, 2]
    assert [(having.tolist(), where.tolist()) for having, where in rows.places] == [
        ([0, 1, 2], [0, 2, 3]),
        ([0, 2], [1, 4]),
        ([2], [5]),
    ]
