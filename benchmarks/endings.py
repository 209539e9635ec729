"""What becomes of a studio whose process is ended by an extension: how many starts until all other pictures are there.

For each way to end a process: an extension that does it, a server with four jobs waiting, started anew until the three
good ones are painted (at most five times). What is right: two starts that end, then everything goes on, with the
extension and the job named. `by hand` is a person's `kill -9`, twice, in the middle of a picture: nobody is to blame,
nothing may fail.

    python benchmarks/endings.py [--case NAME ...] [--log]

The last line is one JSON document.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.networks import tiny_folder  # noqa: E402

STARTS = 5
HEAD = """
import ctypes, os, signal, threading, time
from webui.api import *
"""
POISONED = 'if "poison" in request.prompt:'
CASES = {
    "abort in wrap_denoise": f"""
@hookimpl
def wrap_denoise(call, request):
    {POISONED} os.abort()
""",
    "abort in every wrap_denoise": """
@hookimpl
def wrap_denoise(call, request):
    os.abort()
""",
    "segfault in image_saved": """
@hookimpl
def image_saved(picture, request):
    ctypes.string_at(0)
""",
    "os._exit at import": "os._exit(3)",
    "os._exit in a thread": """
@hookimpl
def startup(places):
    threading.Thread(target=lambda: (time.sleep(0.5), os._exit(4)), daemon=True).start()
""",
    "abort at startup": """
@hookimpl
def startup(places):
    os.abort()
""",
    "SIGKILL to itself in wrap_denoise": f"""
@hookimpl
def wrap_denoise(call, request):
    {POISONED} os.kill(os.getpid(), signal.SIGKILL)
""",
    "silent exit in a native callback": f"""
@hookimpl
def wrap_denoise(call, request):
    {POISONED}
        ctypes.CFUNCTYPE(None)(lambda: ctypes.CDLL(None)._exit(9))()
""",
    "os._exit in change_request": f"""
@hookimpl
def change_request(request, places):
    {POISONED} os._exit(5)
""",
    "segfault in a post-processor": f"""
def process(picture, request, studio):
    {POISONED} ctypes.string_at(0)
@hookimpl
def register_postprocessors():
    return [PostProcessor("bad", process)]
""",
    "abort in a sampler": """
def make(x, sigmas, noise):
    os.abort()
    yield x, sigmas[0]
@hookimpl
def register_samplers():
    return [Sampler("Bad", make)]
""",
    "os._exit in a task": """
def make(request, studio):
    os._exit(7)
    yield
@hookimpl
def register_tasks():
    return [Task("bad", "Bad", make)]
""",
    "by hand": "",
}


class Server:
    def __init__(self, folder: Path) -> None:
        self.log = folder / "log.txt"
        self.begun = self.log.stat().st_size if self.log.exists() else 0
        words = [
            sys.executable,
            str(ROOT / "launch.py"),
            "--skip-install",
            "--no-browser",
            "--port",
            "0",
        ]
        words += ["--device", "cpu", "--dtype", "float32", "--data-dir", str(folder)]
        words += ["--extensions-dir", str(folder / "guests")]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                words, stdout=subprocess.PIPE, stderr=log, text=True, cwd=folder
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        self.url = line.split()[-1].rstrip("/") if line.startswith("Easel is at") else ""

    def ask(self, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        asked = urllib.request.Request(
            f"{self.url}/api/{path}", data, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(asked, timeout=20) as reply:
            return json.load(reply)

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(90)

    @property
    def alive(self) -> bool:
        return self.process.poll() is None


def jobs_of(name: str) -> list[dict[str, Any]]:
    small = {"task": "txt2img", "width": 64, "height": 64, "steps": 3, "seed": 1}
    poison: dict[str, Any] = {"prompt": "poison", **small}
    if "sampler" in name:
        poison["sampler_name"] = "Bad"
    if name.endswith("task"):
        poison["task"] = "bad"
    if name == "by hand":
        poison["steps"] = 150
        poison["width"] = poison["height"] = 512
    return [poison, *({"prompt": f"good {i}", **small} for i in range(3))]


def tried(name: str, folder: Path) -> dict[str, Any]:
    servers: list[Server] = []
    try:
        return lived(name, folder, servers)
    finally:
        for server in servers:
            if server.alive:
                server.process.kill()


def lived(name: str, folder: Path, servers: list[Server]) -> dict[str, Any]:
    tiny_folder(folder / "models" / "Stable-diffusion" / "tiny")
    (folder / "guests").mkdir()
    (folder / "guests" / "guest.py").write_text(HEAD + CASES[name] if CASES[name] else "")
    waiting = jobs_of(name)
    ends: list[int | str] = []
    known: dict[str, Any] = {}
    for start in range(STARTS):
        server = Server(folder)
        servers.append(server)
        if not server.url:
            ends.append(server.process.wait(60))
            continue
        while waiting and server.alive:
            try:
                server.ask("jobs", waiting[0])
                waiting.pop(0)
            except urllib.error.HTTPError as refused:
                raise SystemExit(refused.read().decode()) from refused
            except (urllib.error.URLError, OSError, ValueError):
                if not server.alive and "change_request" in name:
                    waiting = [*waiting[1:], waiting[0]] if start else waiting
                time.sleep(0.2)
        limit = time.monotonic() + 90
        by_hand = name == "by hand" and start < 2
        while server.alive and time.monotonic() < limit:
            with contextlib.suppress(urllib.error.URLError, OSError, ValueError):
                known = {job["prompt"]: job for job in server.ask("jobs")["jobs"]}
                if by_hand and known.get("poison", {}).get("step", 0) >= 1:
                    break
                good = [job["state"] for prompt, job in known.items() if prompt != "poison"]
                bad = known.get("poison", {"state": "none"})["state"]
                if not waiting and good == ["done"] * 3 and bad not in ("queued", "running"):
                    time.sleep(1.5)  # whoever ends the process later has had the time
                    break
            time.sleep(0.1)
        if not server.alive:
            ends.append(server.process.wait())
        elif by_hand:
            ends.append(server.end(signal.SIGKILL))
        else:
            ends.append("stayed")
            words = [sys.executable, str(ROOT / "launch.py"), "--skip-install", "ext", "list"]
            words += [
                "--json",
                "--data-dir",
                str(folder),
                "--extensions-dir",
                str(folder / "guests"),
            ]
            listed = subprocess.run(words, capture_output=True, text=True)
            extensions = json.loads(listed.stdout or "[]")
            server.end()
            guest = next((e for e in extensions if e["name"] == "guest"), {})
            return {
                "ends": ends,
                "good": sorted(j["state"] for p, j in known.items() if p != "poison"),
                "poison": [known.get("poison", {}).get(key) for key in ("state", "error")],
                "extension": [guest.get("state"), *guest.get("problems", ())],
            }
        server.process.stdout.close()
    return {"ends": ends, "good": [], "poison": None, "extension": None}


@contextlib.contextmanager
def place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="easel-endings-") as folder:
        yield Path(folder)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--case", nargs="*", choices=list(CASES), default=list(CASES))
    parser.add_argument("--log", action="store_true", help="prints each log")
    words = parser.parse_args()
    told = {}
    for name in words.case:
        with place() as folder:
            begun = time.monotonic()
            told[name] = tried(name, folder)
            told[name]["seconds"] = round(time.monotonic() - begun, 1)
            print(name, json.dumps(told[name]), flush=True)
            if words.log:
                print((folder / "log.txt").read_text())
    held = sum(
        one["good"] == ["done"] * 3 and len(one["ends"]) == 3 and one["ends"][-1] == "stayed"
        for one in told.values()
    )
    print(json.dumps({"cases": len(told), "held": held, "results": told}))
    return 0 if held == len(told) else 1


if __name__ == "__main__":
    sys.exit(main())
