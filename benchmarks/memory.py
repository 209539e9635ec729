"""Whether the server's memory stays flat: its resident size every fifty pictures, over two thousand.

Why: what is left behind by each request (a visitor's copy of the page, a remembered job, a cached text) is seen only
after many. Starts the real server on the starter model and asks for pictures of 64x64 in one step, in turns through
the Gradio API without a session, as curl would, and through `/api/jobs`; every prompt and seed is another. Linux alone.

    python benchmarks/memory.py [--jobs 2000]

The last line is JSON: megabytes by the number of pictures, and by how much of those at 300 they have grown at the end.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import httpx
from studio import served

EVERY, FROM = 50, 300
SMALL = {"width": 64, "height": 64, "steps": 1}


def resident_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return round(int(status.partition("VmRSS:")[2].split()[0]) / 1024, 1)


def by_gradio(client: httpx.Client, number: int) -> None:
    given = {"prompt": f"a red circle, {number}", "seed": number, **SMALL}
    event = client.post("gradio_api/call/v2/txt2img", json=given).raise_for_status().json()
    answer = client.get(f"gradio_api/call/v2/txt2img/{event['event_id']}")
    assert "event: complete" in answer.text, answer.text


def by_jobs(client: httpx.Client, number: int) -> None:
    given = {"task": "txt2img", "prompt": f"a blue square, {number}", "seed": number, **SMALL}
    job = client.post("api/jobs", json=given).raise_for_status().json()
    while True:
        status = client.get(f"api/jobs/{job['id']}").raise_for_status().json()
        if status["state"] in ("done", "failed", "cancelled"):
            assert status["state"] == "done", status
            return
        time.sleep(0.05)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--jobs", type=int, default=2000)
    jobs = parser.parse_args().jobs
    sizes: dict[int, float] = {}
    with tempfile.TemporaryDirectory() as folder, served(Path(folder)) as (url, pid):
        fresh = httpx.Limits(
            max_keepalive_connections=0
        )  # a slow machine's server hangs up on old ones
        with httpx.Client(base_url=url, timeout=120, limits=fresh) as client:
            for number in range(1, jobs + 1):
                (by_gradio if number % 2 else by_jobs)(client, number)
                if number % EVERY == 0:
                    sizes[number] = resident_mb(pid)
                    print(f"{number} pictures: {sizes[number]} MB", flush=True)
    start = sizes.get(FROM)
    grown = None if start is None else round(100 * (sizes[max(sizes)] / start - 1), 2)
    print(json.dumps({"benchmark": "memory", "megabytes": sizes, "grown_percent": grown}))


if __name__ == "__main__":
    main()
