"""What our loop costs, and what sharing UNet calls gains.

Measured on the starter model, ours and diffusers' pipeline on the *same module objects*:

- overhead: wall time of one picture over the summed time of its network calls (text encoder, UNet, VAE),
  which are timed by the same wrappers in both. What is left is the loop, the sampler, guidance, conversion.
- concurrency: eight different requests one after another, and the same eight at once through our engine.

Runs of the two are interleaved (A B A B), medians are reported, everything is a ratio within one run. PNG
encoding is in neither. The last line is one JSON document.

    python benchmarks/engine.py [--dtype float32] [--steps 20] [--repeats 5] [--threads 2]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

PROMPTS = ("red apple", "cat", "octopus", "rocket", "tree", "fish", "car", "penguin")
CFG = 4.0


class Clock:
    """Sums the time spent in the network calls that it wraps."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def wrap(self, owner: Any, name: str) -> None:
        inner = getattr(owner, name)

        def timed(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            try:
                return inner(*args, **kwargs)
            finally:
                self.seconds += time.perf_counter() - start

        setattr(owner, name, timed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=0)
    args = parser.parse_args()

    import torch

    if args.threads:
        torch.set_num_threads(args.threads)
    engine, networks = started(args.dtype)
    dtype = getattr(torch, args.dtype)
    networks.vae.to(dtype)  # diffusers' pipeline wants one dtype; so both get it
    clock = Clock()
    clock.wrap(networks.unet, "forward")
    clock.wrap(networks.vae, "decode")
    clock.wrap(networks.text.model, "forward")
    pipeline = diffusers_pipeline(networks)

    def ours(count: int, at_once: bool) -> None:
        jobs = []
        for i in range(count):
            jobs.append(engine.submit(request(i, args.steps, time.perf_counter_ns())))
            if not at_once:
                end(engine, jobs[-1])
        for job in jobs:
            end(engine, job)

    def theirs(count: int) -> None:
        for i in range(count):
            pipeline(
                scene(i),
                width=128,
                height=128,
                num_inference_steps=args.steps,
                guidance_scale=CFG,
                generator=torch.Generator().manual_seed(i),
            )

    runs: dict[str, Callable[[], None]] = {
        "ours, 1": lambda: ours(1, True),
        "diffusers, 1": lambda: theirs(1),
        "ours, 8 one after another": lambda: ours(8, False),
        "diffusers, 8 one after another": lambda: theirs(8),
        "ours, 8 at once": lambda: ours(8, True),
    }
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    overhead: dict[str, list[float]] = {name: [] for name in runs}
    for repeat in range(args.repeats + 1):
        for name, run in runs.items():
            clock.seconds = 0.0
            start = time.perf_counter()
            run()
            wall = time.perf_counter() - start
            if repeat:  # the first is to warm up
                seconds[name].append(wall)
                overhead[name].append(wall / clock.seconds - 1)
    engine.stop()

    took = {name: statistics.median(values) for name, values in seconds.items()}
    print(
        json.dumps(
            {
                "benchmark": "engine",
                "torch": torch.__version__,
                "threads": torch.get_num_threads(),
                "dtype": args.dtype,
                "steps": args.steps,
                "repeats": args.repeats,
                "seconds": {name: round(value, 4) for name, value in took.items()},
                "overhead_over_networks": {
                    name: round(statistics.median(values), 4) for name, values in overhead.items()
                },
                "ours_over_diffusers_1": round(took["ours, 1"] / took["diffusers, 1"], 3),
                "ours_over_diffusers_8": round(
                    took["ours, 8 at once"] / took["diffusers, 8 one after another"], 3
                ),
                "at_once_over_one_after_another": round(
                    took["ours, 8 at once"] / took["ours, 8 one after another"], 3
                ),
            }
        )
    )


def scene(i: int) -> str:
    return f"{PROMPTS[i % len(PROMPTS)]} on a blue background"


def request(i: int, steps: int, unique: int) -> Any:
    """A prompt that was never encoded before, so that no cached text flatters us."""
    from webui.types import GenerationRequest

    return GenerationRequest(
        task="txt2img",
        model="starter",
        sampler_name="Euler",
        seed=i,
        steps=steps,
        cfg_scale=CFG,
        width=128,
        height=128,
        prompt=f"{scene(i)} {unique % 1000}",
    )


def started(dtype: str) -> tuple[Any, Any]:
    """Our engine with the starter model loaded, and the networks that it uses."""
    from webui.catalog.checkpoints import list_models
    from webui.engine.engine import Engine, EngineOptions
    from webui.engine.samplers import SAMPLERS
    from webui.engine.schedules import SCHEDULES
    from webui.engine.tasks import TASKS
    from webui.types import Finished, LoadModel, Parts, SavedPicture

    def keep(finished: Finished) -> SavedPicture:
        return SavedPicture(Path(), finished.seed, *finished.picture.size, "")

    engine = Engine(
        lambda: list_models([ROOT / "models"]),
        Parts(TASKS, SAMPLERS, SCHEDULES),
        keep,
        EngineOptions(dtype=dtype),
    )
    engine.start()
    end(engine, engine.submit(request(0, 1, 0)))
    runner: Any = engine._runner
    return engine, runner.networks(runner.resident(LoadModel("starter")))


def diffusers_pipeline(networks: Any) -> Any:
    from diffusers import EulerDiscreteScheduler, StableDiffusionPipeline
    from transformers import CLIPTokenizer

    folder = ROOT / "models" / "starter"
    pipeline = StableDiffusionPipeline(
        vae=networks.vae,
        text_encoder=networks.text.model,
        tokenizer=CLIPTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True),
        unet=networks.unet,
        scheduler=EulerDiscreteScheduler.from_pretrained(
            folder / "scheduler", timestep_spacing="linspace"
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def end(engine: Any, job: str) -> None:
    status = engine.status(job)
    while not status.ended:
        status = engine.wait(job, status.version, 10)
    if status.state != "done":
        raise SystemExit(f"a request ended as {status.state}: {status.error}")


if __name__ == "__main__":
    main()
