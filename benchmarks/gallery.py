"""The gallery with many pictures: how long searches take, the first screen, and taking up files that others added.

    python benchmarks/gallery.py [--pictures 100000] [--rounds 30] [--folder DIR]

Real files are written first: small PNGs with an infotext each, prompts drawn by Zipf's law from 20,000 words (as words
of real prompts are distributed: a few in half of them, most in hardly any), and 200 of 512 x 512 as the newest. With
`--folder` they are kept there, and a second run takes what the first has made. Then, each in milliseconds as the median
and the 95th percentile:

- scan: files a second that the gallery takes up, as its thread does at a first start, its pauses for others included;
  and how long a look at known files takes, thorough (every file's time) and not (every folder's).
- search: the first 60 of all that fit, with their count, in this process; the third figure is the processor's time,
  which other programs on the machine change little. Nothing is remembered from one round to the
  next (the gallery forgets counts when anything changes). The target is 50 ms.
- deep: a page from the middle of everything, by where the one before ended.
- first screen, by HTTP from `launch.py serve` in a process of its own: the list, the filters' values and 40 thumbnails
  over six connections, as a browser has. Three times: some 20 seconds after the server's first start, when it has drawn
  thumbnails ahead ("first"); without any of their thumbnails on the disk, each round anew ("cold"); with them ("warm").
  The target is 1,000 ms.
- thumbnails a second, in the threads that draw them.

The disk's cache is warm: the files have just been written. The last line is JSON.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from io import BytesIO
from os import utime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import httpx  # noqa: E402
from PIL import Image  # noqa: E402

from webui import images  # noqa: E402
from webui.settings import STORE  # noqa: E402
from webui.store.gallery import Gallery  # noqa: E402
from webui.types import Search  # noqa: E402

VOCABULARY = 20_000
LARGE = 200
DAY_PICTURES = 250  # a busy day
CONNECTIONS = 6
SCREEN = 40  # thumbnails
MODELS = ("dreamshaper_8", "realisticVision_v60", "anything-v5", "sd-v1-5", "starter")
LOGINS = ("ann", "bob", "eve")
SAMPLERS = ("DPM++ 2M", "Euler a", "DPM++ SDE", "DDIM", "UniPC")
NOW = datetime(2026, 6, 1, 12).timestamp()


def vocabulary(chance: random.Random) -> list[str]:
    """Words of two to four syllables, no two alike; the first ones are the frequent ones."""
    syllables = [a + b for a in "bcdfghjklmnprstvwz" for b in ("a", "e", "i", "o", "u", "ar", "en")]
    words: dict[str, None] = dict.fromkeys(("portrait", "detailed", "red", "forest", "light"))
    while len(words) < VOCABULARY:
        words["".join(chance.choices(syllables, k=chance.randint(2, 4)))] = None
    return list(words)


def prompts(chance: random.Random) -> Iterator[tuple[str, str]]:
    """Prompts of 8 to 40 words, negative ones of 5 to 15."""
    words = vocabulary(chance)
    weights = list(itertools.accumulate(1 / rank for rank in range(1, VOCABULARY + 1)))
    while True:
        drawn = chance.choices(words, cum_weights=weights, k=chance.randint(8, 40))
        avoided = chance.choices(words, cum_weights=weights, k=chance.randint(5, 15))
        yield ", ".join(drawn), ", ".join(avoided)


def chunk(kind: bytes, content: bytes) -> bytes:
    return (
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
    )


def png(size: int, chance: random.Random, text: str | None) -> bytes:
    """A PNG with an infotext, or None: coarse noise, enlarged, so that it is as large as a picture."""
    noise = Image.frombytes("RGB", (size // 4, size // 4), chance.randbytes(3 * (size // 4) ** 2))
    file = BytesIO()
    noise.resize((size, size), Image.Resampling.BICUBIC).save(file, "PNG", compress_level=1)
    whole = file.getvalue()
    if text is None:
        return whole
    head = 8 + 25  # the signature and IHDR
    return whole[:head] + chunk(b"tEXt", b"parameters\0" + text.encode("latin-1")) + whole[head:]


def write(outputs: Path, count: int) -> None:
    """`count` pictures in folders of days, the last of them large."""
    chance = random.Random(7)
    several = [png(16, chance, None) for _ in range(64)]
    for number, (prompt, avoided) in zip(range(count), prompts(chance), strict=False):
        made = NOW - (count - number) * 60
        folder = outputs / f"day-{number // DAY_PICTURES:05d}"
        if number % DAY_PICTURES == 0:
            folder.mkdir(parents=True, exist_ok=True)
        text = (
            f"{prompt}\nNegative prompt: {avoided}\nSteps: 20, Sampler: {chance.choice(SAMPLERS)}, "
            f"CFG scale: 7, Seed: {number}, Size: 512x512, Model: {chance.choice(MODELS)}"
        )
        if number >= count - LARGE:
            content = png(512, chance, text)
        else:
            small = several[number % len(several)]
            content = small[:33] + chunk(b"tEXt", b"parameters\0" + text.encode()) + small[33:]
        path = folder / f"{number:06d}.png"
        path.write_bytes(content)
        utime(path, (made, made))


def times(rounds: int, work: Callable[[], Any]) -> dict[str, float]:
    """Median and 95th percentile of what `work` takes, and the median of this thread's share of the processor, in
    milliseconds."""
    found, worked = [], []
    for _ in range(rounds):
        began, processor = time.perf_counter(), time.thread_time()
        work()
        worked.append((time.thread_time() - processor) * 1000)
        found.append((time.perf_counter() - began) * 1000)
    found.sort()
    worked.sort()
    return {
        "p50": round(found[len(found) // 2], 1),
        "p95": round(found[int(len(found) * 0.95)], 1),
        "processor": round(worked[len(worked) // 2], 1),
    }


def seconds(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def searches(gallery: Gallery, rounds: int) -> dict[str, Any]:
    """The figures of every kind of search."""
    first = gallery.search(Search(limit=1)).pictures[0]
    model = {"model": MODELS[0]}
    day = gallery.facets()["day"][len(gallery.facets()["day"]) // 2][0]
    rare = next(
        word
        for word in first.prompt.replace(",", "").split()[::-1]
        if gallery.search(Search(words=word)).total < 200
    )
    some = gallery.search(Search(limit=40)).pictures
    gallery.favour([one.id for one in some], True)
    thrown = gallery.trash([one.id for one in gallery.search(Search(limit=200)).pictures[100:]])
    asked = {
        "everything": Search(),
        "a rare word": Search(words=rare),
        "a common word": Search(words="portrait"),
        "a common word's beginning": Search(words="po"),
        "one letter": Search(words="p"),
        "two common words": Search(words="portrait forest"),
        "two words and a model": Search(words="red forest", **model),
        "a common word and a model": Search(words="portrait", **model),
        "a common word and all filters": Search(
            words="portrait", sampler=SAMPLERS[1], task="txt2img", **model
        ),
        "a word that is nowhere": Search(words="xylophonist"),
        "a sign in all prompts": Search(words=","),
        "a sign that is nowhere": Search(words="(("),
        "a model": Search(**model),
        "a model, a sampler, a task": Search(sampler=SAMPLERS[1], task="txt2img", **model),
        "a task of all": Search(task="txt2img"),
        "a day": Search(from_day=day, to_day=day),
        "a common word since a day": Search(words="portrait", from_day=day),
        "favourites": Search(favourites=True),
        "favourites and a word": Search(favourites=True, words="portrait"),
        "the trash": Search(trash=True),
        "the trash and a word": Search(trash=True, words="portrait"),
    }

    def forget() -> None:
        gallery._index.changed()

    def once(search: Search) -> None:
        forget()
        gallery.search(search)

    told: dict[str, Any] = {}
    for name, search in asked.items():
        told[name] = {
            **times(rounds, lambda s=search: once(s)),
            "found": gallery.search(search).total,
        }  # type: ignore[misc]
        print(
            f"  {name:32} {told[name]['p50']:7} ms {told[name]['p95']:7} ms {told[name]['processor']:7} ms"
            f"  {told[name]['found']} found"
        )
    owned = Search(words="portrait", **model)
    for who, login in (("nobody's, as the first login sees it", "ann"), ("somebody's", "bob")):
        told[who] = times(rounds, lambda login=login: (forget(), gallery.search(owned, login)))
    halfway = "SELECT place FROM pictures WHERE state = 0 ORDER BY place LIMIT 1 OFFSET ?"
    middle = gallery._index.rows(halfway, told["everything"]["found"] // 2)[0]["place"]
    behind = Search(after=str(middle))
    told["deep"] = times(rounds, lambda: once(behind))
    told["slowest"] = max(figures["p95"] for figures in told.values())
    told["filters' values"] = times(rounds, lambda: (forget(), gallery.facets()))
    gallery.restore(thrown)
    return told


def screens(folder: Path, outputs: Path, rounds: int) -> dict[str, Any]:
    """The first screen of a real server."""
    command = [
        sys.executable,
        str(ROOT / "launch.py"),
        "--skip-install",
        "--port",
        "0",
        "--no-browser",
    ]
    command += ["--data-dir", str(folder), "--outputs-dir", str(outputs)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        assert server.stdout is not None
        line = next(line for line in server.stdout if line.startswith("Easel is at "))
        url = line.split()[-1]
        with (
            httpx.Client(
                base_url=url, timeout=60, limits=httpx.Limits(max_connections=CONNECTIONS)
            ) as client,
            ThreadPoolExecutor(CONNECTIONS) as threads,
        ):
            shown: set[str] = set()  # stamps

            def screen() -> None:
                facets = threads.submit(client.get, "api/pictures/facets")
                listed = client.get("api/pictures?limit=60").raise_for_status().json()
                urls = [one["thumbnail"] for one in listed["pictures"][:SCREEN]]
                for answer in threads.map(client.get, urls):
                    answer.raise_for_status()
                facets.result().raise_for_status()
                shown.update(url.rpartition("=")[2] for url in urls)

            starting = times(3, lambda: client.get("api/pictures?limit=60").raise_for_status())
            while 'device="' not in (numbers := client.get("metrics").text) or "waiting" in numbers:
                time.sleep(0.5)
            time.sleep(20)  # torch is loaded, the files have been looked at
            first = seconds(screen) * 1000

            def cold() -> float:
                for stamp in shown:
                    (folder / STORE / "thumbnails" / stamp[:2] / f"{stamp}.webp").unlink()
                return seconds(screen) * 1000

            colds = sorted(cold() for _ in range(max(5, rounds // 3)))
            warm = times(rounds, screen)
            listed = times(rounds, lambda: client.get("api/pictures?limit=60").raise_for_status())
            found = times(
                rounds, lambda: client.get("api/pictures?words=portrait").raise_for_status()
            )
    finally:
        server.terminate()
        server.wait()
    return {
        "list, while the server starts": starting,
        "first screen": round(first, 1),
        "first screen, cold": {
            "p50": round(colds[len(colds) // 2], 1),
            "slowest": round(colds[-1], 1),
        },
        "first screen, warm": warm,
        "list": listed,
        "list of a common word": found,
    }


def main(argv: Sequence[str]) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pictures", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.folder or Path(temporary)).absolute()
        outputs = folder / "outputs"
        if not outputs.exists():
            print(f"writing {options.pictures} files")
            write(outputs, options.pictures)
        told: dict[str, Any] = {"pictures": options.pictures}
        opening = time.perf_counter()
        gallery = Gallery(folder / STORE, outputs, images.thumbnail, logins=LOGINS)
        told["opening, ms"] = round((time.perf_counter() - opening) * 1000, 1)
        try:
            if gallery.search(Search(limit=1)).total < options.pictures:
                took = seconds(gallery.scan)
                told["scan, files a second"] = round(options.pictures / took)
                print(f"taken up in {took:.1f} s")
            told["thorough look, ms"] = round(seconds(gallery.scan) * 1000)
            told["look, ms"] = times(5, lambda: gallery._scanner.look())
            told["index, MB"] = round(
                sum(f.stat().st_size for f in (folder / STORE).glob("gallery.db*")) / 1e6
            )
            told["search"] = searches(gallery, options.rounds)
            large = gallery.search(Search(limit=LARGE)).pictures[SCREEN:]
            with ThreadPoolExecutor(8) as threads:
                took = seconds(
                    lambda: list(threads.map(gallery.thumbnail, [one.id for one in large]))
                )
            told["thumbnails a second"] = round(len(large) / took, 1)
        finally:
            gallery.close()
        told["http"] = screens(folder, outputs, options.rounds)
    worst = told["search"]["slowest"]
    print(
        f"slowest search, 95th percentile: {worst} ms; first screen, cold: {told['http']['first screen, cold']}"
    )
    print(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1:])
