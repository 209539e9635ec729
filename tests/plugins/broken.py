"""A folder's worth of broken extensions, each with what the page says of it after loading."""

from __future__ import annotations

from typing import NamedTuple


class Broken(NamedTuple):
    """`state` after loading, and a part of the one problem that is told ("" where there is none yet)."""

    source: str
    state: str
    says: str


HEAD = "from webui.api import *\nfrom webui.api import hookimpl\n"
HOOK = HEAD + "@hookimpl\n"
RETURNS = "@hookimpl\ndef register_samplers():\n    return [Sampler({!r}, make)]\n"
EMPTY = HEAD + "def make(*given): yield\n" + RETURNS
RAISING = HEAD + "def make(x, sigmas, noise):\n    yield x, sigmas[0]\n    1 / 0\n" + RETURNS
EXITING = HEAD + "def make(x, sigmas, noise):\n    raise SystemExit(5)\n    yield\n" + RETURNS
WRAPPING = (
    HOOK + "def wrap_denoise(call, request):\n"
    "    if request.prompt == 'wrap': raise RuntimeError('no')\n"
)
CONTROL = (
    HOOK + "def register_controls():\n"
    "    return [Group('G', (Number(name='n', label='N', minimum=0, maximum=1, default=2),))]\n"
)
ODD = (
    HEAD + "class Odd(Sampler):\n    @property\n    def name(self): 1 / 0\n"
    "    def __init__(self): pass\n@hookimpl\ndef register_samplers(): return [Odd()]\n"
)


def hook(signature: str, body: str) -> str:
    return f"import time\n{HOOK}def {signature}: {body}\n"


_ALL = (
    ("syntax", "def f(:\n", "failed", "syntax.py, line 1: invalid syntax"),
    ("zero_byte", "x = '\0'\n", "failed", "zero_byte.py"),
    ("missing", "import no_such\n", "failed", "No module named 'no_such' (missing.py, line 1)"),
    (
        "exits",
        "import sys\nsys.exit(4)\n",
        "failed",
        "import: it called sys.exit(4) (exits.py, line 2)",
    ),
    ("interrupts", "raise KeyboardInterrupt\n", "failed", "import: KeyboardInterrupt"),
    ("hangs", "import time\ntime.sleep(30)\n", "failed", "import: did not come back within"),
    (
        "other_api",
        "NEEDS_API = '>=7'\n1 / 0",
        "failed",
        "it needs version >=7 of Easel's API; this is",
    ),
    ("no_hooks", "x = 1\n", "on", "no function in it is a hook"),
    (
        "unknown_hook",
        hook("register_smaplers()", "pass"),
        "on",
        "did you mean 'register_samplers'?",
    ),
    (
        "wrong_argument",
        hook("register_samplers(place)", "pass"),
        "on",
        "there is no argument 'place'",
    ),
    (
        "wrong_return",
        hook("register_samplers()", "return Sampler"),
        "on",
        "return a list of Sampler",
    ),
    (
        "raises",
        hook("register_tasks()", "{}['x']"),
        "on",
        "register_tasks: KeyError: 'x' (raises.py, line 5)",
    ),
    ("exits_later", hook("register_tasks()", "raise SystemExit"), "on", "it called sys.exit(None)"),
    (
        "hangs_later",
        hook("register_tasks()", "time.sleep(30)"),
        "on",
        "tasks: did not come back within",
    ),
    ("takes_built_in", EMPTY.format("Euler"), "on", "the name is taken by 'Euler' (built-in)"),
    (
        "takes_good",
        EMPTY.format("euler AGAIN"),
        "on",
        "taken by 'Euler again' (extension 'a_good')",
    ),
    ("bad_control", CONTROL, "on", "control 'n': it does not take its own default"),
    ("bad_values", ODD, "on", "register_samplers: ZeroDivisionError"),
    ("sampler_raises", RAISING.format("Raises"), "on", ""),
    ("sampler_exits", EXITING.format("Exits"), "on", ""),
    ("wrap_raises", WRAPPING, "on", ""),
    ("change_exits", hook("change_request()", "raise SystemExit"), "on", ""),
    ("change_hangs", hook("change_request()", "time.sleep(30)"), "on", ""),
    ("saved_raises", hook("image_saved()", "1 / 0"), "on", ""),
    ("startup_raises", hook("startup()", "1 / 0"), "on", ""),
)
BROKEN = {name: Broken(source, state, says) for name, source, state, says in _ALL}

GOOD = '''"""Euler once more."""
from itertools import pairwise

from webui.api import Sampler, hookimpl

__version__ = "1.0"
NEEDS_API = ">=1.0,<2"


def euler(x, sigmas, noise):
    for sigma, sigma_next in pairwise(sigmas):
        denoised = yield x, sigma
        x = x + (x - denoised) / sigma * (sigma_next - sigma)
    return x


@hookimpl
def register_samplers():
    return [Sampler("Euler again", euler, schedule="karras")]
'''
