"""The loop on a one-weight network whose course can be worked out."""

import json

import pytest
import torch
from torch import nn

from webui.training import checkpoint
from webui.training.loop import Schedule, averaged, descend, learning_rate, move_average, run


class Pull:
    """Pulls one weight towards the step's number."""

    def __init__(self, rate: float = 0.1) -> None:
        self.model: nn.Module = nn.Linear(1, 1, bias=False)
        nn.init.zeros_(self.model.weight)
        self.helpers: dict[str, nn.Module] = {"helper": nn.BatchNorm1d(1)}
        self.optimizers: list[torch.optim.Optimizer] = [
            torch.optim.SGD(self.model.parameters(), lr=rate)
        ]
        self.rates: list[float] = []

    def advance(self, step: int) -> dict[str, torch.Tensor]:
        self.rates.append(self.optimizers[0].param_groups[0]["lr"])
        loss = (self.model.weight - step).square().sum()
        descend(loss, self.optimizers)
        return {"loss": loss.detach()}


def go(folder, steps: int, **how) -> Pull:
    stage = Pull()
    run(
        stage,
        Schedule(steps, warmup=2, decay_share=0.5, ema=0.5),
        folder,
        log=lambda line: None,
        **how,
    )
    return stage


def test_learning_rate_warms_up_stays_and_falls_to_zero():
    schedule = Schedule(100, warmup=10, decay_share=0.25)
    assert learning_rate(0, schedule) == pytest.approx(0.1)
    assert learning_rate(9, schedule) == learning_rate(75, schedule) == 1
    assert learning_rate(99, schedule) == pytest.approx(1 / 25)
    assert [learning_rate(s, schedule) for s in range(10, 75)] == [1] * 65


def test_optimizers_get_their_own_rate_times_the_factor(tmp_path):
    assert go(tmp_path, 4).rates == pytest.approx([0.05, 0.1, 0.1, 0.05])


def test_a_long_gradient_is_cut_to_the_length_asked_for():
    layer = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(layer.weight)
    descend((100 * layer.weight).sum(), [torch.optim.SGD(layer.parameters(), lr=1.0)], clip=0.5)
    assert layer.weight.item() == pytest.approx(-0.5)


def test_a_run_that_is_killed_at_every_step_ends_as_one_that_is_not(tmp_path):
    whole = go(tmp_path / "a", 6)
    for _ in range(6):
        parts = go(tmp_path / "b", 6, minutes=0)
    assert parts.model.weight.item() == whole.model.weight.item()
    one, other = (checkpoint.load(tmp_path / f / "checkpoint.pt") for f in "ab")
    assert one["step"] == other["step"] == 6
    assert torch.equal(one["model"]["weight"], other["model"]["weight"])


def test_a_finished_run_changes_nothing_when_called_again(tmp_path):
    first = go(tmp_path, 3).model.weight.item()
    again = go(tmp_path, 3)
    assert again.rates == [] and again.model.weight.item() == first


def test_the_average_of_a_constant_is_the_constant_and_counters_are_copied():
    model = nn.BatchNorm1d(2)
    average = {k: v.clone() for k, v in model.state_dict().items()}
    model.num_batches_tracked += 5
    move_average(average, model, 1000, 0.99)
    assert average["num_batches_tracked"] == 5
    assert torch.equal(average["weight"], model.weight)
    with torch.no_grad():
        model.weight += 1
    move_average(average, model, 1000, 0.99)
    assert average["weight"][0].item() == pytest.approx(1.01)


def test_averaged_weights_are_lent_for_a_while():
    model = nn.Linear(1, 1).train()
    own = model.weight.item()
    with averaged(model, {"weight": torch.full((1, 1), 7.0), "bias": torch.zeros(1)}):
        assert model.weight.item() == 7 and not model.training
    assert model.weight.item() == own and model.training


def test_figures_are_kept_as_json_lines_with_those_of_the_checkpoint(tmp_path):
    go(tmp_path, 50, every=lambda step: {"psnr": 20.0})
    lines = [json.loads(line) for line in (tmp_path / "report.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [50, 50]
    assert lines[0].keys() >= {"loss", "seconds"} and lines[1]["psnr"] == 20
