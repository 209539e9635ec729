"""A job in words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from webui.sentences import with_keys
from webui.types import GenerationRequest, JobStatus, RunningPicture, SavedPicture
from webui.ui.stage import duration, facts_of, job_value, status_line

REQUEST = GenerationRequest(
    task="txt2img",
    model="m",
    sampler_name="Euler",
    seed=1,
    steps=20,
    cfg_scale=7.0,
    width=64,
    height=64,
)
STATUS = JobStatus("j", "queued", 0, REQUEST)
PICTURE = SavedPicture(Path("a.png"), 1, 64, 64, "")


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"position": 2}, "Position 2 in the queue"),
        ({"note": "Loading PyTorch"}, "Loading PyTorch"),
        ({"state": "running"}, "Starting"),
        ({"state": "running", "step": 7, "steps": 20, "eta_s": 3.0}, "Step 7 of 20, 3.0 s left"),
        ({"state": "running", "step": 7, "steps": 20}, "Step 7 of 20"),
        ({"state": "running", "step": 7, "steps": 20, "note": "Loading m"}, "Loading m"),
        ({"state": "done", "seconds": 12.3, "pictures": (PICTURE,)}, "1 picture in 12 s"),
        ({"state": "done", "seconds": 2.0, "pictures": (PICTURE, PICTURE)}, "2 pictures in 2.0 s"),
        ({"state": "paused", "step": 7, "steps": 20}, "Paused at step 7 of 20"),
        ({"state": "paused"}, "Paused"),
        (
            {"state": "done", "seconds": 2.0, "pictures": (PICTURE, PICTURE), "skipped": (1, 2)},
            "2 pictures in 2.0 s; 2 skipped",
        ),
        (
            {"state": "done", "pictures": (PICTURE,), "skipped": (1, 2), "interrupted": True},
            "Interrupted; 1 picture in 0.0 s",
        ),
        (
            {"state": "running", "step": 7, "steps": 20, "interrupted": True},
            "Interrupted: what there is is being finished",
        ),
        ({"state": "cancelled"}, "Cancelled"),
        ({"state": "cancelled", "pictures": (PICTURE,)}, "Cancelled; finished pictures are kept"),
        ({"state": "cancelled", "error": "Easel was stopped"}, "Easel was stopped"),
        ({"state": "failed", "error": "x"}, "Failed"),
    ],
)
def test_status_line(changes: dict[str, object], line: str) -> None:
    assert status_line(replace(STATUS, **changes)) == line  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (119, "119 s"),
        (119.6, "2 min 0 s"),
        (185, "3 min 5 s"),
    ],
)
def test_duration(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_the_line_is_a_sentence_with_values() -> None:
    """The sentence is the same for every job, so that it can be translated."""
    running = replace(STATUS, state="running", step=7, steps=20, eta_s=3.0)
    values = {"step": 7, "steps": 20, "time": "3.0 s"}
    assert with_keys(status_line(running)) == ["Step {step} of {steps}, {time} left", values]
    several = replace(
        running,
        request=replace(STATUS.request, batch_size=12),
        running=tuple(RunningPicture(index, 7, 20, 0.35) for index in range(8)),
    )
    step = ["Step {step} of {steps}, {time} left", values]
    which = ["Pictures {first} to {last} of {number}", {"first": 1, "last": 8, "number": 12}]
    assert with_keys(status_line(several)) == ["{which}: {line}", {"which": which, "line": step}]
    last = replace(several, running=(RunningPicture(11, 7, 20, 0.35),))
    assert status_line(last) == "Picture 12 of 12: Step 7 of 20, 3.0 s left"
    assert status_line(replace(last, note="Loading it")) == "Loading it"
    gone = job_value(replace(STATUS, state="done", pictures=(PICTURE,)), {}, {})
    line = ["1 picture in {time}", {"time": "0.0 s"}]
    assert gone["line"] == ["{line}; {gone} no longer on disk", {"line": line, "gone": 1}]
    odd = replace(STATUS, note="Loading {step} {x}")  # what an extension says is its own words
    assert with_keys(status_line(odd)) == "Loading {step} {x}"


def test_facts_are_what_the_settings_say() -> None:
    text = "a cat\nSteps: 20, Sampler: Euler a, CFG scale: 7.0, Seed: 5, Size: 64x64, Model: m"
    assert facts_of(text) == {
        "sampler": "Euler a",
        "steps": "20",
        "cfg": "7",
        "seed": "5",
        "model": "m",
    }
    assert facts_of("") == facts_of("only words") == {}
