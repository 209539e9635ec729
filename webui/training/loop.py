"""The training loop, written once: learning rate, moving average, checkpoints, report lines.

A stage says what one step does; everything random in it follows from the step's number, so a run that was killed (or
stopped for a while) goes on from its checkpoint as if nothing had been.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

from webui.training import checkpoint
from webui.training.parallel import ALONE, Share

LOG_EVERY = 50  # steps
Figures = Mapping[str, torch.Tensor | float]


@dataclass(frozen=True, slots=True)
class Schedule:
    """Length, learning rate and average of a run. Optimizers hold the peak rates."""

    steps: int
    warmup: int = 100
    decay_share: float = 0.25
    ema: float = 0.995


class Stage(Protocol):
    """What is trained. `model` is averaged and returned; `helpers` are kept beside it as they are."""

    @property
    def model(self) -> nn.Module: ...

    @property
    def helpers(self) -> dict[str, nn.Module]: ...

    @property
    def optimizers(self) -> list[torch.optim.Optimizer]: ...

    def advance(self, step: int) -> Figures:
        """One update. Everything random comes from `step`. Returns what to report."""
        ...


def learning_rate(step: int, schedule: Schedule) -> float:
    """A factor: warm-up, then 1, then a straight line to zero over the last `decay_share` of the steps.

    The constant middle makes a run extensible: until the decay begins, a checkpoint does not know how long it will be.
    """
    up = min(1.0, (step + 1) / max(1, schedule.warmup))
    down = min(1.0, (schedule.steps - step) / max(1.0, schedule.steps * schedule.decay_share))
    return up * max(0.0, down)


def descend(
    loss: torch.Tensor,
    optimizers: list[torch.optim.Optimizer],
    clip: float = 1.0,
    share: Share = ALONE,
) -> None:
    """One step of gradient descent on `loss` averaged over the processes, the gradient's length at most `clip`."""
    for optimizer in optimizers:
        optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    groups = [group for optimizer in optimizers for group in optimizer.param_groups]
    learning = [p for group in groups for p in group["params"]]
    share.average([p.grad for p in learning if p.grad is not None])
    nn.utils.clip_grad_norm_(learning, clip)
    for optimizer in optimizers:
        optimizer.step()


@contextmanager
def averaged(model: nn.Module, average: dict[str, torch.Tensor]) -> Iterator[None]:
    """Run the block with the moving average as weights, not training; then put the trained ones back."""
    own = {k: v.clone() for k, v in model.state_dict().items()}
    model.load_state_dict(average)
    model.eval()
    try:
        yield
    finally:
        model.load_state_dict(own)
        model.train()


@torch.no_grad()
def move_average(average: dict[str, torch.Tensor], model: nn.Module, step: int, ema: float) -> None:
    """Towards the model's weights by 1 - ema; by more in the first steps, whose weights are not worth keeping."""
    mix = 1 - min(ema, (step + 1) / (step + 10))
    weights = model.state_dict()
    floats = [k for k, v in weights.items() if v.is_floating_point()]
    torch._foreach_lerp_([average[k] for k in floats], [weights[k] for k in floats], mix)
    for name in weights.keys() - set(floats):
        average[name].copy_(weights[name])


def run(
    stage: Stage,
    schedule: Schedule,
    folder: Path,
    *,
    device: str = "cpu",
    minutes: float = float("inf"),
    every: Callable[[int], Figures] | None = None,
    every_minutes: float = 3.0,
    log: Callable[[str], None] = print,
    share: Share = ALONE,
) -> None:
    """Train, or go on training, and leave the averaged weights in `stage.model`.

    `folder` keeps `checkpoint.pt` and `report.jsonl`, a line of figures each `LOG_EVERY` steps. `every(step)` is called
    after each checkpoint, while the model has its averaged weights, and gives more figures. Checkpoints come every few
    minutes of the process's own time: on a machine that others use, sheets would else take what little it gets. Stops
    after `minutes` by the clock. Of several processes the first one writes, reports and looks at the clock.
    """
    path = folder / "checkpoint.pt"
    bases = [[group["lr"] for group in optimizer.param_groups] for optimizer in stage.optimizers]
    average = {k: v.clone() for k, v in stage.model.state_dict().items()}
    first = 0
    if state := checkpoint.load(path, device):
        average, first = state["average"], state["step"]
        _restore(stage, state)
    stage.model.train()
    report = Report(folder / "report.jsonl", schedule.steps, log)

    def keep(step: int) -> None:
        if not share.first:
            return
        checkpoint.save(path, {**_state(stage), "average": average, "step": step})
        if every is not None:
            with averaged(stage.model, average):
                report.write(step, every(step))

    started, saved = time.monotonic(), time.process_time()
    done = first
    while done < schedule.steps:
        factor = learning_rate(done, schedule)
        for optimizer, rates in zip(stage.optimizers, bases, strict=True):
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * factor
        figures = stage.advance(done)
        if share.first:
            report.add(figures, done + 1)
        move_average(average, stage.model, done, schedule.ema)
        done += 1
        if minutes < float("inf") and share.agree(time.monotonic() - started > minutes * 60):
            break
        if time.process_time() - saved > every_minutes * 60:
            keep(done)
            saved = time.process_time()
    if done > first:
        keep(done)
    stage.model.load_state_dict(average)
    stage.model.eval()


class Report:
    """Averages figures over `LOG_EVERY` steps; prints them and adds them to a file, a JSON object a line."""

    def __init__(self, path: Path, steps: int, log: Callable[[str], None]) -> None:
        self.path, self.steps, self.log = path, steps, log
        self.sums: dict[str, float] = {}
        self.count, self.since = 0, time.monotonic()

    def add(self, figures: Figures, step: int) -> None:
        for name, value in figures.items():
            self.sums[name] = self.sums.get(name, 0.0) + float(value)
        self.count += 1
        if step % LOG_EVERY == 0 or step == self.steps:
            now = time.monotonic()
            means = {name: value / self.count for name, value in self.sums.items()}
            self.write(step, {**means, "seconds": (now - self.since) / self.count})
            self.sums, self.count, self.since = {}, 0, now

    def write(self, step: int, figures: Figures) -> None:
        if not figures:
            return
        values = {name: round(float(value), 5) for name, value in figures.items()}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **values}) + "\n")
        told = " ".join(f"{name} {value:.4g}" for name, value in values.items())
        self.log(f"step {step}/{self.steps} {told}")


def _state(stage: Stage) -> dict[str, Any]:
    return {
        "model": stage.model.state_dict(),
        "helpers": {name: module.state_dict() for name, module in stage.helpers.items()},
        "optimizers": [optimizer.state_dict() for optimizer in stage.optimizers],
    }


def _restore(stage: Stage, state: dict[str, Any]) -> None:
    stage.model.load_state_dict(state["model"])
    for name, module in stage.helpers.items():
        module.load_state_dict(state["helpers"][name])
    for optimizer, kept in zip(stage.optimizers, state["optimizers"], strict=True):
        optimizer.load_state_dict(kept)
