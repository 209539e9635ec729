"""How long the list of models takes with ten thousand checkpoints in the folder: what the page waits for.

The files have the header of a full Stable Diffusion 1 checkpoint (1,130 tensors, about 130 kB) and no more than a hole
for weights, so that what is measured is listing. Measured are the first list ever (everything is read), a server's
first list (it reads for at most a second, a thread does the rest), a list after a restart (the index knows all), a list
with nothing new, and the same list asked again at once, as the page does.

    python benchmarks/models_listing.py [--files 10000]

The last line is JSON: seconds.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from webui.engine import checkpoints
from webui.engine.checkpoints import ModelList
from webui.store.models import ModelIndex

FIRST = "model.diffusion_model."
TOLD = {  # names and shapes that say what it is
    FIRST + "input_blocks.0.0.weight": (320, 4, 3, 3),
    FIRST + "out.2.weight": (4, 320, 3, 3),
    FIRST + "input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": (320, 768),
    "first_stage_model.decoder.conv_out.weight": (3, 128, 3, 3),
    "cond_stage_model.transformer.text_model.final_layer_norm.bias": (768,),
}


def header() -> tuple[bytes, int]:
    """A header of 1,130 tensors, and how many bytes their weights would have."""
    shapes = TOLD | {
        f"{FIRST}output_blocks.{n}.1.transformer_blocks.0.ff.net.0.proj.weight": (64, 64)
        for n in range(1130 - len(TOLD))
    }
    told, there = {}, 0
    for name, shape in shapes.items():
        size = 2 * math.prod(shape)
        told[name] = {"dtype": "F16", "shape": shape, "data_offsets": [there, there + size]}
        there += size
    text = json.dumps(told).encode()
    return len(text).to_bytes(8, "little") + text, there


def timed(what: str, work: Callable[[], object], seconds: dict[str, float]) -> None:
    begun = time.perf_counter()
    work()
    seconds[what] = round(time.perf_counter() - begun, 4)
    print(f"{what:40} {seconds[what]:8.3f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--files", type=int, default=10_000)
    files: int = parser.parse_args().files
    begin, body = header()
    seconds: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        top = Path(folder)
        for number in range(files):
            path = top / "Stable-diffusion" / f"{number % 100:02}" / f"model-{number}.safetensors"
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                file.write(begin)
                file.truncate(len(begin) + body)
        index = ModelIndex(top / "index")
        timed("first list ever", ModelList([top], index), seconds)
        timed("list after a restart", ModelList([top], index), seconds)
        listed = ModelList([top], index)
        listed()
        time.sleep(checkpoints.REST_S)
        timed("list with nothing new", listed, seconds)
        timed("the same again at once", listed, seconds)
        index.close()
        new = ModelIndex(top / "new")
        timed("a server's first list", ModelList([top], new, patience_s=1.0), seconds)
        new.close()
    print(json.dumps({"files": files, "seconds": seconds}))


if __name__ == "__main__":
    main()
