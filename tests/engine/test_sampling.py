"""A sampling is a value: what differs in it differs in the picture, and nothing else does. Each picture of a real
engine is compared with an explicit slow reference."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import save_file
from torch import Tensor
from transformers import CLIPTextModel

from tests.engine.conftest import request
from tests.engine.slow_reference import Reference, composed, draws
from tests.engine.test_wearing import adapter
from tests.networks import tiny_folder
from webui.catalog.model_folders import AdapterFiles
from webui.engine.samplers import SAMPLERS
from webui.engine.schedules import SCHEDULES
from webui.engine.tasks import TASKS
from webui.types import (
    ETA,
    BrownianNoise,
    Condition,
    Decode,
    EncodeText,
    GenerationRequest,
    LoadModel,
    NormalNoise,
    Number,
    Sampler,
    Sampling,
    Schedule,
    Studio,
    Task,
    TaskRun,
)

SHAPE = (4, 8, 8)
CLOSE = 2e-4  # of the largest value; measured: 1.3e-5 at most


@pytest.fixture(scope="module")
def models(models_dir: Path) -> Path:
    """The folder of `tiny` and of a `second` model of the same kind."""
    folder = models_dir / "Stable-diffusion"
    if not (folder / "second").exists():
        tiny_folder(folder / "second", seed=5)
    return folder


@pytest.fixture(scope="module")
def loras(models: Path) -> Mapping[str, Mapping[str, Tensor]]:
    """The differences of two LoRAs, `left` and `right`, by name."""
    tiny = models / "tiny"
    unet = UNet2DConditionModel.from_pretrained(tiny / "unet")
    text = CLIPTextModel.from_pretrained(tiny / "text_encoder")
    found = {}
    for seed, name in enumerate(("left", "right"), start=11):
        state, found[name] = adapter(unet, text, seed)
        (models.parent / "Lora").mkdir(exist_ok=True)
        save_file(state, models.parent / "Lora" / f"{name}.safetensors")
    return found


class Made:
    """A task that keeps its latents, on an engine of its own."""

    def __init__(
        self, start: Any, models: Path, run: Callable[..., Any], controls: Any = (), **given: Any
    ) -> None:
        self.latents: list[Tensor] = []

        def make(request: GenerationRequest, studio: Studio) -> TaskRun:
            return (yield from run(request, studio, self.latents))

        task = Task("own", "Own", make, controls)
        files = AdapterFiles([models.parent])
        self.bench = start(tasks={**TASKS, "own": task}, adapter_files=files, **given)

    def latent(self, **values: Any) -> Tensor:
        self.latents.clear()
        status = self.bench.end(self.bench.engine.submit(request(task="own", **values)))
        assert status.state == "done", status.error
        return self.latents[-1]


def encoded(request: GenerationRequest, model: Any, prompt: str, negative: str = "") -> Any:
    cond = yield EncodeText(model, prompt, negative, request.clip_skip)
    return cond


def assert_same(one: Tensor, other: Tensor) -> None:
    assert float((one - other).abs().max() / other.abs().max()) < CLOSE


def euler(clean: Callable[[Tensor, float], Tensor], x: Tensor, sigmas: Any) -> Tensor:
    for sigma, after in pairwise(sigmas):
        x = x + (x - clean(x, sigma)) / sigma * (after - sigma)
    return x


# --- A second pass --------------------------------------------------------------------------------


def test_a_second_pass_differs_by_its_value_alone(start: Any, models: Path) -> None:
    """Other sampler, guidance scale, eta, number of steps, seed and start; the request says none of it."""
    values: list[Sampling] = []

    def two(request: GenerationRequest, studio: Studio, latents: list[Tensor]) -> TaskRun:
        model = yield LoadModel(request.model)
        cond = yield from encoded(request, model, "a red cat", "dog")
        first = studio.sampling(cond)
        latent = yield from studio.sample(first, studio.first_noise(SHAPE) * first.sigmas[0])
        second = studio.sampling(
            cond, sampler="Euler a", steps=6, guidance_scale=2.5, options={"eta": 0.5}, seed=99
        )
        second = replace(second, start=3, end=5)
        values[:] = [first, second]
        x = latent + studio.noise(98, SHAPE) * second.levels[0]
        latents += [latent, (yield from studio.sample(second, x))]
        return (yield Decode(model, latents[-1]))

    made = Made(start, models, two)
    final = made.latent(seed=7, steps=4, cfg_scale=4.0)
    first, second = values

    reference = Reference(models / "tiny")
    cond, uncond = reference.encode("a red cat"), reference.encode("dog")

    def clean(x: Tensor, sigma: float, scale: float) -> Tensor:
        one, other = (reference.clean(x, sigma, text) for text in (cond, uncond))
        return composed([(1.0, one)], other, scale)

    x = draws(7, SHAPE, 1)[0] * first.sigmas[0]
    x = euler(lambda x, sigma: clean(x, sigma, 4.0), x, first.sigmas)
    assert_same(made.latents[0], x)
    assert len(first.sigmas) == 5 and len(second.sigmas) == 7 and len(second.levels) == 3
    x = x + draws(98, SHAPE, 1)[0] * second.sigmas[3]
    noises = draws(99, SHAPE, 3)[1:]
    for sigma, after, noise in zip(second.sigmas[3:], second.sigmas[4:6], noises, strict=False):
        up = (0.25 * (1 - (after / sigma) ** 2)) ** 0.5 * after
        down = (after**2 - up**2) ** 0.5
        x = x + (x - clean(x, sigma, 2.5)) / sigma * (down - sigma) + noise * up
    assert_same(final, x)


def test_a_sampling_that_is_cut_in_two_is_the_whole_one(start: Any, models: Path) -> None:
    def cut(request: GenerationRequest, studio: Studio, latents: list[Tensor]) -> TaskRun:
        model = yield LoadModel(request.model)
        cond = yield from encoded(request, model, "a red cat", "dog")
        whole = studio.sampling(cond)
        x = studio.first_noise(SHAPE) * whole.sigmas[0]
        latents.append((yield from studio.sample(whole, x)))
        half = yield from studio.sample(replace(whole, end=2), x)
        latents.append((yield from studio.sample(replace(whole, start=2), half)))
        return (yield Decode(model, half))

    made = Made(start, models, cut)
    made.latent(sampler_name="Euler", steps=5)
    assert torch.equal(*made.latents)


# --- Texts that change, and models ----------------------------------------------------------------


def test_a_text_that_is_edited_and_one_that_alternates(start: Any, models: Path) -> None:
    """The cat becomes a dog at 40 % of the steps; "red" holds at every other one beside them, with its weight. A longer
    text makes two chunks of all, once: every call has the same shape."""
    long = "a photo of the blue dog on the grass, " * 10

    def edited(request: GenerationRequest, studio: Studio, latents: list[Tensor]) -> TaskRun:
        model = yield LoadModel(request.model)
        cat = yield from encoded(request, model, "a cat", "red")
        dog = yield from encoded(request, model, "a dog")
        every_other = yield from encoded(request, model, "red")
        cond = replace(
            cat,
            texts=(
                replace(cat.conds[0], steps=(0.0, 0.4)),
                replace(dog.conds[0], steps=(0.4, 1.0)),
                replace(every_other.conds[0], weight=0.3, steps=range(1, 5, 2)),
                *cat.unconds,
            ),
        )
        sampling = studio.sampling(cond)
        x = studio.first_noise(SHAPE) * sampling.sigmas[0]
        latents.append((yield from studio.sample(sampling, x)))
        latents.append(torch.tensor(sampling.sigmas))
        longer = yield from encoded(request, model, long)
        longer = replace(
            longer.conds[0], steps=range(0)
        )  # at no step: it changes nothing but the length
        shapes = set()
        run = studio.sample(replace(sampling, conditions=(cond.and_texts([longer]),)), x)
        reply = None
        try:
            while True:
                call = run.send(reply)
                if hasattr(call, "rows"):
                    shapes |= {tuple(row.context.shape) for row in call.rows}
                reply = yield call
        except StopIteration as stop:
            assert shapes == {(154, 32)}
            return (yield Decode(model, stop.value))

    made = Made(start, models, edited)
    made.latent(seed=3, steps=5, cfg_scale=3.0)
    reference = Reference(models / "tiny")
    cat, dog, red = (reference.encode(text) for text in ("a cat", "a dog", "red"))
    x, sigmas = draws(3, SHAPE, 1)[0] * float(made.latents[1][0]), made.latents[1].tolist()
    for step in range(5):
        sigma, after = sigmas[step], sigmas[step + 1]
        texts = [(1.0, cat if step < 2 else dog)] + [(0.3, red)] * (step in (1, 3))
        conds = [(weight, reference.clean(x, sigma, text)) for weight, text in texts]
        clean = composed(conds, reference.clean(x, sigma, red), 3.0)
        x = x + (x - clean) / sigma * (after - sigma)
    assert_same(made.latents[0], x)


def test_a_model_takes_over_at_a_step(start: Any, models: Path) -> None:
    """A multistep method's history goes on over the switch. Each model has its own texts; the picture tells both."""

    def relay(request: GenerationRequest, studio: Studio, latents: list[Tensor]) -> TaskRun:
        model = yield LoadModel(request.model)
        base = yield from encoded(request, model, "a cat", "dog")
        other = yield LoadModel("second")
        finer = yield from encoded(request, other, "a red cat", "blue")
        sampling = studio.sampling(base)
        stages = (replace(base, steps=(0.0, 0.5)), finer)
        sampling = replace(sampling, conditions=stages)
        x = studio.first_noise(SHAPE) * sampling.sigmas[0]
        latents.append(torch.tensor(sampling.sigmas, dtype=torch.float64))
        latents.append((yield from studio.sample(sampling, x)))
        return (yield Decode(other, latents[-1]))

    made = Made(start, models, relay)
    final = made.latent(seed=4, steps=6, cfg_scale=2.0, sampler_name="LMS", scheduler="karras")
    sigmas = made.latents[0].tolist()
    stages = [
        (reference := Reference(models / name), *map(reference.encode, texts))
        for name, texts in (("tiny", ("a cat", "dog")), ("second", ("a red cat", "blue")))
    ]
    x, slopes = draws(4, SHAPE, 1)[0] * sigmas[0], []
    for i in range(6):
        reference, cond, uncond = stages[i >= 3]
        one, other = (reference.clean(x, sigmas[i], text) for text in (cond, uncond))
        slopes = [*slopes, (x - composed([(1.0, one)], other, 2.0)) / sigmas[i]][-4:]
        nodes = torch.tensor(sigmas[i + 1 - len(slopes) : i + 1], dtype=torch.float64)
        powers = torch.arange(len(slopes), dtype=torch.float64)  # the polynomial through the slopes
        integrals = (sigmas[i + 1] ** (powers + 1) - sigmas[i] ** (powers + 1)) / (powers + 1)
        weights = torch.linalg.solve(nodes ** powers[:, None], integrals)
        x = x + sum(slope * float(weight) for slope, weight in zip(slopes, weights, strict=True))
    assert_same(final, x)
    told = made.bench.finished[-1]
    assert told.model is not None and told.model.name == "tiny"
    assert told.notes["Further model"].startswith("second")


def test_two_weighted_prompts_with_two_loras(
    start: Any, models: Path, loras: Mapping[str, Mapping[str, Tensor]]
) -> None:
    """Each text is encoded and predicted with its own LoRA; the negative prompt with the LoRA of its prompt."""

    def both(request: GenerationRequest, studio: Studio, latents: list[Tensor]) -> TaskRun:
        model = yield LoadModel(request.model)
        left = yield from encoded(request, model, "a red cat <lora:left:0.8>", "grass")
        right = yield from encoded(request, model, "a blue dog <lora:right:0.6:0.4>")
        texts = [replace(left.conds[0], weight=0.7), replace(right.conds[0], weight=0.5)]
        sampling = studio.sampling(replace(left, texts=(*texts, *left.unconds)))
        latents.append(torch.tensor(sampling.sigmas))
        x = studio.first_noise(SHAPE) * sampling.sigmas[0]
        latents.append((yield from studio.sample(sampling, x)))
        return (yield Decode(model, latents[-1]))

    made = Made(start, models, both)
    final = made.latent(seed=5, steps=4, cfg_scale=3.0)
    sigmas = made.latents[0].tolist()

    def worn(name: str, text: float, unet: float) -> Reference:
        parts = {
            key: difference * (unet if key.startswith("lora_unet_") else text)
            for key, difference in loras[name].items()
        }
        return Reference(models / "tiny", parts)

    left, right = worn("left", 0.8, 0.8), worn("right", 0.6, 0.4)
    cat, dog, grass = left.encode("a red cat "), right.encode("a blue dog "), left.encode("grass")

    def clean(x: Tensor, sigma: float) -> Tensor:
        conds = [(0.7, left.clean(x, sigma, cat)), (0.5, right.clean(x, sigma, dog))]
        return composed(conds, left.clean(x, sigma, grass), 3.0)

    x = draws(5, SHAPE, 1)[0] * sigmas[0]
    assert_same(final, euler(clean, x, sigmas))
    notes = made.bench.finished[-1].notes["Lora hashes"]
    assert "left: " in notes and "right: " in notes


# --- Options and noise ----------------------------------------------------------------------------


def churned(x: Any, sigmas: Any, noise: Any, churn: float = 0.0) -> Any:
    for sigma, after in pairwise(sigmas):
        denoised = yield x, sigma
        x = denoised + (x - denoised) * (after / sigma)
        if after and churn:
            x = x + noise(sigma, after) * churn
    return x


CHURN = Number(name="churn", label="Churn", minimum=0, maximum=1, step=0.1, default=0.0)
OWN = {
    **SAMPLERS,
    "churned": Sampler("churned", churned, options=(CHURN,)),
    "wandering": Sampler("wandering", churned, options=(CHURN,), noise="brownian"),
}


def plain(request: GenerationRequest, studio: Studio, latents: list[Tensor]) -> TaskRun:
    model = yield LoadModel(request.model)
    cond = yield from encoded(request, model, "a cat")
    sampling = studio.sampling(cond)
    latent = yield from studio.sample(sampling, studio.first_noise(SHAPE) * sampling.sigmas[0])
    latents.append(latent)
    return (yield Decode(model, latent))


def test_the_values_of_a_samplers_controls_reach_it_and_no_other(start: Any, models: Path) -> None:
    made = Made(start, models, plain, samplers=OWN)
    pictures = {
        (name, churn): made.latent(sampler_name=name, extras={"churn": churn})
        for name in ("churned", "wandering", "Euler")
        for churn in (0.0, 0.5)
    }
    assert_same(pictures["Euler", 0.5], pictures["Euler", 0.0])
    assert_same(pictures["churned", 0.0], pictures["Euler", 0.0])
    for name in ("churned", "wandering"):
        assert float((pictures[name, 0.5] - pictures[name, 0.0]).abs().max()) > 0.1
    assert not torch.equal(pictures["churned", 0.5], pictures["wandering", 0.5])


def test_what_another_sampling_than_the_requests_took_is_told(start: Any, models: Path) -> None:
    """The options of its sampler, and no schedule that the request did not name and this sampler would not take: the
    picture would not come again with them."""

    def twice(request: GenerationRequest, studio: Studio, latents: list[Tensor]) -> TaskRun:
        model = yield LoadModel(request.model)
        cond = yield from encoded(request, model, "a cat")
        x = studio.first_noise(SHAPE)
        for sampler in (None, request.extras["then"]):
            sampling = studio.sampling(cond, sampler=sampler)
            x = yield from studio.sample(sampling, x * sampling.sigmas[0])
        latents.append(x)
        return (yield Decode(model, x))

    made = Made(start, models, twice, samplers=OWN, controls=(CHURN,))
    for asked, then, told in (
        ("automatic", "DPM++ 2M", "karras"),
        ("automatic", "churned", "automatic"),
        ("exponential", "churned", "exponential"),
    ):
        values = {"sampler_name": "DPM++ 2M", "extras": {"then": then, "churn": 0.5}}
        latent = made.latent(scheduler=asked, **values)
        finished = made.bench.finished[-1]
        assert finished.scheduler == told
        assert finished.notes.get("Churn") == (0.5 if then == "churned" else None)
        assert torch.equal(made.latent(scheduler=told, **values), latent)


def sloped(n: int, low: float, high: float, levels: Any, bend: float = 1.0, **more: Any) -> Any:
    assert set(more) <= {"churn"}
    return [*(high * (low / high) ** ((i / n) ** bend) for i in range(n)), 0.0]


BEND = Number(name="bend", label="Bend", minimum=0.5, maximum=2, step=0.1)
SLOPED = {
    **SCHEDULES,
    "sloped": Schedule("sloped", sloped, options=(BEND,)),
    "both": Schedule("both", sloped, options=(BEND, CHURN)),
}
BENDING = {**OWN, "bending": Sampler("bending", churned, schedule="sloped", options=(CHURN,))}


def test_the_values_of_a_schedules_controls_reach_it_and_no_other(start: Any, models: Path) -> None:
    """As of the request's schedule, of a sampler's usual one, and of one that shares an option with the sampler; only
    what was used is told."""
    made = Made(start, models, plain, controls=(BEND, CHURN), samplers=BENDING, schedules=SLOPED)

    def latent(sampler: str, scheduler: str, **extras: Any) -> Tensor:
        return made.latent(sampler_name=sampler, scheduler=scheduler, steps=3, extras=extras)

    usual = latent("Euler", "sloped", bend=None)
    assert_same(latent("Euler", "sloped", bend=1.0), usual)
    bent = latent("Euler", "sloped", bend=2.0)
    assert made.bench.finished[-1].notes == {"Bend": 2.0}
    assert float((bent - usual).abs().max()) > 0.1
    assert_same(latent("bending", "automatic", bend=2.0), bent)
    assert made.bench.finished[-1].notes == {"Bend": 2.0}
    assert_same(latent("Euler", "karras", bend=2.0), latent("Euler", "karras"))
    assert made.bench.finished[-1].notes == {}
    latent("Euler", "karras", bend=2.0, churn=0.5)
    assert made.bench.finished[-1].notes == {}
    latent("Euler", "both", churn=0.5)
    assert made.bench.finished[-1].notes == {"Churn": 0.5}


@pytest.mark.parametrize(("sampler", "usual"), [("DDIM", 0.0), ("Euler a", 1.0)])
def test_eta_is_its_samplers_option_and_told_where_one_of_them_ran(
    start: Any, models: Path, sampler: str, usual: float
) -> None:
    def explicit(request: GenerationRequest, studio: Studio, latents: list[Tensor]) -> TaskRun:
        model = yield LoadModel(request.model)
        cond = yield from encoded(request, model, "a cat")
        sampling = studio.sampling(cond, options={"eta": request.extras["said"]})
        latents.append(
            (yield from studio.sample(sampling, studio.first_noise(SHAPE) * sampling.sigmas[0]))
        )
        return (yield Decode(model, latents[-1]))

    ours = Made(start, models, plain, controls=(ETA,))
    theirs = Made(start, models, explicit)
    found = [ours.latent(sampler_name=sampler, extras={"eta": eta}) for eta in (0.5, None)]
    for latent, eta in zip(found, (0.5, usual), strict=True):
        assert torch.equal(latent, theirs.latent(sampler_name=sampler, extras={"said": eta}))
    assert not torch.equal(*found)
    assert [one.notes for one in ours.bench.finished] == [{"Eta": 0.5}, {}]
    ours.latent(sampler_name="Euler", extras={"eta": 0.5})
    assert ours.bench.finished[-1].notes == {}


def test_a_second_pass_has_the_options_of_its_own_schedule(start: Any, models: Path) -> None:
    """Those of the request, unless it is told others; they are told of the picture though its own schedule has none."""
    seen: list[Any] = []

    def twice(request: GenerationRequest, studio: Studio, latents: list[Tensor]) -> TaskRun:
        model = yield LoadModel(request.model)
        cond = yield from encoded(request, model, "a cat")
        x = studio.first_noise(SHAPE)
        for options in ({}, {"bend": 2.0, "churn": 0.5}, {"bend": None, "churn": None}):
            sampling = studio.sampling(cond, sampler="churned", scheduler="both", options=options)
            seen.append((sampling.sigmas, dict(sampling.options)))
        x = yield from studio.sample(sampling, x * sampling.sigmas[0])
        with pytest.raises(
            ValueError, match="schedule 'karras' has no option 'bend'; it has: none"
        ):
            studio.sigmas(model, "karras", 3, "Euler", {"bend": 2.0})
        lost = studio.sampling(cond, scheduler="karras", options={"bend": 2.0})
        with pytest.raises(ValueError, match="sampler 'Euler' has no option 'bend'; it has: none"):
            yield from studio.sample(lost, x)
        latents.append(x)
        return (yield Decode(model, x))

    made = Made(start, models, twice, controls=(BEND, CHURN), samplers=BENDING, schedules=SLOPED)
    made.latent(steps=3, sampler_name="Euler", extras={"bend": 1.5, "churn": 0.25})
    assert [options for _, options in seen] == [{"churn": 0.25}, {"churn": 0.5}, {}]
    for (sigmas, _), bend in zip(seen, (1.5, 2.0, 1.0), strict=True):
        first, second = (math.log(sigma / sigmas[0]) for sigma in sigmas[1:3])
        assert second / first == pytest.approx(2**bend)
    assert made.bench.finished[-1].notes == {"Bend": 1.5, "Churn": 0.25}


def test_a_sampling_refuses_what_is_no_sampling() -> None:
    from tests.engine.test_studio import COND

    usual = {"sampler": "Euler", "sigmas": [2.0, 1.0, 0.0], "conditions": (COND,)}
    for given, why in (
        ({"sigmas": [1.0, 2.0]}, "do not descend"),
        ({"sigmas": [0.0]}, "two finite noise levels"),
        ({"sigmas": [float("inf"), 0.0]}, "two finite noise levels"),
        ({"start": 2}, "start 2, end None: use steps from 0 to 2"),
        ({"end": 3}, "use steps from 0 to 2"),
        ({"conditions": COND}, "conditions: give a tuple"),
        ({"conditions": ()}, "conditions: give a tuple"),
        ({"guidance_scale": float("nan")}, "guidance_scale"),
    ):
        with pytest.raises(ValueError, match=why):
            Sampling(**{**usual, **given})
    other = Condition(replace(COND.model, name="b", latent_channels=16), COND.texts)
    with pytest.raises(ValueError, match="latents of different kinds"):
        Sampling(**{**usual, "conditions": (COND, other)})
    assert Sampling(**usual).noise == NormalNoise(0) != BrownianNoise(0)
