"""Easel's one command: prepares the environment, then hands over to `webui.app`.

    python launch.py                       the page (the same as `serve`)
    python launch.py generate "PROMPT"     one request from the command line
    python launch.py ext list              the extensions: state, hooks, times, problems
    python launch.py doctor                what this machine has and what Easel will use
    python launch.py train                 trains the starter model
    python launch.py test                  the tests, with pytest's own arguments

Rule 1: standard library only; this file runs on a bare Python and never touches the system outside
this folder. Rule 2: it knows nothing of requests or pictures. Rule 3: it installs wheels only, and
nothing at all when a stamp in `.venv` says that everything is there.
"""

import sys

if sys.version_info < (3, 10):  # noqa: UP036 (older Pythons parse this file, and get this sentence)
    sys.exit(f"Easel needs Python 3.10 to 3.13; this is Python {sys.version.split()[0]}.")

import argparse
import atexit
import contextlib
import hashlib
import importlib.metadata
import json
import os
import platform
import re
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
STAMP = VENV / "easel-stamp.json"
INSTALL_LOG = VENV / "easel-install.log"
PYTHONS = ((3, 10), (3, 13))  # what the tests run on
PYTORCH_CPU = "https://download.pytorch.org/whl/cpu"  # PyTorch's own index; a few seconds decide
PYTORCH_CUDA = "https://download.pytorch.org/whl/cu130"
REACH_S = 4.0


class SetupError(Exception):
    """The environment cannot be made; the message is one sentence that says what to do."""


@dataclass(frozen=True)
class Options:
    """What launch.py itself reads from the command line; `rest` goes on to the command."""

    torch: str | None
    skip_install: bool
    offline: bool
    data_dir: Path
    rest: tuple[str, ...]

    @property
    def tests(self) -> bool:
        return self.rest[:1] == ("test",)


def read_options(argv: Sequence[str]) -> Options:
    """The options of launch.py out of `argv`. --torch and --skip-install are taken out of `rest`."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--torch", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--skip-install", action="store_true")
    own, rest = parser.parse_known_args(argv)
    shared = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    shared.add_argument("--offline", action="store_true")
    shared.add_argument("--data-dir", type=Path, default=ROOT)
    seen, _ = shared.parse_known_args(rest)
    return Options(own.torch, own.skip_install, seen.offline, seen.data_dir, tuple(rest))


def environment(data_dir: Path) -> dict[str, str]:
    """Variables that keep every library quiet on the network. What the user has set stays."""
    return {
        "GRADIO_ANALYTICS_ENABLED": "False",
        "GRADIO_ANALYTICS_CACHE_FREQUENCY": "1000000000",  # else a table is rebuilt at every event
        "GRADIO_TEMP_DIR": str(data_dir.absolute() / ".cache" / "gradio"),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "DIFFUSERS_DISABLE_REMOTE_CODE": "1",
        "DISABLE_TELEMETRY": "1",
        "DO_NOT_TRACK": "1",
        "PYTHONUNBUFFERED": "1",
    }


# --- What is there already ------------------------------------------------------------------------


def release(version: str) -> tuple[int, ...]:
    """The numbers of a version, without trailing zeros: "2.13.0+cpu" is (2, 13)."""
    match = re.match(r"\d+(\.\d+)*", version)
    numbers = [int(n) for n in match[0].split(".")] if match else []
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def meets(version: str, specifier: str) -> bool:
    """Whether `version` is within a requirement's ">=1,<2". Only the forms that our files use."""
    have = release(version)
    for part in filter(None, (p.strip() for p in specifier.split(","))):
        match = re.fullmatch(r"(==|!=|>=|<=|>|<)\s*([\w.]+)", part)
        if match is None:
            return False
        want = release(match[2])
        fits = {
            "==": have == want,
            "!=": have != want,
            ">=": have >= want,
            "<=": have <= want,
            ">": have > want,
            "<": have < want,
        }
        if not fits[match[1]]:
            return False
    return True


def requirements(path: Path) -> list[tuple[str, str]]:
    """(name, specifier) of every line of a requirements file, `-r` lines followed."""
    found: list[tuple[str, str]] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        text = line.split("#")[0].strip()
        if text.startswith("-r"):
            found += requirements(path.parent / text[2:].strip())
        elif text:
            name = re.split(r"[^\w.-]", text, maxsplit=1)[0]
            found.append((name, text[len(name) :].strip()))
    return found


def missing(files: Sequence[Path]) -> list[str]:
    """The requirements that the running Python does not satisfy, each as it is written."""
    lacking = []
    for name, specifier in dict.fromkeys(item for file in files for item in requirements(file)):
        try:
            fits = meets(importlib.metadata.version(name), specifier)
        except importlib.metadata.PackageNotFoundError:
            fits = False
        if not fits:
            lacking.append(name + specifier)
    return lacking


def venv_python() -> Path:
    return VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def venv_version() -> str:
    """The Python of `.venv` as "3.11", "" when there is none that could run."""
    config = VENV / "pyvenv.cfg"
    if not venv_python().exists() or not config.exists():
        return ""
    match = re.search(
        r"^version\s*=\s*(\d+\.\d+)", config.read_text(encoding="utf-8"), re.MULTILINE
    )
    return match[1] if match else ""


def read_stamp() -> dict[str, str]:
    """What the last complete installation wrote: file name -> hash, "python", "torch"."""
    try:
        stamp = json.loads(STAMP.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def fingerprint(files: Sequence[Path]) -> dict[str, str]:
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


# --- What fits this machine -----------------------------------------------------------------------


def has_nvidia_gpu() -> bool:
    """Whether a driver for an NVIDIA GPU is there. Asks no library and starts no process."""
    if os.name == "nt":
        return (Path(os.environ.get("SystemRoot", r"C:\Windows")) / "System32/nvcuda.dll").exists()
    under_wsl = Path("/dev/dxg").exists() and shutil.which("nvidia-smi") is not None
    return Path("/dev/nvidiactl").exists() or under_wsl


def torch_build(wanted: str | None) -> str:
    """ "cpu" or "cuda": the build of PyTorch to install. macOS has one build only, called "cpu"."""
    if wanted in ("cpu", "cuda"):
        return str(wanted)
    return "cuda" if platform.system() != "Darwin" and has_nvidia_gpu() else "cpu"


def reachable(url: str) -> bool:
    """Whether the index answers within a few seconds."""
    try:
        request = urllib.request.Request(url + "/torch/", method="HEAD")
        with urllib.request.urlopen(request, timeout=REACH_S) as reply:
            return bool(reply.status == 200)
    except (OSError, urllib.error.URLError, ValueError):
        return False


def torch_index(build: str) -> str | None:
    """PyTorch's own index where its build differs from what PyPI has: CPU on Linux and Windows,
    CUDA on Windows."""
    system = platform.system()
    if build == "cpu" and system in ("Linux", "Windows"):
        return PYTORCH_CPU
    return PYTORCH_CUDA if build == "cuda" and system == "Windows" else None


def has_xformers_wheel() -> bool:
    return platform.machine().lower() in ("x86_64", "amd64") and platform.system() != "Darwin"


# --- Installing -----------------------------------------------------------------------------------


def say(text: str) -> None:
    print(f"Easel: {text}", file=sys.stderr, flush=True)


def run_logged(command: Sequence[str], log: Path) -> bool:
    """Runs a command, its words into `log`; on a terminal the latest one shows in one changing line."""
    show = sys.stderr.isatty()
    width = shutil.get_terminal_size().columns - 1
    with log.open("a", encoding="utf-8", errors="replace") as file:
        file.write(f"\n$ {' '.join(command)}\n")
        with subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                file.write(line)
                if show and line.strip():
                    print("\r" + line.strip()[:width].ljust(width), end="", file=sys.stderr)
        if show:
            print("\r" + " " * width + "\r", end="", file=sys.stderr, flush=True)
    return process.returncode == 0


def pip(python: Path, *arguments: str, offline: bool) -> bool:
    """`pip install` of wheels only. A folder `wheels/` beside this file is looked into first."""
    command = [str(python), "-m", "pip", "install", "--only-binary=:all:", "--no-input"]
    command += ["--disable-pip-version-check", "--progress-bar=off"]
    if (ROOT / "wheels").is_dir():
        command += ["--find-links", str(ROOT / "wheels")]
    if offline:
        command.append("--no-index")
    return run_logged([*command, *arguments], INSTALL_LOG)


def last_words(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    errors = [line for line in lines if line.startswith("ERROR")][-3:]
    return "\n".join(errors or lines[-8:])


def make_venv() -> None:
    """Makes `.venv` anew with the running Python; raises SetupError with what to install."""
    made = subprocess.run(
        [sys.executable, "-m", "venv", "--clear", str(VENV)],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        VENV.mkdir(exist_ok=True)
        INSTALL_LOG.write_text(made.stdout + made.stderr, encoding="utf-8")
        shutil.rmtree(VENV / ("Scripts" if os.name == "nt" else "bin"), ignore_errors=True)
        hint = " (on Debian and Ubuntu: apt install python3-venv)" if os.name != "nt" else ""
        raise SetupError(f"Python could not make {VENV}{hint}:\n{last_words(INSTALL_LOG)}")


def install_torch(python: Path, requirement: str, build: str, options: Options) -> bool:
    """PyTorch from its own index where that has the fitting build and answers, else what pip finds."""
    index = None if options.offline else torch_index(build)
    if index is not None:
        if reachable(index) and pip(python, "--extra-index-url", index, requirement, offline=False):
            return True
        say("PyTorch's own index does not help here; taking what pip finds")
    return pip(python, requirement, offline=options.offline)


def install(files: Sequence[Path], build: str, options: Options) -> None:
    """Brings `.venv` to what `files` ask for, a line per step, and stamps it when all is there."""
    wanted = dict(item for file in files for item in requirements(file))
    cuda_file = ROOT / "requirements-cuda.txt"
    with_xformers = build == "cuda" and has_xformers_wheel() and cuda_file.exists()
    steps = 1 + ("torch" in wanted) + with_xformers + (not venv_version())
    step = 0

    def begin(what: str) -> None:
        nonlocal step
        step += 1
        say(f"[{step}/{steps}] {what}")

    if not venv_version():
        begin(f"making {VENV} with Python {platform.python_version()}")
        make_venv()
    python, before = venv_python(), read_stamp()
    STAMP.unlink(missing_ok=True)
    INSTALL_LOG.write_text("", encoding="utf-8")
    if "torch" in wanted:
        if before.get("torch") not in (None, build):
            uninstall = [str(python), "-m", "pip", "uninstall", "--yes", "torch"]
            run_logged(uninstall, INSTALL_LOG)
        begin(
            f"PyTorch {wanted['torch'].lstrip('=')} for {'CUDA' if build == 'cuda' else 'the CPU'}"
        )
        if not install_torch(python, "torch" + wanted["torch"], build, options):
            raise SetupError(failure("PyTorch"))
    begin("the other libraries")
    arguments = [word for file in files for word in ("-r", str(file))]
    if not pip(python, *arguments, offline=options.offline):
        raise SetupError(failure("the libraries"))
    if with_xformers:
        begin("xformers")
        if not pip(python, "--no-deps", "-r", str(cuda_file), offline=options.offline):
            say("no xformers for this machine; PyTorch's own attention is used")
    stamp = {**fingerprint(files), "python": venv_version(), "torch": build}
    STAMP.write_text(json.dumps(stamp, indent=1), encoding="utf-8")
    say("everything is installed")


def failure(what: str) -> str:
    return (
        f"{what} could not be installed. The first installation needs a network, or the wheels in "
        f"{ROOT / 'wheels'}; all that pip said is in {INSTALL_LOG}.\n{last_words(INSTALL_LOG)}"
    )


def stamped(files: Sequence[Path], torch: str | None) -> bool:
    """Whether the stamp of `.venv` covers `files`, its Python, and the build of PyTorch asked for."""
    stamp = read_stamp()
    wanted = {**fingerprint(files), "python": venv_version()}
    if torch is not None:
        wanted["torch"] = torch_build(torch)
    return bool(stamp) and all(stamp.get(key) == value for key, value in wanted.items())


def prepare(options: Options) -> Path | None:
    """The Python that shall run Easel, None for the running one. Installs what is missing."""
    in_venv = sys.prefix != sys.base_prefix
    in_ours = in_venv and Path(sys.prefix).resolve() == VENV.resolve()
    if options.skip_install:
        return None if in_venv or not venv_version() else venv_python()
    files = [ROOT / "requirements.txt"]
    if options.tests:
        files.append(ROOT / "requirements-dev.txt")
    if in_venv and (options.torch is None or not in_ours) and not missing(files):
        return None
    if not stamped(files, options.torch):
        kept = options.torch or read_stamp().get("torch")
        install(files, torch_build(kept), options)
    return None if in_ours else venv_python()


# --- Handing over ---------------------------------------------------------------------------------


def start_again(python: Path, argv: Sequence[str]) -> int:
    """The same command under `python`; on POSIX in this very process."""
    command = [str(python), str(ROOT / "launch.py"), *argv]
    sys.stdout.flush()
    sys.stderr.flush()
    if os.name != "nt":
        os.execv(command[0], command)
    with subprocess.Popen(command) as process:
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:  # the child has had it too, and ends cleanly
                continue


def cores() -> int:
    """How many of the machine's cores this process may use."""
    has_affinity = hasattr(os, "sched_getaffinity")
    return len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1


def run_tests(arguments: Sequence[str]) -> int:
    """pytest with these arguments. All tests at once are shared by a process per core, four at most."""
    os.chdir(ROOT)
    import pytest

    class Shared:
        """Decides when pytest has understood its arguments. Tests that are named run in one process, and so does
        what a debugger or a GPU is wanted for."""

        @pytest.hookimpl(wrapper=True)
        def pytest_cmdline_main(self, config: pytest.Config) -> Iterator[None]:
            given = config.option
            is_free = getattr(given, "numprocesses", 0) is None and given.dist == "no"
            is_whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS
            if is_free and is_whole and cores() > 1 and not given.usepdb and not has_nvidia_gpu():
                given.numprocesses, given.dist = min(4, cores()), "worksteal"
                for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):  # else each takes all cores
                    os.environ.setdefault(name, "1")
            return (yield)

    return int(pytest.main(list(arguments), plugins=[Shared()]))


def main(argv: Sequence[str]) -> int:
    """Runs the command line `argv` (without the program's name); gives the exit code."""
    options = read_options(argv)
    given = environment(options.data_dir)
    if options.tests:
        del given["GRADIO_TEMP_DIR"]  # the tests make their own
    for name, value in given.items():
        os.environ.setdefault(name, value)
    low, high = PYTHONS
    if sys.version_info[:2] > high:
        say(
            f"Python {platform.python_version()} is newer than what is tested (3.{low[1]} to 3.{high[1]})"
        )
    try:
        if options.rest in (("-h",), ("--help",), ("serve", "-h"), ("serve", "--help")):
            from webui.options import shared_parser

            shared_parser().print_help()
            return 0
        python = prepare(options)
    except (SetupError, OSError) as error:
        say(str(error))
        return 1
    if python is not None:
        return start_again(python, argv)
    if options.tests:
        return run_tests(options.rest[1:])
    from webui.app import main as easel

    return easel(list(options.rest))


def leave(ended: list[int]) -> None:
    """Ends the process with that code, if there is one. All has been closed by then: what Python would still do is take
    every module down, which took up to twenty seconds of a server that had seen thousands of jobs."""
    if ended:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError, AttributeError):  # nobody reads it
                stream.flush()
        os._exit(ended[0])


if __name__ == "__main__":
    ended: list[int] = []
    atexit.register(leave, ended)  # before anything else is imported: it is called last
    try:
        code = main(sys.argv[1:])
    except KeyboardInterrupt:
        code = 130
    end_in_time = getattr(sys.modules.get("webui.app"), "end_in_time", None)
    if end_in_time is not None:  # a guest's thread must not keep the process for ever
        end_in_time(code)
        ended.append(code)
    sys.exit(code)
