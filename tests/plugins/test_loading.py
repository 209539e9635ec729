"""A folder of broken extensions: each is told by name, and what is good beside them works to the end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import time
from dataclasses import replace

import pytest
from PIL import Image

from tests.networks import tiny_folder
from tests.plugins.broken import BROKEN, GOOD
from tests.plugins.conftest import QUICK, status
from webui import app
from webui.errors import RequestError
from webui.settings import ROOT, Settings
from webui.types import GenerationRequest


@pytest.fixture
def broken(write):
    write("a_good", GOOD)
    for name, one in BROKEN.items():
        write(name, one.source)


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_is_told_and_what_is_good_works(write, load, name):
    write("a_good", GOOD)
    write(name, BROKEN[name].source)
    extensions = load()
    found, wanted = status(extensions, name), BROKEN[name]
    assert found.state == wanted.state
    if wanted.says:
        (said,) = found.problems
        assert wanted.says in said
    else:
        assert found.problems == ()
    assert "Euler again" in extensions.parts.samplers
    assert status(extensions, "a_good").problems == ()


def test_a_package_has_relative_imports_and_a_broken_one_leaves_nothing_behind(write, load):
    write("pack/__init__", "from .part import hook as register_samplers\n")
    write(
        "pack/part",
        "from webui.api import hookimpl\n@hookimpl\ndef hook(): return []\nhook.__name__ = 'x'\n",
    )
    write("half/__init__", "from . import part\nfrom . import gone\n")
    write("half/part", "")
    extensions = load()
    assert status(extensions, "pack").hooks == ("register_samplers",)
    assert "cannot import name 'gone'" in status(extensions, "half").problems[0]
    assert not [name for name in sys.modules if name.startswith("extensions.half")]


def test_a_second_start_takes_the_module_that_is_imported_already(write, load, tmp_path):
    """As a test does that imports a bundled extension itself; another file of that name is another module."""
    source = "from webui.api import hookimpl\n@hookimpl\ndef startup(): pass\n"
    write("twice", source)
    load()
    first = sys.modules["extensions.twice"]
    load()
    assert sys.modules["extensions.twice"] is first
    write("twice", source, tmp_path / "elsewhere")
    load(tmp_path / "elsewhere")
    assert sys.modules["extensions.twice"] is not first


def test_safe_mode_and_no_extension_run_nothing_of_those_they_leave_out(write, load):
    fatal = "raise RuntimeError('nobody may run this')\n"
    write("ours", GOOD)
    write("theirs", fatal)
    extensions = load(bundled=("ours",), safe_mode=True)
    assert [(s.name, s.state) for s in extensions.statuses()] == [("ours", "on"), ("theirs", "off")]
    assert status(extensions, "theirs").restart == "it is on after a start without --safe-mode"
    extensions = load(without=("theirs",))
    assert [(s.name, s.state) for s in extensions.statuses()] == [("ours", "on"), ("theirs", "off")]
    assert all(s.problems == () for s in extensions.statuses())
    with pytest.raises(
        RequestError, match=r"--no-extension their: no such .* did you mean 'theirs'"
    ):
        load(without=("their",))


def test_torch_at_the_top_of_an_extension_is_told(write, folder):
    """In a process of its own: here torch is loaded already."""
    write("eager", "import torch\nfrom webui.api import hookimpl\n@hookimpl\ndef startup(): pass\n")
    write("lazy", "from webui.api import hookimpl\n@hookimpl\ndef startup():\n    import torch\n")
    code = textwrap.dedent(f"""
        import json, pathlib
        from webui import api, builtin, plugins
        from webui.types import Places
        here = pathlib.Path({str(folder)!r})
        limits = plugins.Limits(import_s=120)
        made = plugins.load(builtin, [here], Places(here, (), here), api_version="1.0", entries=(), limits=limits)
        print(json.dumps({{s.name: s.problems for s in made.statuses()}}))
    """)
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    told = json.loads(done.stdout)
    assert told["lazy"] == []
    assert "importing it loads torch" in told["eager"][0]


# --- the whole program beside them ----------------------------------------------------------------


@pytest.fixture
def easel(broken, folder, tmp_path):
    """Easel with the broken folder, started on a tiny model."""
    tiny_folder(tmp_path / "models" / "Stable-diffusion" / "tiny")
    settings = Settings.at(
        tmp_path,
        models_dirs=(tmp_path / "models",),
        extensions_dirs=(folder,),
        device="cpu",
        dtype="float32",
    )
    made = app.compose(settings, replace(QUICK, import_s=1))
    made.extensions.start()
    made.engine.start()
    yield made
    made.close()


def made_with(easel, owner="", **values):
    given = {
        **{"task": "txt2img", "model": "tiny", "seed": 1, "steps": 3, "cfg_scale": 3.0},
        **{"width": 64, "height": 64, "prompt": "a cat", "scheduler": "karras"},
        **values,
    }
    names = easel.catalog.tasks[given["task"]].flat_controls()
    fields = GenerationRequest.__dataclass_fields__
    extras = {c.name: c.default for c in names if c.name not in fields}
    job = easel.engine.submit(GenerationRequest(**given, extras=extras), owner)
    state, limit = easel.engine.status(job), time.monotonic() + 60
    while not state.ended:
        assert time.monotonic() < limit, state
        state = easel.engine.wait(job, state.version, 1)
    return state


def test_a_good_extension_works_to_the_end_beside_all_the_broken_ones(easel):
    again, plain = (
        made_with(easel, sampler_name="Euler again"),
        made_with(easel, sampler_name="Euler"),
    )
    assert (again.state, plain.state) == ("done", "done"), (again.error, plain.error)
    with Image.open(again.pictures[0].path) as one, Image.open(plain.pictures[0].path) as other:
        assert one.tobytes() == other.tobytes()  # the same mathematics, through every guard

    raised = made_with(easel, sampler_name="Raises")
    assert raised.error.startswith(
        "extension 'sampler_raises', sampler 'Raises': ZeroDivisionError"
    )
    exited = made_with(easel, sampler_name="Exits")
    assert (
        exited.error
        == "extension 'sampler_exits', sampler 'Exits': it called sys.exit(5) (sampler_exits.py, line 4)"
    )
    for _ in range(3):  # one visitor's requests, all of which fail, count once
        wrapped = made_with(easel, "ann", sampler_name="Euler", prompt="wrap")
        assert wrapped.error.startswith("extension 'wrap_raises', wrap_denoise: RuntimeError: no")
    for owner in ("bob", ""):
        wrapped = made_with(easel, owner, sampler_name="Euler", prompt="wrap")
        assert wrapped.error.startswith("extension 'wrap_raises', wrap_denoise: RuntimeError: no")
    assert made_with(easel, sampler_name="Euler", prompt="wrap").state == "done"  # it is set aside

    told = {s.name: s for s in easel.extensions.statuses()}
    for name in ("wrap_raises", "change_exits", "change_hangs", "startup_raises"):
        assert told[name].state == "set aside", told[name]
    assert told["a_good"].state == "on" and told["a_good"].problems == ()
    assert told["a_good"].hooks_s > 0
    assert told["change_hangs"].hanging.startswith("change_request for ")


def test_ext_list_tells_everything_without_starting_anything(folder, write, tmp_path):
    """As people run it, in a process of its own, and with an environment that hides nothing."""
    write("a_good", GOOD)
    for name in ("syntax", "exits", "takes_built_in"):
        write(name, BROKEN[name].source)
    base = [sys.executable, str(ROOT / "launch.py"), "--skip-install", "--data-dir", str(tmp_path)]

    def run(*argv: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*base, *argv], capture_output=True, text=True, env=dict(os.environ), cwd=tmp_path
        )

    given = ("ext", "list", "--extensions-dir", str(folder), "--no-extension", "exits")
    done = run(*given, "--json")
    assert done.returncode == 0, done.stderr
    listed = {one["name"]: one for one in json.loads(done.stdout)}
    good = listed["a_good"]
    assert (good["version"], good["about"], good["state"]) == ("1.0", "Euler once more.", "on")
    assert good["hooks"] == ["register_samplers"] and good["import_s"] > 0
    assert good["source"] == str(folder / "a_good.py") and not good["bundled"]
    assert (listed["syntax"]["state"], listed["exits"]["state"]) == ("failed", "off")
    assert "the name is taken by 'Euler' (built-in)" in listed["takes_built_in"]["problems"][0]
    table = run(*given).stdout
    assert "syntax.py, line 1: invalid syntax" in table and "a_good" in table
    safe = run("ext", "list", "--json", "--safe-mode", "--extensions-dir", str(folder)).stdout
    states = {one["name"]: (one["state"], one["bundled"]) for one in json.loads(safe)}
    assert states["a_good"] == ("off", False)
    assert all(state == "on" for state, bundled in states.values() if bundled)
