"""The bench is the app's engine: extensions' controls, hooks and files work as they do for users."""

from __future__ import annotations

import textwrap

import pytest
from PIL import Image, ImageOps

from webui.errors import RequestError

STAMP = """
    from dataclasses import replace

    from PIL import ImageOps

    from webui.api import PostProcessor, RequestError, Switch, hookimpl

    def mirrored(picture, request, studio):
        return ImageOps.mirror(picture) if request.extras["mirror"] else None

    @hookimpl
    def register_postprocessors():
        switch = Switch(name="mirror", label="Mirror", default=False)
        return [PostProcessor("mirror", mirrored, controls=(switch,))]

    @hookimpl
    def change_request(request):
        if "nothing" in request.prompt:
            raise RequestError("prompt: say something")
        return replace(request, prompt=request.prompt.replace("dog", "cat"))

    @hookimpl
    def image_saved(picture, request):
        picture.path.with_suffix(".txt").write_text(picture.parameters)
"""


@pytest.fixture
def stamp(tmp_path):
    path = tmp_path / "stamp.py"
    path.write_text(textwrap.dedent(STAMP), encoding="utf-8")
    return path


def test_an_extension_takes_part_in_a_real_job(easel_engine, stamp):
    bench, plain = easel_engine(stamp), easel_engine()
    before = plain.picture(prompt="a cat")
    assert bench.picture(prompt="a dog", extras={"mirror": True}) == ImageOps.mirror(before)
    assert bench.picture(prompt="a cat") == before != plain.picture(prompt="a dog")


def test_pictures_are_files_and_hooks_hear_of_them(easel_engine, stamp):
    bench = easel_engine(stamp)
    status = bench.run(bench.request(extras={"mirror": True}))
    bench.close()
    (saved,) = status.pictures
    assert Image.open(saved.path).size == (64, 64)
    told = saved.path.with_suffix(".txt").read_text(encoding="utf-8")
    assert told == saved.parameters and "Mirror: True" in told


def test_what_a_job_fails_of_is_told(easel_engine, stamp, tmp_path):
    broken = tmp_path / "broken.py"
    broken.write_text(
        "from webui.api import *\nfrom webui.api import hookimpl\n"
        "def wrong(picture, request, studio): 1 / 0\n"
        "@hookimpl\ndef register_postprocessors(): return [PostProcessor('wrong', wrong)]\n"
    )
    bench = easel_engine(stamp, broken)
    with pytest.raises(AssertionError, match="extension 'broken', post-processor 'wrong'"):
        bench.picture()
    status = bench.run(bench.request())  # whose picture is not lost
    assert status.state == "done" and "ZeroDivisionError" in status.pictures[0].notes[0]
    with pytest.raises(RequestError, match="mirror 'perhaps': give true or false"):
        bench.request(extras={"mirror": "perhaps"})
    with pytest.raises(RequestError, match="say something"):
        bench.picture(prompt="nothing")


def test_the_model_is_one_that_diffusers_loads_too(easel_model):
    from diffusers import StableDiffusionPipeline

    pipe = StableDiffusionPipeline.from_pretrained(
        easel_model / "Stable-diffusion" / "tiny", local_files_only=True, low_cpu_mem_usage=False
    )
    assert pipe.unet.config.in_channels == 4
