"""Parts of extensions behind their guards: what is right passes unchanged, what is wrong has a name."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
import torch
from PIL import Image

from webui.engine.samplers import SAMPLERS
from webui.engine.schedules import SCHEDULES
from webui.errors import EaselError, ExtensionError, RequestError
from webui.plugins.clock import Clock
from webui.plugins.extension import Extension, Limits
from webui.plugins.finding import Found
from webui.plugins.guards import guarded, guarded_wrapper
from webui.plugins.hooks import Implementation
from webui.types import (
    Animation,
    Condition,
    Conditioner,
    Denoise,
    Denoised,
    LoadModel,
    Model,
    Patch,
    PostProcessor,
    Row,
    Sampler,
    Schedule,
    Task,
    TextCondition,
    Upscaler,
    on_behalf_of,
)

MODEL = Model("m", 4, False, (0.03, 14.6))
X = torch.linspace(-1, 1, 4 * 2 * 3).reshape(4, 2, 3)
CALL = Denoise(MODEL, X, 2.0, (Row(torch.zeros(77, 8), 1.0),))
TEXTS = (TextCondition(torch.zeros(77, 8)), TextCondition(torch.zeros(77, 8), "uncond"))
COND = Condition(MODEL, TEXTS)
PICTURE = Image.new("RGB", (8, 8))


@pytest.fixture
def guest() -> Extension:
    extension = Extension(Found("guest", "guest"), Clock(), Limits())
    extension.loaded = True
    return extension


def to_the_end(run, answer=lambda call: None):
    """Drives a generator; `answer` gives the reply to what it yields. Returns (yields, result)."""
    reply, seen = None, []
    while True:
        try:
            call = run.send(reply)
        except StopIteration as stop:
            return seen, stop.value
        seen.append(call)
        reply = answer(call)


# --- What is right passes unchanged ---------------------------------------------------------------


@pytest.mark.parametrize("sampler", SAMPLERS.values(), ids=lambda s: s.name)
def test_a_guarded_sampler_is_the_sampler_to_the_bit(guest, sampler):
    sigmas = [10.0, 5.0, 2.0, 0.7, 0.0]

    def run(which: Sampler) -> tuple[list, torch.Tensor]:
        generator = torch.Generator().manual_seed(1)

        def noise(sigma, sigma_next):
            return torch.randn(X.shape, generator=generator)

        def answer(call):
            exact = call[0] / (1 + call[1] ** 2)  # the denoiser of a unit Gaussian
            return (exact, exact * 0.9) if len(call) == 3 else exact

        return to_the_end(which.make(X * 10, sigmas, noise), answer)

    (bare, bare_x), (safe, safe_x) = run(sampler), run(guarded(guest, sampler))
    assert [call[1:] for call in bare] == [call[1:] for call in safe]
    assert all(torch.equal(a[0], b[0]) for a, b in zip(bare, safe, strict=True))
    assert torch.equal(bare_x, safe_x)
    assert guest.status().problems == ()


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=lambda s: s.name)
def test_every_built_in_schedule_keeps_the_rules_that_extensions_are_held_to(guest, schedule):
    model_sigmas = tuple(0.03 * (14.6 / 0.03) ** (i / 999) for i in range(1000))
    for steps in (1, 2, 20, 150):
        given = (steps, model_sigmas[0], model_sigmas[-1], model_sigmas)
        assert guarded(guest, schedule).make(*given) == schedule.make(*given)


def test_plain_functions_and_generators_are_both_steps(guest):
    def plain(picture, request, studio):
        return picture.rotate(90)

    def asking(picture, request, studio):
        reply = yield LoadModel("m")
        return picture.rotate(reply)

    picture = Image.linear_gradient("L").convert("RGB")
    direct = guarded(guest, PostProcessor("p", plain)).process(picture, None, None)
    calls, driven = to_the_end(
        guarded(guest, PostProcessor("p", asking)).process(picture, None, None), lambda call: 90
    )
    assert direct == driven == picture.rotate(90)
    assert calls == [LoadModel("m")]


def test_closing_reaches_the_extensions_finally(guest):
    closed = []

    def make(request, studio):
        try:
            yield LoadModel("m")
        finally:
            closed.append(True)

    run = guarded(guest, Task("t", "T", make)).make(None, None)
    run.send(None)
    run.close()
    assert closed == [True] and guest.status().problems == ()


def test_what_is_raised_on_purpose_passes_uncounted(guest):
    def refuse(request, studio, cond):
        raise RequestError("weaker 3: use 0 to 1", "weaker")

    step = guarded(guest, Conditioner("c", refuse))
    for _ in range(5):
        with pytest.raises(RequestError, match="weaker 3"):
            step.prepare(None, None, COND)
    assert guest.active and guest.status().problems == ()


# --- What is wrong has a name ---------------------------------------------------------------------


def sampler_of(*yields, returns=X):
    def make(x, sigmas, noise):
        for value in yields:  # noqa: UP028 (a tuple's own iterator takes no replies)
            yield value
        return returns

    return make


def exits(*given):
    raise SystemExit(3)


def exits_later(*given):
    yield LoadModel("m")
    raise SystemExit(3)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda x, s, n: x, "gave a value of type Tensor; a sampler is a generator"),
        (exits, "it called sys.exit(3)"),
        (sampler_of(X), "yielded a value of type Tensor; a sampler yields (x, sigma)"),
        (sampler_of((X[0], 1.0)), "yielded shape (2, 3) for a latent of shape (4, 2, 3)"),
        (sampler_of((X, torch.tensor(1.0))), "yielded sigma tensor(1.); give a float"),
        (sampler_of((X, float("nan"))), "yielded sigma nan"),
        (sampler_of((X, 1.0), returns=None), "returned nothing, not the final latent"),
        (sampler_of((X, 1.0), returns=X[:1]), "returned shape (1, 2, 3), not the final latent"),
    ],
)
def test_a_sampler_that_is_wrong_fails_with_its_name(guest, make, says):
    run = guarded(guest, Sampler("Odd", make)).make(X, [1.0, 0.0], None)
    with pytest.raises(ExtensionError) as caught:
        to_the_end(run, lambda call: X)
    assert str(caught.value).startswith("extension 'guest', sampler 'Odd': ")
    assert says in str(caught.value)
    assert (caught.value.extension, caught.value.hook) == ("guest", "sampler 'Odd'")
    assert guest.status().problems[0].startswith("sampler 'Odd': ")


@pytest.mark.parametrize(
    ("sigmas", "says"),
    [
        (torch.tensor([1.0, 0.0]), "gave a value of type Tensor; give a list of floats"),
        ([2.0, 1.0, 0.0], "gave 3 sigmas for 1 steps; give 2"),
        ([0.0, 1.0], "do not descend to 0.0"),
        ([1.0, 1.0], "do not descend to 0.0"),
        ([float("inf"), 0.0], "something else than finite floats"),
        (["1", "0"], "something else than finite floats"),
    ],
)
def test_a_schedule_that_is_wrong_fails_with_its_name(guest, sigmas, says):
    schedule = guarded(guest, Schedule("odd", lambda *given: sigmas))
    with pytest.raises(ExtensionError, match="schedule 'odd'") as caught:
        schedule.make(1, 0.1, 1.0, (0.1, 1.0))
    assert says in str(caught.value)


def test_the_options_of_a_schedule_pass_its_guard(guest):
    schedule = guarded(guest, Schedule("odd", lambda *given, by: [by, 0.0]))
    assert schedule.make(1, 0.1, 1.0, (0.1, 1.0), by=0.5) == [0.5, 0.0]


class Unhashable(Patch):
    __hash__ = None  # type: ignore[assignment]


def unhashable(request, studio, cond):
    return replace(cond, patches=(Unhashable(),))


@pytest.mark.parametrize(
    ("part", "given", "says"),
    [
        (Task("t", "T", exits), (None, None), "task 't': it called sys.exit(3)"),
        (Task("t", "T", exits_later), (None, None), "task 't': it called sys.exit(3)"),
        (Task("t", "T", lambda r, s: None), (None, None), "returned nothing, which is no picture"),
        (Task("t", "T", lambda r, s: (yield 3)), (None, None), "type int, which is no call"),
        (Conditioner("c", lambda *g: 3), (None, None, COND), "conditioner 'c': returned a value of type int"),
        (Conditioner("c", unhashable), (None, None, COND), "make it a frozen dataclass"),
        (
            Conditioner("c", lambda *g: replace(COND, control_networks=[])),
            (None, None, COND),
            "give a tuple of ControlNetwork",
        ),
        (PostProcessor("p", lambda *g: b"x"), (PICTURE, None, None), "'p': returned a value of type bytes"),
        (Upscaler("u", lambda *g: None), (PICTURE, 2.0, None), "upscaler 'u': returned nothing"),
    ],
)  # fmt: skip
def test_a_part_that_is_wrong_fails_with_its_name(guest, part, given, says):
    safe = guarded(guest, part)
    function = next(
        getattr(safe, n) for n in ("make", "prepare", "process", "upscale") if hasattr(safe, n)
    )
    with pytest.raises(ExtensionError) as caught:
        run = function(*given)
        to_the_end(run)
    assert says in str(caught.value)


# --- wrap_denoise ---------------------------------------------------------------------------------


@dataclass
class Answers:
    """The engine's side: every Denoise is answered with its x times the number of calls so far."""

    calls: list = field(default_factory=list)

    def __call__(self, call):
        self.calls.append(call)
        return Denoised(call.x * len(self.calls))


def wrapping(guest, function, takes=("call", "request")):
    wrapper = guarded_wrapper(Implementation(guest, "wrap_denoise", function, takes))
    answer = wrapper.wrap(CALL, None)
    if answer is None or isinstance(answer, Denoised):
        return [], answer
    return to_the_end(answer, Answers())


def test_a_wrapper_changes_the_call_asks_twice_and_changes_the_reply(guest):
    def wrap(call):
        first = yield call
        second = yield replace(call, sigma=1.0)
        return Denoised(first.denoised + second.denoised)

    calls, reply = wrapping(guest, wrap, ("call",))
    assert [call.sigma for call in calls] == [2.0, 1.0]
    assert torch.equal(reply.denoised, X * 3)


def test_a_wrapper_lets_a_call_pass(guest):
    def early(call, request):
        if call.sigma > 1:
            return
        yield call

    assert wrapping(guest, lambda call, request: None) == ([], None)
    calls, reply = wrapping(guest, early)
    assert calls == [CALL] and torch.equal(reply.denoised, X)


def none_after(call, request):
    yield call


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (none_after, "returned nothing; return a Denoised"),
        (lambda call, request: X, "returned a value of type Tensor; return a Denoised"),
        (lambda call, request: Denoised(X[:1]), "returned shape (1, 2, 3) for a latent of (4, 2, 3)"),
        (lambda call, request: (yield replace(call, rows=())), "without rows"),
        (lambda call, request: (yield replace(call, x=None)), "with nothing for x"),
        (lambda call, request: (yield replace(call, sigma=X)), "with sigma tensor"),
        (lambda call, request: (yield replace(call, patches=(Unhashable(),))), "make it a frozen dataclass"),
        (lambda call, request: 1 / 0, "ZeroDivisionError: division by zero"),
    ],
)  # fmt: skip
def test_a_wrapper_that_is_wrong_fails_with_its_name(guest, function, says):
    with pytest.raises(ExtensionError, match="extension 'guest', wrap_denoise: ") as caught:
        wrapping(guest, function)
    assert says in str(caught.value)


# --- Off and set aside ----------------------------------------------------------------------------


def fail_times(guest, times):
    wrapper = guarded_wrapper(Implementation(guest, "wrap_denoise", lambda: 1 / 0))
    for _ in range(times):
        with pytest.raises(ExtensionError):
            wrapper.wrap(CALL, None)


def off(guest):
    guest.enabled = False


@pytest.mark.parametrize(
    ("stop", "says"),
    [(off, "is switched off"), (lambda guest: fail_times(guest, 3), "set aside until the next start")],
)  # fmt: skip
def test_what_is_stopped_steps_out_of_the_way_or_says_so(guest, stop, says):
    parts = [
        guarded(guest, Conditioner("c", exits)),
        guarded(guest, PostProcessor("p", exits)),
        guarded_wrapper(Implementation(guest, "wrap_denoise", exits)),
    ]
    needed = [
        guarded(guest, Sampler("s", exits)),
        guarded(guest, Task("t", "T", exits)),
        guarded(guest, Schedule("s", exits)),
        guarded(guest, Upscaler("u", exits)),
    ]
    stop(guest)
    assert parts[0].prepare(None, None, COND) is None
    assert parts[1].process(PICTURE, None, None) is None
    assert parts[2].wrap(CALL, None) is None
    for run in (
        lambda: to_the_end(needed[0].make(X, [1.0, 0.0], None)),
        lambda: to_the_end(needed[1].make(None, None)),
        lambda: needed[2].make(1, 0.1, 1.0, ()),
        lambda: needed[3].upscale(PICTURE, 2.0, None),
    ):
        with pytest.raises(EaselError, match=says):
            run()


def test_one_visitors_requests_set_nothing_aside(guest):
    """However many they send: what it stumbles over may be theirs alone."""
    for _ in range(5):
        with on_behalf_of("ann"):
            fail_times(guest, 2)
    assert guest.active and guest.status().state == "on"
    assert guest.status().problems == (
        "wrap_denoise: ZeroDivisionError: division by zero (10 times)",
    )
    with on_behalf_of("bob"):
        fail_times(guest, 1)
    assert guest.active
    with on_behalf_of("eve"):
        fail_times(guest, 1)
    assert guest.status().state == "set aside"  # it fails for everybody


def test_the_third_failure_sets_an_extension_aside(guest):
    fail_times(guest, 2)
    assert guest.active and guest.status().state == "on"
    fail_times(guest, 1)
    assert not guest.active and guest.status().state == "set aside"
    assert guest.status().restart == "a restart tries it again"
    (said,) = guest.status().problems
    assert said.startswith("wrap_denoise: ZeroDivisionError") and said.endswith("(3 times)")


def test_an_inner_extensions_failure_is_not_the_outer_ones(guest):
    inner = Extension(Found("inner", "inner"), Clock(), Limits())
    inner.loaded = True
    sampler = guarded(inner, Sampler("s", exits))

    def make(request, studio):
        return (yield from sampler.make(X, [1.0, 0.0], None))

    with pytest.raises(ExtensionError, match="extension 'inner', sampler 's'"):
        to_the_end(guarded(guest, Task("t", "T", make)).make(None, None))
    assert guest.status().problems == () and len(inner.status().problems) == 1


def test_an_animation_is_a_tasks_result(guest):
    moving = Animation((PICTURE, PICTURE))
    task = guarded(guest, Task("t", "T", lambda request, studio: moving))
    assert to_the_end(task.make(None, None)) == ([], moving)
