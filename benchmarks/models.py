"""How long a full-size single-file checkpoint takes to load, how much memory, and what is left after many switches.

Measured for Stable Diffusion 1.5 and XL of random weights (fp16, the original layout): our loader and diffusers'
`from_single_file` with `torch_dtype` the same, each load in a process of its own, in both orders, after the file has
been read once so that both find it in the system's cache. Libraries are imported before. All networks have the same
dtype on both sides (the engine itself keeps the VAE in fp32 on a CPU, 0.17 GB more with an fp16 file). "seconds" are
those of the load alone, "ready" those until every weight has been read once: diffusers leaves weights of the right
dtype in the mapped file, to be read when they are first used (and to break with it), while we copy them and look for
NaN. "cpu" are the processor's seconds until then, which other programs change less. Memory is how much the process's
peak (`ru_maxrss`) grew until then, which counts pages of a mapped file too.
"ours, first time" also hashes the file and fits the preview colours, as the first load of a new file does.

`switches`: fifty switches between two full-size Stable Diffusion 1.5 checkpoints (fp16 files and networks), with room
for one, and the process's memory after the tenth and after the last, as it is and after glibc's `malloc_trim`, which
gives back to the system what was freed. Then with room for both: a switch to one that is in memory. The last line is
one JSON document.

    python benchmarks/models.py [--dtype float16] [--folder DIR] [--repeats 2] [--only sd1|sdxl|switches]

SDXL takes 7 GB of disk and at most 15 GB of memory (half of it the system's cache of the file), switches 5 and 5 GB.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import gc
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

WAYS = ("ours", "ours, first time", "diffusers")
SWITCHES, WARM = 50, 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dtype", default="float16", choices=["float16", "bfloat16", "float32"])
    parser.add_argument("--folder", help="where the checkpoints are put meanwhile (up to 7 GB)")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--only", choices=["sd1", "sdxl", "switches"])
    parser.add_argument("--load", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--write", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--switch", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.write:
        write(args.write[0], Path(args.write[1]), int(args.write[2]))
    elif args.load:
        print(json.dumps(load(args.load[0], args.load[1], Path(args.load[2]), args.dtype)))
    elif args.switch:
        print(json.dumps(switch(Path(args.switch))))
    else:
        print(json.dumps(measure(args)))


def measure(args: Any) -> dict[str, Any]:
    import torch

    found: dict[str, Any] = {"dtype": args.dtype, "threads": torch.get_num_threads()}
    for name in ("sd1", "sdxl"):
        if args.only in (None, name):
            with tempfile.TemporaryDirectory(dir=args.folder) as folder:
                child("--write", name, folder, "0")
                found[name] = loads(name, folder, args)
                print(name, found[name], flush=True)
    if args.only in (None, "switches"):
        with tempfile.TemporaryDirectory(dir=args.folder) as folder:
            for seed in ("0", "1"):
                child("--write", "sd1", str(Path(folder) / seed), seed)
            found["switches"] = child("--switch", folder)
            print("switches", found["switches"], flush=True)
    return found


def loads(name: str, folder: str, args: Any) -> dict[str, Any]:
    """Medians of every way, in both orders, `repeats` times each."""
    runs: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    for repeat in range(args.repeats):
        for way in WAYS if repeat % 2 == 0 else WAYS[::-1]:
            with (Path(folder) / "model.safetensors").open("rb") as file:
                while file.read(1 << 24):
                    pass
            runs[way].append(child("--dtype", args.dtype, "--load", way, name, folder))
            print(name, way, runs[way][-1], flush=True)
    size = (Path(folder) / "model.safetensors").stat().st_size
    medians = {
        way: {key: round(statistics.median(run[key] for run in some), 2) for key in some[0]}
        for way, some in runs.items()
    }
    return {"file_gb": round(size / 1e9, 2), **medians}


def child(*arguments: str) -> Any:
    """What this script says when it is called with `arguments` in a process of its own."""
    command = [sys.executable, __file__, *arguments]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return json.loads(said.splitlines()[-1]) if said.strip() else None


# --- In processes of their own --------------------------------------------------------------------


def write(name: str, folder: Path, seed: int) -> None:
    """A checkpoint of random weights, and beside it the configs that diffusers would fetch."""
    import torch
    from full_size import networks, save

    from webui.engine.text.tokenizer import clip_tokenizer
    from webui.testing.families import ldm_weights

    made = networks(name, torch.float16, seed=seed)
    folder.mkdir(exist_ok=True)
    save(ldm_weights(made), folder / "model.safetensors")
    from diffusers import (
        EulerDiscreteScheduler,
        StableDiffusionPipeline,
        StableDiffusionXLPipeline,
    )

    xl = name == "sdxl"
    more: dict[str, Any] = {"safety_checker": None, "feature_extractor": None}
    if xl:
        more = {"text_encoder_2": made["text_encoder_2"], "tokenizer_2": clip_tokenizer()}
    kind = StableDiffusionXLPipeline if xl else StableDiffusionPipeline
    scheduler = EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1
    )
    pipe = kind(
        vae=made["vae"], text_encoder=made["text_encoder"], tokenizer=clip_tokenizer(), unet=made["unet"],
        scheduler=scheduler, **more)  # fmt: skip
    configs = folder / "configs"
    pipe.save_config(configs)
    for part, component in pipe.components.items():
        if part in made:
            component.config.save_pretrained(configs / part) if part.startswith("text") else (
                component.save_config(configs / part)
            )
        elif component is not None:
            component.save_pretrained(configs / part)


def load(way: str, name: str, folder: Path, dtype: str) -> dict[str, float]:
    """Seconds and gigabytes of one load."""
    import torch
    from diffusers import (
        AutoencoderKL,
        StableDiffusionPipeline,
        StableDiffusionXLPipeline,
        UNet2DConditionModel,
    )
    from transformers import CLIPTextModel, CLIPTextModelWithProjection

    from webui.engine.loading import load as load_ours
    from webui.engine.placement import place
    from webui.engine.text.tokenizer import shipped
    from webui.types import ModelCard

    assert all((AutoencoderKL, UNet2DConditionModel, CLIPTextModel, CLIPTextModelWithProjection))
    file = folder / "model.safetensors"
    beside = folder / "model.easel.json"
    if way == "ours":  # known from an earlier load
        blank = {"matrix": [[0.0] * 3] * 4, "bias": [0.5] * 3}
        beside.write_text(json.dumps({"preview": blank}), encoding="utf-8")
    else:
        beside.unlink(missing_ok=True)
    placement = replace(place("cpu", dtype, "sdpa"), vae_dtype=getattr(torch, dtype))
    card = ModelCard(
        "model", file, kind="sdxl" if name == "sdxl" else "sd", layout="ldm", prediction="epsilon",
        sha256="0" * 64 if way == "ours" else "")  # fmt: skip
    shipped()
    before, begun, worked = peak(), time.perf_counter(), time.process_time()
    kept: Any
    if way == "diffusers":
        kind = StableDiffusionXLPipeline if name == "sdxl" else StableDiffusionPipeline
        kept = kind.from_single_file(
            str(file), config=str(folder / "configs"), torch_dtype=getattr(torch, dtype), local_files_only=True
        )  # fmt: skip
    else:
        kept = load_ours(card, placement)
    seconds = time.perf_counter() - begun
    parts = [
        getattr(kept, name, None) for name in ("unet", "vae", "text_encoder", "text_encoder_2")
    ]
    if way != "diffusers":
        parts = [kept.unet, kept.vae, *(tower.model for tower in kept.text.towers)]
    for network in parts:
        for weight in network.parameters() if network is not None else ():
            torch.aminmax(weight)
    ready = time.perf_counter() - begun
    assert kept.unet.dtype == getattr(torch, dtype)
    cpu = time.process_time() - worked
    return {"seconds": seconds, "ready": ready, "cpu": cpu, "peak_gb": (peak() - before) / 1e9}


def switch(folder: Path) -> dict[str, Any]:
    """The process's memory after the tenth and the last of fifty switches between two models, and the seconds."""
    import torch

    from webui.engine.placement import place
    from webui.engine.runner import Runner
    from webui.types import EncodeText, LoadModel, ModelCard

    blank = {"matrix": [[0.0] * 3] * 4, "bias": [0.5] * 3}
    cards = []
    for name in ("0", "1"):
        file = folder / name / "model.safetensors"
        file.with_name("model.easel.json").write_text(json.dumps({"preview": blank}), "utf-8")
        cards.append(
            ModelCard(name, file, kind="sd", layout="ldm", prediction="epsilon", sha256="0" * 64)
        )
    runner = Runner(lambda: cards, place("cpu", "float16", "sdpa"), models_bytes=0)
    used: dict[int, tuple[int, int]] = {}
    seconds = []

    def switched(turn: int) -> float:
        begun = time.perf_counter()
        model = runner.resident(call := LoadModel(cards[turn % 2].name)) or runner.load(call)
        took = time.perf_counter() - begun
        runner.run([EncodeText(model, "a cat", "")])
        return took

    with torch.inference_mode():
        for turn in range(1, SWITCHES + 1):
            seconds.append(switched(turn))
            assert list(runner.model_cache) == [cards[turn % 2].name]
            if turn in (WARM, SWITCHES):
                gc.collect()
                used[turn] = resident(), trimmed()
        one = runner.model_cache.bytes
        runner.parts.limit = 3 * one
        back = [switched(turn) for turn in range(SWITCHES + 1, SWITCHES + 5)][2:]
    gb = {f"gb_after_{turn}": [round(b / 1e9, 4) for b in both] for turn, both in used.items()}
    growth = [round(b / a - 1, 4) for a, b in zip(used[WARM], used[SWITCHES], strict=True)]
    return {
        "model_gb": round(one / 1e9, 3), "as it is, trimmed": gb, "growth": growth,
        "seconds_each": round(statistics.median(seconds), 3), "seconds_back": round(max(back), 6),
    }  # fmt: skip


def trimmed() -> int:
    """The memory in use once what was freed is given back to the system (where the C library can)."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    return resident()


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def resident() -> int:
    with open("/proc/self/statm", encoding="ascii") as told:
        return int(told.read().split()[1]) * resource.getpagesize()


if __name__ == "__main__":
    main()
