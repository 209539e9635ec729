"""What ten thousand checkpoints cost: the list by itself, then a real server with all of them in its models folder.

The files have the header of a full Stable Diffusion 1 checkpoint (1,130 tensors, 180 kB), each its own metadata, in
`--layouts` different orders of tensors as different tools write them, and no more than a hole for weights, so that what
is measured is listing. First by itself: the processor time that a file takes which nobody has read, of a layout that
others had and of one that is new, and a list with all known. Then the server, twice: with files that it never saw (how
soon the page answers, how long it and the API take while files are being read, when the last one is read), and started
again, when all are known (the same, and how large the page is).

    python benchmarks/models_listing.py [--files 10000] [--layouts 20]

The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from webui.catalog.checkpoints import REST_S, ModelList
from webui.store.models import ModelIndex

ROOT = Path(__file__).resolve().parent.parent
UNET = "model.diffusion_model."
TOLD = {  # names and shapes that say what it is
    UNET + "input_blocks.0.0.weight": (320, 4, 3, 3),
    UNET + "out.2.weight": (4, 320, 3, 3),
    UNET + "input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": (320, 768),
    "first_stage_model.decoder.conv_out.weight": (3, 128, 3, 3),
    "cond_stage_model.transformer.text_model.final_layer_norm.bias": (768,),
}
SAMPLE = 200  # files whose processor time is taken one by one
READY_S = 600.0  # the longest that a server may take to read all


def header(number: int, layout: int) -> tuple[bytes, int]:
    """A header of 1,130 tensors, and how many bytes their weights would have."""
    shapes = TOLD | {
        f"{UNET}output_blocks.{n}.1.transformer_blocks.0.ff.net.0.proj.weight": (32, 32)
        for n in range(1130 - len(TOLD))
    }
    names = list(shapes)
    random.Random(layout).shuffle(names)
    told: dict[str, Any] = {"__metadata__": {"format": "pt", "modelspec.title": f"model {number}"}}
    there = 0
    for name in names:
        size = 2 * math.prod(shapes[name])
        told[name] = {"dtype": "F16", "shape": shapes[name], "data_offsets": [there, there + size]}
        there += size
    text = json.dumps(told, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text, there


def write(top: Path, count: int, layouts: int) -> int:
    """Makes the files, in a hundred folders; gives the bytes of a header."""
    size = 0
    for number in range(count):
        begin, body = header(number, number % layouts)
        path = top / "Stable-diffusion" / f"{number % 100:02}" / f"model-{number}.safetensors"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            file.write(begin)
            file.truncate(len(begin) + body)
        size = len(begin)
    return size


# --- The list by itself ---------------------------------------------------------------------------


def timed(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return round(time.perf_counter() - begun, 4)


def processor_ms(top: Path, count: int) -> float:
    """Processor milliseconds that the list takes for each of `count` files in `top`, read for the first time."""
    listed = ModelList([top])
    begun = time.process_time()
    assert len(listed()) == count
    return round(1e3 * (time.process_time() - begun) / count, 3)


def by_itself(top: Path, files: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        few = Path(folder)
        write(few / "same", SAMPLE, 1)
        write(few / "other", SAMPLE, SAMPLE)
        found["cpu_ms_a_file"] = {
            "layout_seen_before": processor_ms(few / "same", SAMPLE),
            "layout_of_its_own": processor_ms(few / "other", SAMPLE),
        }
        index = ModelIndex(few / "index")
        begun = time.process_time()
        found["first_list_s"] = timed(ModelList([top], index))
        found["cpu_ms_a_file"]["all"] = round(1e3 * (time.process_time() - begun) / files, 3)
        found["after_a_restart_s"] = timed(ModelList([top], index))
        listed = ModelList([top], index)
        listed()
        time.sleep(REST_S)
        found["nothing_new_s"] = timed(listed)
        found["asked_again_s"] = timed(listed)
        index.close()
        new = ModelIndex(few / "new")
        found["first_list_of_a_server_s"] = timed(ModelList([top], new, patience_s=1.0))
        new.close()
    return found


# --- A server -------------------------------------------------------------------------------------


@contextmanager
def serving(data_dir: Path) -> Iterator[tuple[str, float]]:
    """A server with that data folder; its address and the seconds until it had one."""
    command = [sys.executable, str(ROOT / "launch.py"), "--skip-install", "--no-browser"]
    begun = time.perf_counter()
    process = subprocess.Popen(
        [*command, "--port", "0", "--data-dir", str(data_dir)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    said: list[str] = []
    assert process.stdout is not None and process.stderr is not None
    threading.Thread(target=said.extend, args=(process.stderr,), daemon=True).start()
    try:
        address = re.search(r"http://\S+", process.stdout.readline())
        assert address, "no page:\n" + "".join(said)
        yield address[0].rstrip("/"), time.perf_counter() - begun
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def asked(url: str, body: bytes | None = None) -> tuple[float, bytes]:
    """Seconds and content of an answer, whatever its status."""
    kind = {"Content-Type": "application/json"}
    begun = time.perf_counter()
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, kind), timeout=60) as reply:
            content = reply.read()
    except urllib.error.HTTPError as fault:
        content = fault.read()
    return time.perf_counter() - begun, content


def unread(address: str) -> int:
    """How many checkpoints the server lists and has not read."""
    counted, after = 0, ""
    while True:
        _, content = asked(f"{address}/api/models/files?kind=checkpoint&limit=500&after={after}")
        page = json.loads(content)
        counted += sum("still being read" in (one["problem"] or "") for one in page["files"])
        after = page["next"]
        if not after:
            return counted


UNKNOWN = json.dumps({"task": "txt2img", "prompt": "a cat", "model": "nowhere"}).encode()
ASKED: dict[str, tuple[str, bytes | None]] = {
    "page": ("/", None),
    "files": ("/api/models/files?kind=checkpoint", None),
    "search": ("/api/models/files?words=model-99", None),
    "version": ("/api/models/version", None),
    "job_with_a_wrong_model": ("/api/jobs", UNKNOWN),
}


def rounds(address: str, go_on: Callable[[int], bool]) -> dict[str, Any]:
    """Median and worst milliseconds of each of `ASKED`."""
    times: dict[str, list[float]] = {name: [] for name in ASKED}
    number = 0
    while go_on(number):
        for name, (path, body) in ASKED.items():
            times[name].append(asked(address + path, body)[0] * 1e3)
        number += 1
        time.sleep(0.1)
    return {
        name: {"median_ms": round(statistics.median(ms), 1), "worst_ms": round(max(ms), 1)}
        for name, ms in times.items()
        if ms
    }


def first_start(data_dir: Path) -> dict[str, Any]:
    """A server that never saw the files, until all are read."""
    with serving(data_dir) as (address, page_s):
        begun = time.perf_counter()
        first_s, _ = asked(address + "/")

        def reading(number: int) -> bool:
            assert time.perf_counter() - begun < READY_S
            return number % 10 != 0 or number == 0 or unread(address) > 0

        meanwhile = rounds(address, reading)
        all_read_s = time.perf_counter() - begun
    return {
        "address_after_s": round(page_s, 2),
        "first_page_ms": round(first_s * 1e3, 1),
        "all_read_after_s": round(all_read_s, 1),
        "meanwhile": meanwhile,
    }


def second_start(data_dir: Path, repeats: int) -> dict[str, Any]:
    """A server that knows all the files."""
    with serving(data_dir) as (address, page_s):
        first_s, content = asked(address + "/")
        return {
            "address_after_s": round(page_s, 2),
            "first_page_ms": round(first_s * 1e3, 1),
            "page_bytes": len(content),
            "names_in_the_page": content.count(b"/model-"),
            "then": rounds(address, lambda number: number < repeats),
        }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--layouts", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--only", choices=("list", "server"))
    given = parser.parse_args()
    result: dict[str, Any] = {"benchmark": "models_listing", "files": given.files}
    with tempfile.TemporaryDirectory() as folder:
        data_dir = Path(folder)
        models = data_dir / "models"
        result["header_bytes"] = write(models, given.files, given.layouts)
        result["layouts"] = given.layouts
        if given.only != "server":
            result["list"] = by_itself(models, given.files)
            print(json.dumps(result["list"], indent=1), flush=True)
        if given.only != "list":
            result["first_start"] = first_start(data_dir)
            print(json.dumps(result["first_start"], indent=1), flush=True)
            result["second_start"] = second_start(data_dir, given.repeats)
            print(json.dumps(result["second_start"], indent=1), flush=True)
    result["cores"] = os.cpu_count()
    result["load_after"] = round(os.getloadavg()[0], 2)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
