"""What every part of an extension keeps to, each as a function that raises `AssertionError` with what is wrong and
what to do. They hold for a `Case`: one picture to be made with the part in it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from webui.errors import ExtensionError
from webui.testing.cases import Case, neighbour
from webui.testing.runs import Recorded, frames_of, mark, record, replay, stop_after, together
from webui.types import File, LoadAdapters, LoadVae

if TYPE_CHECKING:
    from PIL.Image import Image


__all__ = [
    "cancels_at_any_call",
    "does_something",
    "gives_pictures",
    "is_the_same_in_any_batch",
    "leaves_random_state_alone",
    "leaves_what_it_was_given",
    "passes_errors_on",
    "replays",
]

GREY_LEVELS = 2  # a batch of another size may change the last bits, and so a rounding
LATENT_PART = 1e-3  # of the largest value; the last bits of float32 come to about 1e-6
ENGINES = (LoadVae, LoadAdapters)  # calls that no task yields: the engine's own
STOPS = 40  # a longer run is stopped at so many of its calls


# --- Shapes ---------------------------------------------------------------------------------------


def gives_pictures(case: Case, run: Recorded) -> None:
    """What comes out is a picture, frames of one size, or a file."""
    if isinstance(run.result, tuple) and isinstance(run.result[0], File):
        return
    frames = frames_of(run.result)
    if not frames:
        raise case.wrong("it gives an animation without frames")
    sizes = {frame.size for frame in frames}
    if len(sizes) > 1:
        raise case.wrong(f"it gives frames of several sizes: {sorted(sizes)}")


def leaves_what_it_was_given(case: Case, run: Recorded) -> None:
    """No tensor of a call or a reply was changed in place: others may hold the same one."""
    pairs = [("call", run.calls, run.call_marks), ("the reply to its call", run.replies, run.reply_marks)]  # fmt: skip
    for what, values, marks in pairs:
        for place, (value, before) in enumerate(zip(values, marks, strict=True)):
            if mark(value) != before:
                number = sum(not isinstance(one, ENGINES) for one in run.calls[: place + 1])
                sentence = (
                    f"it changes {what} {number} ({type(value).__name__}) in place after it has been "
                    "handed over; make a new tensor (x = x + y instead of x += y)"
                )
                raise case.wrong(sentence)


def does_something(case: Case, run: Recorded, plain: Recorded) -> None:
    """With this request it changes something: a check of what does nothing says nothing."""
    if run.call_marks == plain.call_marks and mark(run.result) == mark(plain.result):
        shown = {name: value for name, value in case.request.extras.items() if value is not None}
        sentence = (
            f"with extras {shown} it changes nothing; give values with which it works (extras=...)"
        )
        raise case.wrong(sentence)


# --- Random numbers -------------------------------------------------------------------------------


@contextmanager
def random_state_kept() -> Iterator[None]:
    import torch

    before = random.getstate(), np.random.get_state(), torch.get_rng_state()
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])
        torch.set_rng_state(before[2])


def random_states() -> dict[str, str]:
    """The state of each generator that the whole process shares."""
    import torch

    keys: Any = np.random.get_state()
    return {
        "random": mark(random.getstate()),
        "numpy.random": mark([keys[1].tobytes(), *keys[2:]]),
        "torch": mark(torch.get_rng_state()),
    }


def leaves_random_state_alone(case: Case) -> None:
    """No global generator is drawn from or seeded, and what they stand at changes nothing."""
    import torch

    results = []
    with random_state_kept():
        for seed in (1, 2):
            random.seed(seed)
            np.random.seed(seed)
            torch.manual_seed(seed)
            before = random_states()
            run = case.run()
            after = random_states()
            moved = [name for name in before if before[name] != after[name]]
            if moved:
                sentence = (
                    f"it uses the global random state of {moved[0]}, which every picture shares; take random "
                    "numbers from noise(...), studio.noise, or a generator of your own made from studio.seed"
                )
                raise case.wrong(sentence)
            results.append((run.call_marks, mark(run.result)))
    if results[0] != results[1]:
        sentence = (
            "the same request gives something else the second time; a picture depends on its request alone: "
            "no clock, no unseeded generator, nothing kept from the last run"
        )
        raise case.wrong(sentence)


# --- Batches --------------------------------------------------------------------------------------


def is_the_same_in_any_batch(case: Case, alone: Recorded) -> None:
    """Beside another request, call by call in turns, both give what they give alone."""
    other = neighbour(case.request)
    other_alone = record(case.begin(other), case.runner)
    pair = together([case.begin(case.request), case.begin(other)], case.runner)
    for one, expected in zip(pair, (alone, other_alone), strict=True):
        if difference := unlike(one, expected):
            sentence = (
                f"beside another request {difference}; keep everything that belongs to a picture in local "
                "variables of its own run"
            )
            raise case.wrong(sentence)


def unlike(one: Recorded, other: Recorded) -> str:
    """How two runs differ by more than rounding, "" where they do not."""
    if [type(call) for call in one.calls] != [type(call) for call in other.calls]:
        return f"it makes {len(one.calls)} calls instead of {len(other.calls)}, or others"
    for a, b in zip(one.latents, other.latents, strict=True):
        if a.shape != b.shape:
            return f"its latent is {tuple(a.shape)} instead of {tuple(b.shape)}"
        if not bool((a - b).abs().max() <= LATENT_PART * b.abs().max()):
            return f"its latent is another by {float((a - b).abs().max() / b.abs().max()):.2g} of its largest value"
    frames, expected = frames_of(one.result), frames_of(other.result)
    if [frame.size for frame in frames] != [frame.size for frame in expected]:
        return "its pictures have other sizes"
    levels = max((grey_levels(a, b) for a, b in zip(frames, expected, strict=True)), default=0)
    return f"its picture differs by {levels} grey levels" if levels > GREY_LEVELS else ""


def grey_levels(one: Image, other: Image) -> int:
    """The largest difference of two pictures of one size, 0 to 255."""
    a, b = (np.asarray(picture.convert("RGB"), dtype=np.int16) for picture in (one, other))
    return int(np.abs(a - b).max())


# --- Replay and cancelling ------------------------------------------------------------------------


def replays(case: Case, known: Recorded) -> None:
    """Given the replies of a recorded run it makes the same calls and gives the same: how a job goes on
    after a crash."""
    try:
        result = replay(case.begin(case.request), known)
    except AssertionError as error:
        sentence = (
            f"given the recorded replies of an earlier run, {error}; what it does may depend on the request and the "
            "replies alone"
        )
        raise case.wrong(sentence) from None
    if mark(result) != mark(known.result):
        raise case.wrong("given the recorded replies of an earlier run, it gives another picture")


def cancels_at_any_call(case: Case, known: Recorded) -> None:
    """Closed at any of its calls it ends at once, without an error or a further call, and leaves nothing behind."""
    count = len(known.calls)
    few = max(1, min(count, STOPS))
    stops = sorted({round(i * count / few) for i in range(few + 1)})
    for stop in stops:
        try:
            stop_after(case.begin(case.request), known, stop)
        except Exception as error:  # the boundary: whatever it raises is what is asked here
            sentence = (
                f"cancelled at its call {stop} it raises {type(error).__name__}: {error}; catch no GeneratorExit, "
                "and yield nothing in a finally"
            )
            raise case.wrong(sentence) from error
    again = case.run()
    if again.call_marks != known.call_marks or mark(again.result) != mark(known.result):
        raise case.wrong("after a cancelled run it gives something else; undo changes in a finally")


# --- Errors ---------------------------------------------------------------------------------------


def passes_errors_on(case: Case, failing: Callable[[ExtensionError], Case]) -> None:
    """An error of a part that it uses, with that part's name, comes out as it is.

    `failing(error)` is the same case with a sampler that raises `error`.
    """
    error = ExtensionError("another", "sampler 'it uses'", "does not work")
    try:
        failing(error).run()
    except ExtensionError as told:
        if told is error:
            return
        sentence = f"an error of another extension's sampler comes out as {told!r}"
    except Exception as told:  # the boundary: whatever it makes of the error is what is asked here
        sentence = f"an error of another extension's sampler comes out as {told!r}"
    else:
        sentence = "an error of another extension's sampler is swallowed"
    raise case.wrong(f"{sentence}; catch only what you expect, so that errors keep their names")


def names_its_errors(what: str, extension: str, function: Callable[..., Any], given: int) -> None:
    """Given nonsense it works all the same, or fails with an `ExtensionError` that names the extension."""
    try:
        result = function(*[None] * given)
        if hasattr(result, "send"):
            result.send(None)
    except (StopIteration, ExtensionError) as error:
        if isinstance(error, ExtensionError) and error.extension != extension:
            named = f"fails in the name of {error.extension!r}"
            raise AssertionError(f"{what}: it {named}, not of {extension!r}") from error
    except Exception as error:  # the boundary: whatever it raises is what is asked here
        raise AssertionError(f"{what}: it fails with {error!r}, which names nobody") from error
