"""A whole extension through every check: a good one passes, and whatever one breaks is told."""

from __future__ import annotations

import textwrap

import pytest

from webui.errors import ExtensionError
from webui.testing import check_extension, loads_without_torch

HEAD = """
'''Does one thing well.'''
import random
from dataclasses import replace
from itertools import pairwise

from PIL import ImageOps

from webui.api import *
from webui.api import hookimpl
"""

GOOD = {
    "sampler": """
def euler(x, sigmas, noise):
    for sigma, sigma_next in pairwise(sigmas):
        denoised = yield x, sigma
        x = x + (x - denoised) / sigma * (sigma_next - sigma)
    return x

@hookimpl
def register_samplers():
    return [Sampler("Mine", euler)]
""",
    "schedule": """
def straight(n, low, high, levels):
    return [high * (1 - i / n) for i in range(n)] + [0.0]

@hookimpl
def register_schedules():
    return [Schedule("straight", straight, "Straight")]
""",
    "upscaler": """
def blocks(picture, scale, studio):
    return picture.resize((int(picture.width * scale), int(picture.height * scale)))

@hookimpl
def register_upscalers():
    return [Upscaler("Blocks", blocks)]
""",
    "conditioner": """
AMOUNT = Number(name="amount", label="Amount", minimum=0, maximum=1, step=0.1, default=0.0)

def weaker(request, studio, cond):
    amount = request.extras["amount"]
    return cond.changed(weight=1 - amount) if amount else None

@hookimpl
def register_conditioners():
    return [Conditioner("weaker", weaker, controls=(AMOUNT,))]
""",
    "post-processor": """
MIRROR = Switch(name="mirror", label="Mirror", default=False)

def mirrored(picture, request, studio):
    return ImageOps.mirror(picture) if request.extras["mirror"] else None

@hookimpl
def register_postprocessors():
    return [PostProcessor("mirror", mirrored, controls=(MIRROR,))]
""",
    "task": """
def flat(request, studio):
    model = yield LoadModel(request.model)
    cond = yield EncodeText(model, request.prompt, "", request.clip_skip)
    sampling = studio.sampling(cond)
    noise = studio.first_noise(model.latent_shape(request.width, request.height))
    latent = yield from studio.sample(sampling, noise * sampling.sigmas[0])
    return (yield Decode(model, latent))

@hookimpl
def register_tasks():
    return [Task("flat", "Flat", flat, (*PROMPTS, *COMMON))]
""",
    "wrapper": """
SOFT = Number(name="soft", label="Soft", minimum=0, maximum=1, step=0.1, default=0.0)

@hookimpl
def register_controls():
    return [Group("Soft", (SOFT,))]

@hookimpl
def wrap_denoise(call, request):
    return softened(call, request.extras["soft"]) if request.extras.get("soft") else None

def softened(call, amount):
    reply = yield call
    return replace(reply, denoised=reply.denoised * (1 - amount / 2))
""",
    "hooks": """
@hookimpl
def change_request(request):
    word = random.Random(request.seed).choice([" cat", " dog"])
    return replace(request, prompt=request.prompt + word)

@hookimpl
def startup(places):
    (places.data_dir / "started").touch()

@hookimpl
def image_saved(picture, request):
    picture.path.with_suffix(".txt").write_text(picture.parameters)

@hookimpl
def shutdown():
    pass
""",
}


@pytest.fixture
def write(tmp_path):
    def make(source, name="mine"):
        path = tmp_path / f"{name}.py"
        path.write_text(textwrap.dedent(source), encoding="utf-8")
        return path

    return make


def test_one_that_does_everything_well_passes(write):
    check_extension(write(HEAD + "".join(GOOD.values())))


BROKEN = [
    ("sampler", "def register_samplers", "def register_sampler", "no hook 'register_sampler'"),
    ("sampler", "x = x + (x - denoised)", "x += (x - denoised)", "sampler 'Mine': it changes call 3"),
    ("schedule", "range(n)", "range(n - 1)", "schedule 'straight'"),
    ("upscaler", "(int(picture.width * scale), int(picture.height * scale))", "(9, 9)", "'Blocks': .*no larger"),
    ("conditioner", "if amount else", "if amount > 1 else", "conditioner 'weaker': .*it changes nothing"),
    ("post-processor", "ImageOps.mirror(picture)", "picture.size", "post-processor 'mirror': returned a value"),
    ("task", "return (yield Decode(model, latent))", "return Animation(())", "without frames"),
    ("wrapper", "denoised=", "denoised=random.random() + ", "random state of random"),
    ("hooks", "random.Random(request.seed).choice", "random.choice", "change_request of 'mine'"),
    ("hooks", "prompt=request.prompt + word", "model='none'", "change_request: returned an invalid request"),
    ("hooks", "places.data_dir", "places.nowhere", "startup: AttributeError"),
    ("hooks", 'with_suffix(".txt")', "nowhere()", "image_saved: AttributeError"),
    ("hooks", "pass", "1 / 0", "shutdown: ZeroDivisionError"),
]  # fmt: skip


@pytest.mark.parametrize(("part", "good", "bad", "sentence"), BROKEN, ids=[x[3] for x in BROKEN])
def test_whatever_it_breaks_is_told(write, part, good, bad, sentence):
    assert good in GOOD[part]
    with pytest.raises((AssertionError, ExtensionError), match=sentence):
        check_extension(write(HEAD + GOOD[part].replace(good, bad)))


CONTROL = """
from webui.api import *
from webui.api import hookimpl

class Anything(Text):
    def read(self, value):
        {read}

@hookimpl
def register_controls():
    return [Group("Mine", (Anything(name="mine", label="Mine", default="x"),))]
"""


@pytest.mark.parametrize(
    ("read", "sentence"),
    [
        ("return value", "takes any value"),
        ("return value.upper()", "fails at nonsense with AttributeError"),
        ("raise RequestError('no', 'other') if value != 'x' else None", "in the name of 'other'"),
    ],
)
def test_a_control_must_refuse_nonsense_by_its_name(write, read, sentence):
    if read.startswith("raise"):
        read = "if value != 'x': raise RequestError('no', 'other')"
    with pytest.raises(AssertionError, match=f"control 'mine': .*{sentence}"):
        check_extension(write(CONTROL.format(read=read), "controls"))


def test_loading_is_looked_at_in_a_fresh_interpreter(write):
    """torch is loaded here already, by the tests' own models; that does not blame anybody."""
    import torch  # noqa: F401

    loads_without_torch(write("from webui.api import hookimpl"))
    late = """
        from webui.api import hookimpl

        @hookimpl
        def register_samplers():
            import torch
            return []
    """
    with pytest.raises(AssertionError, match="loads torch when"):
        loads_without_torch(write(late, "late"))
