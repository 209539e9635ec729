"""Every bundled extension on every family of models, through the real engine: the job succeeds, and the picture is
another than without it. Each with a LoRA in its prompt, clip skip, and two pictures at once."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import save_file

from tests.extensions.test_controlnet import tiny_controlnet
from tests.extensions.test_esrgan import random_weights
from webui.errors import RequestError
from webui.settings import BUNDLED, ROOT
from webui.testing import example_mask, example_picture
from webui.testing.bench import open_bench
from webui.testing.families import FAMILIES, build, write

MODELS = {"sd1": "sd1", "sd2": "sd2", "sdxl": "sdxl", "refiner": "sdxl-refiner", "filling": "sd1"}
TASKS = ("txt2img", "img2img", "inpaint")
# What each is switched on with: fields of a request, or `extras`.
ON = {
    "cfg_rescale": {"cfg_rescale": 0.7},
    "controlnet": {"controlnet_image": example_picture(64, 64), "controlnet_model": "tiny"},
    "dynamic_thresholding": {"mimic_scale": 0.5, "threshold_percentile": 0.95},
    "esrgan": {"upscale_by": 2.0, "upscaler": "random"},
    "film_grain": {"film_grain": 1.0, "film_grain_size": 2.0},
    "freeu": {"freeu": True},
    "perturbed_attention": {"pag_scale": 3.0},
    "text_files": {"text_files": True},
    "upscale": {"upscale_by": 1.5},
}
FIELDS = {
    "more_samplers": {"sampler_name": "DPM++ 2S a", "scheduler": "kl_optimal"},
    "wildcards": {"prompt": "a {blue dog|blue dog} <lora:any>"},
}
SAME_PICTURE = ("text_files",)  # what it does lies beside the picture
MORPH = {"morph_to": "a blue dog <lora:other:0.5>", "morph_frames": 2, "morph_bounce": False}
PLAIN = {
    "prompt": "a red cat <lora:any>",
    "clip_skip": 2,
    "cfg_scale": 5.0,
    "sampler_name": "Euler",
}


def lora(unet, seed):
    """A LoRA of every cross-attention's query, in diffusers' layout."""
    draw = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, module in unet.named_modules():
        if name.endswith("attn2.to_q"):
            out, into = module.weight.shape
            for part, shape in (("A", (2, into)), ("B", (out, 2))):
                key = f"unet.{name}.lora_{part}.weight"
                tensors[key] = torch.randn(shape, generator=draw)
    return tensors


@pytest.fixture(scope="module", params=MODELS)
def made(request, tmp_path_factory):
    """A bench with every bundled extension and one model, and the jobs of all tests, asked for at once."""
    family, filling = MODELS[request.param], request.param == "filling"
    root = tmp_path_factory.mktemp(request.param)
    networks = build(FAMILIES[family], inpainting=filling)
    (root / "Stable-diffusion").mkdir()
    write(root / "Stable-diffusion" / "model.safetensors", networks, "ldm")
    for kind in ("Lora", "ESRGAN"):
        (root / kind).mkdir()
    for seed, name in enumerate(("any", "other")):
        save_file(lora(networks["unet"], seed), root / "Lora" / f"{name}.safetensors")
    save_file(random_weights(), root / "ESRGAN" / "random.safetensors")
    if family in ("sd1", "sd2"):
        narrow = {key: value for key, value in FAMILIES[family]["unet"].items()}
        beside = UNet2DConditionModel(in_channels=4, **narrow)
        tiny_controlnet(beside).save_pretrained(root / "ControlNet" / "tiny")
    folder = ROOT / "extensions"
    sources = [folder / n if (folder / n).is_dir() else folder / f"{n}.py" for n in BUNDLED]
    bench = open_bench(sources, root / "data", [root])
    tasks = TASKS[2:] if filling else TASKS[1:] if family == "sdxl-refiner" else TASKS
    try:
        yield bench, family, tasks
    finally:
        bench.close()


def submitted(bench, task, **values):
    """A job of one picture, or, of an image to image, of two."""
    given = {**PLAIN, "batch_size": 2 if task == "img2img" else 1}
    if task != "txt2img":
        given["image"] = example_picture(64, 64)
    if task == "inpaint":
        given["mask"] = example_mask(64, 64)
    return bench.engine.submit(bench.request(task, **(given | values)))


def pictures(bench, job):
    status = bench.end(job)
    assert status.state == "done", status.error
    mine = sorted((one for one in bench.finished if one.job == job), key=lambda one: one.index)
    return [one.picture for one in mine]


def alike(one, other):
    """Whether two pictures are the same but for the last bits, which other batches may change."""
    if one.size != other.size:
        return False
    apart = np.asarray(one).astype(int) - np.asarray(other).astype(int)
    return np.abs(apart).max() <= 2


def test_every_extension_works_on_every_family(made):
    bench, family, tasks = made
    plain = {task: submitted(bench, task) for task in tasks}
    jobs = {
        (name, task): submitted(bench, task, extras=ON.get(name, {}), **FIELDS.get(name, {}))
        for name in BUNDLED
        for task in tasks
        if name != "morph" and (name != "controlnet" or family in ("sd1", "sd2"))
    }
    for (name, task), job in jobs.items():
        found = pictures(bench, job)
        before = pictures(bench, plain[task])
        same = [alike(a, b) for a, b in zip(found, before, strict=True)]
        assert same == [name in SAME_PICTURE] * len(before), (name, task)


def test_a_film_begins_and_ends_with_the_pictures_of_its_prompts(made):
    """With their LoRAs, clip skip and everything else that makes them."""
    bench, _, tasks = made
    if "txt2img" not in tasks:
        pytest.skip("this model paints over pictures alone")
    film = bench.engine.submit(bench.request("morph", **PLAIN, extras=MORPH))
    ends = [
        bench.engine.submit(bench.request(**PLAIN | {"prompt": prompt}))
        for prompt in (PLAIN["prompt"], MORPH["morph_to"])
    ]
    (walk,) = pictures(bench, film)
    first, last = (pictures(bench, job)[0] for job in ends)
    assert alike(walk.frames[0], first)
    assert alike(walk.frames[1], last)
    assert not alike(first, last)


def test_a_controlnet_that_is_not_there_is_asked_for(made):
    bench, family, tasks = made
    if family in ("sd1", "sd2"):
        pytest.skip("it has one")
    with pytest.raises(RequestError, match="controlnet_model: put one into models/ControlNet"):
        submitted(bench, tasks[0], extras={"controlnet_image": example_picture(64, 64)})
