"""Many users at once: ours, beside a plain diffusers pipeline behind a lock, which is how others serve.

    python benchmarks/serving.py [--users 1,4,8] [--seconds 20] [--dtype float32] [--model NAME] [--size N]

What is measured, per number of users, both sides in one run, each in turn for `--seconds` (which one is first changes
from row to row):

- closed loop: each user asks, waits, asks again. Requests are mixed: prompts, samplers, 8 to 20 steps, with and without
  guidance. Throughput in pictures a minute; p50, p95, p99 of the latency in seconds; p50 of the time until the first
  step is seen (what a preview needs); Jain's fairness index over the steps that each user got,
  (sum x)^2 / (n sum x^2).
- Poisson arrivals at 70 % of the baseline's throughput with one user: p50 and p95 of the latency.
- a newcomer: while 8 users keep the engine busy, how long until somebody new has a first step, in UNet call times.

`--model` is a diffusers folder under models/ or models/Stable-diffusion, or "sd15": networks of Stable Diffusion
1.5's shapes with random weights. PNG encoding and disk are in neither. Each part is printed when it is done; the last
line is all of it as JSON.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

PROMPTS = (
    "a red apple on a blue background",
    "a cat",
    "an octopus",
    "a rocket",
    "a tree",
    "a fish",
)
SAMPLERS = {  # each makes one UNet call a step, in both
    "Euler": "EulerDiscreteScheduler",
    "Euler a": "EulerAncestralDiscreteScheduler",
    "DPM++ 2M": "DPMSolverMultistepScheduler",
}


@dataclass(frozen=True)
class Asked:
    """One request of the mix."""

    prompt: str
    sampler: str
    steps: int
    scale: float
    seed: int


@dataclass
class Seen:
    """What the users of one run saw."""

    latency_s: list[float] = field(default_factory=list)
    first_s: list[float] = field(default_factory=list)
    steps: dict[int, int] = field(default_factory=dict)
    wall_s: float = 0.0

    def row(self) -> dict[str, float]:
        shares = list(self.steps.values())
        squares = len(shares) * sum(x * x for x in shares)
        return {
            "pictures a minute": round(60 * len(self.latency_s) / self.wall_s, 1),
            "p50 s": quantile(self.latency_s, 0.5),
            "p95 s": quantile(self.latency_s, 0.95),
            "p99 s": quantile(self.latency_s, 0.99),
            "first step p50 s": quantile(self.first_s, 0.5),
            "Jain": round(sum(shares) ** 2 / squares, 3) if squares else 0.0,
        }


Serve = Callable[
    [int, Asked, Callable[[], None]], None
]  # user, request, what to call at the first step


def quantile(values: Sequence[float], part: float) -> float:
    ordered = sorted(values)
    return round(ordered[min(int(part * len(ordered)), len(ordered) - 1)], 3) if ordered else 0.0


def mix(dice: random.Random) -> Asked:
    return Asked(
        dice.choice(PROMPTS),
        dice.choice(list(SAMPLERS)),
        dice.choice((8, 12, 20)),
        dice.choice((1.0, 2.5, 2.5)),
        dice.randrange(2**31),
    )


# --- The two sides ----------------------------------------------------------------------------------


def ours(models: Path, name: str, dtype: str, size: int) -> tuple[Serve, Any]:
    """Our engine, and it."""
    from webui.catalog.checkpoints import list_models
    from webui.engine.engine import Engine, EngineOptions
    from webui.engine.samplers import SAMPLERS as OURS
    from webui.engine.schedules import SCHEDULES
    from webui.engine.tasks import TASKS
    from webui.types import Finished, GenerationRequest, Parts, SavedPicture

    def keep(finished: Finished) -> SavedPicture:
        return SavedPicture(Path(), finished.seed, *finished.picture.size, "")

    engine = Engine(
        lambda: list_models([models]),
        Parts(TASKS, OURS, SCHEDULES),
        keep,
        EngineOptions(dtype=dtype),
    )
    engine.start()

    def serve(user: int, asked: Asked, first: Callable[[], None]) -> None:
        request = GenerationRequest(
            task="txt2img",
            model=name,
            sampler_name=asked.sampler,
            scheduler="uniform",
            seed=asked.seed,
            steps=asked.steps,
            cfg_scale=asked.scale,
            width=size,
            height=size,
            prompt=asked.prompt,
        )
        job = engine.submit(request, owner=str(user))
        status = engine.status(job)
        while not status.ended:
            status = engine.wait(job, status.version, 60)
            if status.step:
                first()
        assert status.state == "done", status.error

    return serve, engine


def theirs(models: Path, name: str, dtype: str, size: int) -> Serve:
    """A diffusers pipeline that one request at a time may use."""
    import diffusers
    import torch

    folder = next(p for p in (models / name, models / "Stable-diffusion" / name) if p.is_dir())
    device = "cuda" if torch.cuda.is_available() else "cpu"
    pipeline = diffusers.StableDiffusionPipeline.from_pretrained(
        folder, torch_dtype=getattr(torch, dtype), safety_checker=None
    ).to(device)
    pipeline.set_progress_bar_config(disable=True)
    schedulers = {
        sampler: getattr(diffusers, kind).from_config(pipeline.scheduler.config)
        for sampler, kind in SAMPLERS.items()
    }
    lock = threading.Lock()

    def serve(user: int, asked: Asked, first: Callable[[], None]) -> None:
        def step(pipe: Any, index: int, time_: Any, values: dict[str, Any]) -> dict[str, Any]:
            first()
            return values

        with lock:
            pipeline.scheduler = schedulers[asked.sampler]
            pipeline(
                asked.prompt,
                num_inference_steps=asked.steps,
                guidance_scale=asked.scale,
                width=size,
                height=size,
                generator=torch.Generator("cpu").manual_seed(asked.seed),
                callback_on_step_end=step,
            )

    return serve


# --- Loads ------------------------------------------------------------------------------------------


def timed(serve: Serve, user: int, asked: Asked, seen: Seen, lock: threading.Lock) -> None:
    began, first = time.perf_counter(), []

    def at_first() -> None:
        if not first:
            first.append(time.perf_counter() - began)

    serve(user, asked, at_first)
    with lock:
        seen.latency_s.append(time.perf_counter() - began)
        seen.first_s += first
        seen.steps[user] = seen.steps.get(user, 0) + asked.steps


def closed_loop(serve: Serve, users: int, seconds: float, seed: int) -> Seen:
    """Every user asks until the time is over; what was begun is finished and counted, and so is its time."""
    seen, lock = Seen(), threading.Lock()
    began = time.perf_counter()

    def user(number: int) -> None:
        dice = random.Random(seed * 1000 + number)
        while time.perf_counter() - began < seconds:
            timed(serve, number, mix(dice), seen, lock)

    together(user, range(users))
    seen.wall_s = time.perf_counter() - began
    return seen


def poisson(serve: Serve, rate_s: float, seconds: float, seed: int) -> Seen:
    """Requests arrive at `rate_s` a second, whoever still waits."""
    seen, lock, dice = Seen(), threading.Lock(), random.Random(seed)
    began, threads = time.perf_counter(), []
    while time.perf_counter() - began < seconds:
        time.sleep(dice.expovariate(rate_s))
        words = (serve, len(threads), mix(dice), seen, lock)
        threads.append(threading.Thread(target=timed, args=words))
        threads[-1].start()
    for thread in threads:
        thread.join()
    seen.wall_s = time.perf_counter() - began
    return seen


def newcomer(serve: Serve, engine: Any, seed: int) -> dict[str, float]:
    """How many UNet calls of the busy engine somebody new waits for a first step."""
    stop, seen, lock = threading.Event(), Seen(), threading.Lock()

    def user(number: int) -> None:
        dice = random.Random(seed + number)
        while not stop.is_set():
            timed(serve, number, mix(dice), seen, lock)

    threads = [threading.Thread(target=user, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    time.sleep(3)
    waits, began, calls = [], time.perf_counter(), engine._runner.calls
    dice = random.Random(seed)
    for number in range(10):
        one = Seen()
        timed(serve, 100 + number, mix(dice), one, lock)
        waits += one.first_s
    call_s = (time.perf_counter() - began) / (engine._runner.calls - calls)
    stop.set()
    for thread in threads:
        thread.join()
    return {
        "call s": round(call_s, 4),
        "first step, calls p50": round(statistics.median(waits) / call_s, 2),
        "first step, calls max": round(max(waits) / call_s, 2),
    }


def together(work: Callable[[int], None], numbers: Sequence[int]) -> None:
    threads = [threading.Thread(target=work, args=(n,)) for n in numbers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def sd15_models(folder: Path) -> Path:
    """A models folder with networks of Stable Diffusion 1.5's shapes and random weights, "sd15"."""
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    from webui.testing import tiny_folder, tiny_tokenizer

    path, tokens = folder / "Stable-diffusion" / "sd15", tiny_tokenizer()
    tiny_folder(path)
    UNet2DConditionModel(
        sample_size=64,
        block_out_channels=(320, 640, 1280, 1280),
        cross_attention_dim=768,
        attention_head_dim=8,
    ).save_pretrained(path / "unet")
    AutoencoderKL(
        block_out_channels=(128, 256, 512, 512),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=2,
    ).save_pretrained(path / "vae")
    text = CLIPTextConfig(
        vocab_size=49408,
        hidden_size=768,
        intermediate_size=3072,
        num_hidden_layers=12,
        num_attention_heads=12,
        bos_token_id=tokens.bos_token_id,
        eos_token_id=tokens.eos_token_id,
        pad_token_id=tokens.pad_token_id,
    )
    CLIPTextModel(text).save_pretrained(path / "text_encoder")
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--users", default="1,4,8")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16", "float16"))
    parser.add_argument("--model", default="starter")
    parser.add_argument("--size", type=int, default=128)
    options = parser.parse_args()
    models, name = ROOT / "models", options.model
    scratch = tempfile.TemporaryDirectory(prefix="easel-serving-")
    if name == "sd15":
        models = sd15_models(Path(scratch.name))

    mine, engine = ours(models, name, options.dtype, options.size)
    plain = theirs(models, name, options.dtype, options.size)
    for serve in (mine, plain):  # both warm
        closed_loop(serve, 2, 2, 0)

    report: dict[str, Any] = {"dtype": options.dtype, "size": options.size, "closed loop": {}}
    for turn, users in enumerate(map(int, options.users.split(","))):
        sides = {"ours": mine, "diffusers": plain}
        order = list(sides) if turn % 2 else list(reversed(sides))
        rows = {
            side: closed_loop(sides[side], users, options.seconds, turn).row() for side in order
        }
        ratio = rows["ours"]["pictures a minute"] / rows["diffusers"]["pictures a minute"]
        rows["throughput ratio"] = round(ratio, 2)
        report["closed loop"][users] = rows
        print(users, "users:", json.dumps(rows), flush=True)

    def tell(what: str, found: Any) -> None:
        report[what] = found
        print(f"{what}: {json.dumps(found)}", flush=True)

    alone = next(iter(report["closed loop"].values()))["diffusers"]["pictures a minute"] / 60
    for side, serve in (("ours", mine), ("diffusers", plain)):
        row = poisson(serve, 0.7 * alone, options.seconds, 7).row()
        tell(f"poisson, 70 % of diffusers alone, {side}", row)
    tell("newcomer", newcomer(mine, engine, 11))
    engine.stop()
    scratch.cleanup()
    print(json.dumps(report))


if __name__ == "__main__":
    main()
