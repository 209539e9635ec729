"""Every property that the kit checks holds for a plain Euler, and fails for one that breaks just that."""

from __future__ import annotations

import random
from itertools import pairwise

import numpy as np
import pytest
import torch

from webui.errors import ExtensionError
from webui.testing import properties
from webui.testing.cases import making, text_to_image
from webui.testing.contracts import keeps_the_shape
from webui.testing.examples import PARTS, example_request
from webui.testing.properties import passes_errors_on
from webui.types import Animation, LoadModel, Sampler, Task


def euler(x, sigmas, noise):
    for sigma, sigma_next in pairwise(sigmas):
        denoised = yield x, sigma
        x = x + (x - denoised) / sigma * (sigma_next - sigma)
    return x


def case_of(make, **values):
    """A picture by a sampler."""
    sampler = Sampler("Mine", make)
    from dataclasses import replace

    parts = replace(PARTS, samplers={**PARTS.samplers, "Mine": sampler})
    return text_to_image("sampler 'Mine'", parts, sampler_name="Mine", **values)


# --- Samplers that break one thing ----------------------------------------------------------------


def grows(x, sigmas, noise):
    return torch.cat([(yield from euler(x, sigmas, noise))] * 2, dim=1)


def divides_by_zero(x, sigmas, noise):
    return (yield from euler(x, sigmas, noise)) / sigmas[-1]


def goes_on_after_infinity(x, sigmas, noise):
    yield x, sigmas[0]
    yield x / 0, sigmas[1]
    return x


def asks_at_zero(x, sigmas, noise):
    x = yield from euler(x, sigmas, noise)
    return (yield x, 0.0)


def asks_at_a_tensor(x, sigmas, noise):
    return (yield x, torch.tensor(sigmas[0]))


def in_double(x, sigmas, noise):
    return (yield from euler(x.double(), sigmas, noise))


def changes_its_call(x, sigmas, noise):
    for sigma, sigma_next in pairwise(sigmas):
        denoised = yield x, sigma
        x += (x - denoised) / sigma * (sigma_next - sigma)
    return x


def changes_the_reply(x, sigmas, noise):
    for sigma, sigma_next in pairwise(sigmas):
        denoised = yield x, sigma
        x = denoised.mul_(1 - sigma_next / sigma).add_(x, alpha=sigma_next / sigma)
    return x


def draws_from_torch(x, sigmas, noise):
    x = yield from euler(x, sigmas, noise)
    return x + torch.randn_like(x) * 0.01


def draws_from_numpy(x, sigmas, noise):
    return (yield from euler(x, sigmas, noise)) * (1 + np.random.rand() / 100)


def draws_from_python(x, sigmas, noise):
    return (yield from euler(x, sigmas, noise)) * (1 + random.random() / 100)


def seeds_torch(x, sigmas, noise):
    torch.manual_seed(0)
    return (yield from euler(x, sigmas, noise))


def draws_unseeded(x, sigmas, noise):
    return (yield from euler(x, sigmas, noise)) * (1 + random.Random().random() / 100)


class remembers:
    """Each of these keeps something outside of its run."""

    def __init__(self):
        self.kept = []

    def within_a_run(self, x, sigmas, noise):
        self.kept.clear()
        for sigma, sigma_next in pairwise(sigmas):
            self.kept.append((yield x, sigma))
            slope = (x - sum(self.kept) / len(self.kept)) / sigma
            x = x + slope * (sigma_next - sigma)
        return x

    def from_run_to_run(self, x, sigmas, noise):
        self.kept.append(1)
        return (yield from euler(x, sigmas, noise)) * len(self.kept)

    def while_it_runs(self, x, sigmas, noise):
        changed = len(self.kept)
        self.kept.append(1)
        x = yield from euler(x, sigmas, noise)
        self.kept.pop()
        return x * (1 + changed)


def yields_when_closed(x, sigmas, noise):
    try:
        return (yield from euler(x, sigmas, noise))
    finally:
        yield x, sigmas[0]


def raises_when_closed(x, sigmas, noise):
    try:
        return (yield from euler(x, sigmas, noise))
    except GeneratorExit:
        raise OSError("not now") from None


def with_run(name):
    return lambda case: getattr(properties, name)(case, case.run())


def alone(name):
    return lambda case: getattr(properties, name)(case)


SHAPE = [
    (lambda case: keeps_the_shape(case, case.run()), grows, "several shapes"),
    (lambda case: case.run(), divides_by_zero, "final latent is not finite"),
    (lambda case: case.run(), goes_on_after_infinity, "latent that is not finite"),
    (lambda case: case.run(), asks_at_zero, "sigma 0.0"),
    (lambda case: case.run(), asks_at_a_tensor, r"sigma tensor"),
    (lambda case: case.run(), in_double, "float64"),
    (with_run("leaves_what_it_was_given"), changes_its_call, "changes call 3 .Denoise. in place"),
    (with_run("leaves_what_it_was_given"), changes_the_reply, "the reply to its call 3"),
]
RANDOM = [
    (alone("leaves_random_state_alone"), draws_from_torch, "random state of torch"),
    (alone("leaves_random_state_alone"), seeds_torch, "random state of torch"),
    (alone("leaves_random_state_alone"), draws_from_numpy, "random state of numpy"),
    (alone("leaves_random_state_alone"), draws_from_python, "random state of random"),
    (alone("leaves_random_state_alone"), draws_unseeded, "something else the second time"),
    (alone("leaves_random_state_alone"), remembers().from_run_to_run, "the second time"),
]
RUNS = [
    (with_run("is_the_same_in_any_batch"), remembers().within_a_run, "beside another request"),
    (with_run("replays"), draws_unseeded, "recorded replies"),
    (with_run("replays"), remembers().from_run_to_run, "recorded replies"),
    (with_run("cancels_at_any_call"), yields_when_closed, "generator ignored GeneratorExit"),
    (with_run("cancels_at_any_call"), raises_when_closed, "OSError: not now"),
    (with_run("cancels_at_any_call"), remembers().while_it_runs, "after a cancelled run"),
]
BROKEN = [*SHAPE, *RANDOM, *RUNS]


@pytest.mark.parametrize(
    ("holds", "make", "sentence"), BROKEN, ids=lambda value: getattr(value, "__name__", "")
)
def test_a_broken_property_is_told_and_a_kept_one_is_not(holds, make, sentence):
    holds(case_of(euler))
    with pytest.raises(AssertionError, match=f"sampler 'Mine': .*{sentence}"):
        holds(case_of(make))


def test_the_case_of_a_shared_memory_breaks_only_beside_others():
    """So the check of batches is needed: the others let it pass."""
    case = case_of(remembers().within_a_run)
    known = case.run()
    properties.leaves_random_state_alone(case)
    properties.replays(case, known)
    properties.cancels_at_any_call(case, known)


def test_what_changes_nothing_is_told():
    case, other = case_of(euler), case_of(euler, seed=2)
    properties.does_something(case, case.run(), other.run())
    with pytest.raises(AssertionError, match="changes nothing"):
        properties.does_something(case, case.run(), case.run())


def film(sizes):
    from PIL import Image

    def make(request, studio):
        yield LoadModel(request.model)
        return Animation(tuple(Image.new("RGB", size) for size in sizes))

    task = Task("film", "Film", make)
    from dataclasses import replace

    parts = replace(PARTS, tasks={"film": task})
    return making("task 'film'", parts, example_request(task))


def test_frames_are_pictures_of_one_size():
    good = film([(8, 8), (8, 8)])
    properties.gives_pictures(good, good.run())
    for sizes, sentence in (([], "without frames"), ([(8, 8), (8, 16)], "several sizes")):
        with pytest.raises(AssertionError, match=sentence):
            properties.gives_pictures(film(sizes), film(sizes).run())


@pytest.mark.parametrize("kind", ["passes", "swallows", "renames"])
def test_errors_of_others_are_passed_on(kind):
    from dataclasses import replace

    txt2img = PARTS.tasks["txt2img"]

    def make(request, studio):
        try:
            return (yield from txt2img.make(request, studio))
        except ExtensionError as error:
            if kind == "passes":
                raise
            if kind == "renames":
                raise ValueError("it failed") from error
            return studio.picture(torch.zeros(64, 64, 3, dtype=torch.uint8))

    def case(samplers):
        parts = replace(PARTS, tasks={"mine": replace(txt2img, name="mine", make=make)}, samplers=samplers)  # fmt: skip
        return making("task 'mine'", parts, example_request(parts.tasks["mine"]))

    def failing(error):
        def fails(x, sigmas, noise):
            yield x, sigmas[0]
            raise error

        return case({"Euler": Sampler("Euler", fails)})

    if kind == "passes":
        passes_errors_on(case(PARTS.samplers), failing)
    else:
        with pytest.raises(
            AssertionError, match="swallowed" if kind == "swallows" else "it failed"
        ):
            passes_errors_on(case(PARTS.samplers), failing)


def test_an_error_without_a_name_is_told():
    def nameless(x, sigmas, noise):
        raise TypeError("no latent")

    def named(x, sigmas, noise):
        raise ExtensionError("mine", "sampler 'Mine'", "no latent")

    properties.names_its_errors("sampler", "mine", named, 3)
    properties.names_its_errors("sampler", "mine", lambda x, sigmas, noise: None, 3)
    with pytest.raises(AssertionError, match="names nobody"):
        properties.names_its_errors("sampler", "mine", nameless, 3)
    with pytest.raises(AssertionError, match="in the name of 'mine', not of 'yours'"):
        properties.names_its_errors("sampler", "yours", named, 3)


def test_the_check_of_random_numbers_leaves_them_as_they_were():
    torch.manual_seed(5)
    np.random.seed(5)
    random.seed(5)
    before = properties.random_states()
    properties.leaves_random_state_alone(case_of(euler))
    assert properties.random_states() == before
