"""Whether a picture of a full-size model is diffusers', family by family, with the same random weights.

Each family runs in a process of its own: diffusers' pipeline first, then (its networks gone) ours, loaded from a
single file of the original layout. What is compared is the final latent, computed in fp32 on the CPU: the largest
difference as a part of the largest value. Large weights are stored in bfloat16 and widened layer by layer while they
are used, on both sides, so that the largest model takes 8 GB. The last line is one JSON document.

    python benchmarks/parity.py [--size 128 192] [--folder DIR] [NAME ...]
"""

from __future__ import annotations

import argparse
import gc
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

NAMES = ("sd1", "sd1-inpainting", "sd2-v", "sdxl", "sdxl-refiner")
STEPS = 4
LARGE = 1 << 20  # weights with more numbers are stored narrow


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}")
    parser.add_argument("--size", nargs=2, type=int, default=(64, 96), metavar=("W", "H"))
    parser.add_argument("--folder", help="where the checkpoint is put meanwhile (up to 7 GB)")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(compare(args.one, tuple(args.size), Path(args.folder))))
        return
    found = {}
    for name in args.names or NAMES:
        with tempfile.TemporaryDirectory(dir=args.folder) as folder:
            command = [sys.executable, __file__, "--one", name, "--folder", folder]
            command += ["--size", *map(str, args.size)]
            said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        found[name] = json.loads(said.splitlines()[-1])
        print(name, found[name], flush=True)
    print(json.dumps({"size": list(args.size), "steps": STEPS, "families": found}))


def compare(name: str, size: tuple[int, int], folder: Path) -> dict[str, Any]:
    """The largest difference of one family, with the seconds and the memory that finding out took."""
    import torch
    from full_size import networks, save

    from tests.engine import families
    from tests.engine.families import CASES, Recording, difference, ours, pipeline, theirs
    from webui.engine.loading import opened
    from webui.engine.placement import place
    from webui.testing.families import ldm_weights
    from webui.types import ModelCard

    families.STEPS = STEPS
    begun, case = time.monotonic(), CASES[name]
    file = folder / "model.safetensors"
    made = networks(case.family, torch.bfloat16, case.inpainting)
    save(ldm_weights(made), file)
    for network in made.values():
        widen(network)
    expected = theirs(pipeline(case, made), case, size).float()
    made.clear()
    gc.collect()

    kind = "sd" if case.family in ("sd1", "sd2") else case.family
    card = ModelCard(
        "model", file, kind=kind, layout="ldm", prediction=case.prediction, inpainting=case.inpainting,
        sha256="0" * 64)  # fmt: skip
    place_ = place("cpu", "float32", "sdpa")
    fresh = opened(card, place_)
    fresh.dtypes = dict.fromkeys(fresh.networks, torch.bfloat16)
    loaded = fresh.read()
    for network in fresh.networks.values():
        widen(network)
    runner = Recording(lambda: [card], place_)
    runner.model_cache.add("model", loaded)
    latent = ours(runner, "model", case, size)
    return {
        "largest_difference": difference(latent, expected),
        "largest_value": float(expected.abs().max()),
        "seconds": round(time.monotonic() - begun),
        "peak_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9, 1),
    }


def widen(network: Any) -> None:
    """Makes a network compute in fp32: small weights are fp32 from now on, large ones for each call of their layer."""
    import torch

    for layer in network.modules():
        embedding = isinstance(layer, torch.nn.Embedding)
        for name, value in list(layer.named_parameters(recurse=False)):
            if value.numel() <= LARGE or embedding:
                setattr(layer, name, torch.nn.Parameter(value.float(), requires_grad=False))
            else:
                layer.register_forward_pre_hook(
                    lambda layer, _, name=name: _swap(layer, name, torch.float32)
                )
                layer.register_forward_hook(
                    lambda layer, _, __, name=name: _swap(layer, name, None)
                )


def _swap(layer: Any, name: str, dtype: Any) -> None:
    """Puts a wider copy in the place of a weight, and the weight back where `dtype` is None."""
    parameter = getattr(layer, name)
    if dtype is None:
        parameter.data = layer.__dict__.pop("_narrow")
    else:
        layer.__dict__["_narrow"] = parameter.data
        parameter.data = parameter.data.to(dtype)


if __name__ == "__main__":
    main()
