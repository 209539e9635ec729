"""launch.py against real virtual environments: a small project with a wheel of its own, no network."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

import launch

LAUNCH = Path(launch.__file__)
APP = """
import json, os, sys
def main(argv):
    try:
        import brush
    except ImportError:
        brush = None
    print(json.dumps({
        "argv": argv, "prefix": sys.prefix, "brush": brush and brush.VERSION,
        "analytics": os.environ["GRADIO_ANALYTICS_ENABLED"], "hub": os.environ["HF_HUB_OFFLINE"],
        "temp": os.environ["GRADIO_TEMP_DIR"],
    }))
    return 3
"""


def write_wheel(folder: Path, name: str, version: str) -> None:
    """A wheel by the book (PEP 427): a module, its metadata, a record."""
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": f"VERSION = {version!r}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        for path, text in {**files, f"{info}/RECORD": record}.items():
            wheel.writestr(path, text)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with our launch.py, requirements that only its `wheels/` can satisfy, and an app."""
    root = tmp_path_factory.mktemp("project")
    (root / "wheels").mkdir()
    write_wheel(root / "wheels", "brush", "1.4")
    write_wheel(root / "wheels", "brush", "1.5")
    write_wheel(root / "wheels", "torch", "2.13.0")  # by name only: it has a step of its own
    shutil.copy(LAUNCH, root / "launch.py")
    (root / "requirements.txt").write_text("# two\ntorch==2.13.0\nbrush>=1.0,<1.5\n")
    (root / "requirements-cuda.txt").write_text("xformers==0.0.35\n")
    (root / "webui").mkdir()
    (root / "webui/__init__.py").touch()
    (root / "webui/app.py").write_text(APP)
    return root


@pytest.fixture
def start(project: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    def run(*argv: str) -> subprocess.CompletedProcess[str]:
        environ = {
            k: v for k, v in os.environ.items() if not k.startswith(("GRADIO", "HF_", "PIP_"))
        }
        base = getattr(sys, "_base_executable", sys.executable)  # a bare Python, no environment's
        command = [base, str(project / "launch.py"), *argv]
        return subprocess.run(command, capture_output=True, text=True, env=environ, timeout=120)

    return run


def test_the_first_start_installs_and_the_next_one_nothing(project, start):
    first = start("--offline", "--skip-nothing", "generate", "a lamp")
    assert first.returncode == 3, first.stderr
    told = json.loads(first.stdout)
    assert told["argv"] == ["--offline", "--skip-nothing", "generate", "a lamp"]
    assert told["prefix"] == str(project / ".venv")
    assert told["brush"] == "1.4"
    assert (told["analytics"], told["hub"]) == ("False", "1")
    assert told["temp"] == str(project / ".cache" / "gradio")
    assert "[1/3] making" in first.stderr and "[2/3] PyTorch 2.13.0" in first.stderr
    build = json.loads((project / ".venv/easel-stamp.json").read_text())["torch"]

    shutil.move(
        project / "wheels", project / "away"
    )  # whatever would be installed now, could not be
    try:
        second = start("--offline", "--data-dir", str(project / "elsewhere"))
    finally:
        shutil.move(project / "away", project / "wheels")
    assert (second.returncode, second.stderr) == (3, "")
    assert json.loads(second.stdout)["temp"] == str(project / "elsewhere" / ".cache" / "gradio")

    (project / "requirements.txt").write_text("torch==2.13.0\nbrush>=1.5\n")
    other = {"cpu": "cuda", "cuda": "cpu"}[build]
    third = start("--offline", "--torch", other)
    assert third.returncode == 3, third.stderr
    told = json.loads(third.stdout)
    assert (told["brush"], told["argv"]) == ("1.5", ["--offline"])
    assert json.loads((project / ".venv/easel-stamp.json").read_text())["torch"] == other
    if other == "cuda" and launch.has_xformers_wheel():
        assert "no xformers" in third.stderr  # a note; there is no such wheel in this project

    (project / "requirements.txt").write_text("brush>=2\n")
    fourth = start("--offline")
    assert fourth.returncode == 1 and fourth.stdout == ""
    assert "could not be installed" in fourth.stderr and "brush>=2" in fourth.stderr
    assert "Traceback" not in fourth.stderr

    fifth = start("--skip-install", "--torch", "cpu", "doctor")
    assert (fifth.returncode, fifth.stderr) == (3, "")
    assert json.loads(fifth.stdout)["argv"] == ["doctor"]


@pytest.mark.parametrize(
    ("arguments", "shared"),
    [((), True), (("tests/test_two.py",), False), (("-n", "0"), False), (("--pdb",), False)],
    ids=["all", "some", "one process", "debugger"],
)
def test_all_tests_are_shared_by_a_process_per_core(tmp_path, arguments, shared):
    shutil.copy(LAUNCH, tmp_path / "launch.py")
    (tmp_path / "pyproject.toml").write_text('[tool.pytest.ini_options]\ntestpaths = ["tests"]\n')
    (tmp_path / "tests").mkdir()
    tell = "import os\ndef test_it():\n    print('is', os.environ.get('PYTEST_XDIST_WORKER_COUNT', 1))\n"
    for name in ("one", "two"):
        (tmp_path / "tests" / f"test_{name}.py").write_text(tell)
    command = [sys.executable, "launch.py", "--skip-install", "test", *arguments, "-rP"]
    environ = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")}
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, env=environ, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    alone = not shared or launch.has_nvidia_gpu()
    assert f"is {1 if alone else min(4, launch.cores())}\n" in done.stdout
    assert ("1 passed" if "tests/test_two.py" in arguments else "2 passed") in done.stdout


def test_this_environment_satisfies_our_own_requirements():
    """So that a developer's environment, or CI's, is used as it is."""
    assert launch.missing([LAUNCH.parent / "requirements-dev.txt"]) == []


def test_missing_names_what_is_not_there(tmp_path):
    import pytest as installed

    file = tmp_path / "requirements.txt"
    file.write_text(
        f"no-such-brush>=1\npytest<{installed.__version__}\npytest=={installed.__version__}\n"
    )
    assert launch.missing([file]) == ["no-such-brush>=1", f"pytest<{installed.__version__}"]


VERSIONS = ["1.0", "1.9.9", "1.10", "2", "2.0.0", "2.13.0", "2.13.0+cpu", "2.13.1", "10.0"]
SPECIFIERS = ["==2.13.0", ">=1.9,<2", "<=2.0", "!=2", ">1.10", "<2.13.1,>=2.0.0", ""]


@pytest.mark.parametrize("specifier", SPECIFIERS)
def test_meets_agrees_with_packaging(specifier):
    from packaging.specifiers import SpecifierSet

    for version in VERSIONS:
        assert launch.meets(version, specifier) == SpecifierSet(specifier).contains(version), (
            version
        )


def test_our_requirements_are_understood():
    """Every line parses to a name and specifiers that packaging reads the same way."""
    from packaging.requirements import Requirement

    for file in LAUNCH.parent.glob("requirements*.txt"):
        for name, specifier in launch.requirements(file):
            parsed = Requirement(name + specifier)
            assert parsed.name == name and not parsed.marker and not parsed.extras
            assert {str(s) for s in parsed.specifier} == set(specifier.split(","))


def test_an_index_that_is_not_there_is_not_reachable():
    assert not launch.reachable("http://127.0.0.1:1")
    assert not launch.reachable("nonsense")


def test_launch_parses_on_pythons_it_refuses():
    """So that an older Python gives the sentence instead of a syntax error."""
    import ast

    ast.parse(LAUNCH.read_text(encoding="utf-8"), feature_version=(3, 7))


def test_launch_imports_the_standard_library_only():
    import ast

    tree = ast.parse(LAUNCH.read_text(encoding="utf-8"))
    names = [
        (alias.name if isinstance(node, ast.Import) else node.module).split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    ]
    assert set(names) - set(sys.stdlib_module_names) == {"pytest", "webui"}


def test_a_process_that_has_closed_everything_is_not_taken_down_piece_by_piece():
    """What guests have registered for the end is still called; modules and their objects are left as they are."""
    code = (
        "import atexit, launch\n"
        "class Slow:\n"
        "    def __del__(self): print('taken down')\n"
        "launch.slow = Slow()\n"
        "atexit.register(launch.leave, [7])\n"
        "atexit.register(print, 'a guest ends')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=launch.ROOT, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (7, "a guest ends\n"), done.stderr
