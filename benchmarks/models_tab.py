"""How long the Models tab's API takes with ten thousand files in the models folders.

The page asks for 60 files at a time and every few seconds whether anything changed; both must stay far below what
somebody notices, while a look at the folders takes longer than that. Measured through the real routes, in process.

    python benchmarks/models_tab.py --files 10000
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.testclient import TestClient
from starlette.types import Receive, Scope, Send

from webui.catalog.checkpoints import ModelList
from webui.catalog.library import Library
from webui.http.models import model_routes
from webui.http.rights import Rights
from webui.settings import Settings
from webui.store.models import ModelIndex
from webui.types import Visitor

HEADER = json.dumps(
    {
        "lora_unet_a_attn2_to_k.lora_down.weight": {
            "dtype": "F16",
            "shape": [4, 768],
            "data_offsets": [0, 6144],
        }
    }
).encode()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=30)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measured(Path(folder), asked.files, asked.repeats)))


def measured(folder: Path, files: int, repeats: int) -> dict[str, Any]:
    models, index = folder / "models", ModelIndex(folder / "state")
    for number in range(files):
        path = models / "Lora" / f"folder{number % 50}" / f"style {number}.safetensors"
        path.parent.mkdir(parents=True, exist_ok=True)
        body = number.to_bytes(4, "little") + bytes(6140)
        path.write_bytes(len(HEADER).to_bytes(8, "little") + HEADER + body)
    library = Library((models,), ModelList((models,), index), index)
    client = TestClient(
        app(model_routes(library, lambda path, stamp: path, Rights(Settings(), ())))
    )
    begun = time.perf_counter()
    first = client.get("/api/models/files").json()
    first_s = time.perf_counter() - begun
    while any(not one.fingerprint for one in library.files()):
        time.sleep(0.1)
    all_read_s = time.perf_counter() - begun
    begun = time.perf_counter()
    library.rescan()
    rescan_s = time.perf_counter() - begun
    result: dict[str, Any] = {
        "files": first["total"],
        "first_s": first_s,
        "all_headers_read_s": all_read_s,
    }
    result["rescan_s"] = rescan_s
    for name, path in {
        "page_ms": "/api/models/files",
        "search_ms": "/api/models/files?words=style+99",
        "newest_ms": "/api/models/files?sort=newest&after=9000",
        "version_ms": "/api/models/version",
    }.items():
        times = []
        for _ in range(repeats):
            begun = time.perf_counter()
            client.get(path)
            times.append((time.perf_counter() - begun) * 1000)
            time.sleep(0.05)
        result[name] = {"median": round(statistics.median(times), 1), "worst": round(max(times), 1)}
    index.close()
    return {
        key: round(value, 2) if isinstance(value, float) else value for key, value in result.items()
    }


def app(routes: APIRouter) -> Any:
    inner = FastAPI()
    inner.include_router(routes)

    async def asked(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope = {**scope, "state": {"visitor": Visitor("me")}}
        await inner(scope, receive, send)

    return asked


if __name__ == "__main__":
    main()
