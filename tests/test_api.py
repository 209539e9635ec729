"""The promises of `webui.api`: what it names is there and documented, its version is one, and it is light."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
import typing

import pytest
from packaging.specifiers import SpecifierSet

from webui import api
from webui.settings import ROOT

VALUES = (
    "ETA",
    "COMMON",
    "IMAGE",
    "INPAINTING",
    "MASK",
    "PROMPTS",
    "RESIZE_MODE",
    "STRENGTH",
    "UNCOND",
    "VERSION",
)
ALIASES = ("NoiseSource", "SamplerRun", "TaskRun")  # names for types, without a docstring


def test_the_names_are_there_once_and_nothing_else_is():
    assert len(set(api.__all__)) == len(api.__all__)
    assert not [name for name in api.__all__ if not hasattr(api, name)]
    public = {name for name in vars(api) if not name.startswith("_")}
    assert public == set(api.__all__)


@pytest.mark.parametrize("name", sorted(set(api.__all__) - {*VALUES, *ALIASES}))
def test_everything_is_documented(name):
    thing = getattr(api, name)
    assert inspect.isclass(thing) or inspect.isfunction(thing)
    own = thing.__doc__ or ""
    assert len(own.split()) >= 3
    assert not own.startswith(f"{name}("), "this is what dataclasses write by themselves"


@pytest.mark.parametrize("name", ALIASES)
def test_the_aliases_are_types(name):
    alias = getattr(api, name)
    assert isinstance(alias, str) or typing.get_args(alias)


def test_the_version_is_major_and_minor():
    assert re.fullmatch(r"\d+\.\d+", api.VERSION)
    major = int(api.VERSION.split(".")[0])
    assert SpecifierSet(f">={api.VERSION},<{major + 1}").contains(api.VERSION)


def test_it_is_light():
    code = (
        "import sys, webui.api;"
        "print([m for m in ('torch', 'diffusers', 'transformers', 'gradio', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr
