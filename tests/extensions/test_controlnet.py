"""ControlNet against diffusers' pipeline on the same random weights, its edges against an independent Canny."""

from __future__ import annotations

import inspect
import json
from functools import partial

import numpy as np
import pytest
import torch
from diffusers import (
    ControlNetModel,
    EulerDiscreteScheduler,
    StableDiffusionControlNetImg2ImgPipeline,
    StableDiffusionControlNetPipeline,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from PIL import Image
from safetensors.torch import load_file, save_file
from scipy import ndimage

from extensions import controlnet, esrgan
from extensions.controlnet import networks
from extensions.controlnet.networks import build, config_of, found, shapes, widths
from extensions.controlnet.preprocessors import blur, canny, tile
from tests.engine.conftest import request
from webui.catalog.checkpoints import list_models
from webui.catalog.library.family_detection import wrong_file
from webui.engine.placement import place
from webui.engine.runner import Runner, run_alone
from webui.engine.samplers import SAMPLERS
from webui.engine.schedules import SCHEDULES
from webui.engine.studio import PictureStudio
from webui.engine.tasks import TASKS
from webui.errors import ModelFileError, RequestError
from webui.types import Condition, Decode, LoadModel, Parts, Places

WIDTH, HEIGHT, SEED, STEPS = 96, 64, 7, 10
TOLERANCE = 1e-5  # of the largest latent value; measured: see docs/extensions/controlnet.md


def picture(seed=0, size=(WIDTH, HEIGHT)):
    """Smooth colours with a bright square, another for each seed."""
    y, x = np.mgrid[: size[1], : size[0]] / 64.0
    waves = np.stack([np.sin(3 * x + seed), np.cos(2 * y - seed), np.sin(x + y)], axis=-1)
    made = Image.fromarray(((waves + 1) * 100).astype(np.uint8))
    made.paste((255, 255, 255), (16 + seed, 16, 40 + seed, 40))
    return made


def tiny_controlnet(unet, **values):
    """A ControlNet beside `unet`. Its zero convolutions are filled, or it would add nothing."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        network = ControlNetModel.from_unet(
            unet, conditioning_embedding_out_channels=(8, 8, 16, 16), **values
        )
        for name, weight in network.named_parameters():
            if name.startswith("controlnet_") and weight.abs().max() == 0:
                torch.nn.init.normal_(weight, std=0.3)
    return network.eval()


@pytest.fixture(scope="module")
def places(models_dir, tmp_path_factory):
    """The models folder of all tests, and one with `tiny` in diffusers' layout and `alien` of another family."""
    root = tmp_path_factory.mktemp("controlnets")
    folder = root / "ControlNet"
    unet = UNet2DConditionModel.from_pretrained(
        models_dir / "Stable-diffusion" / "tiny" / "unet", low_cpu_mem_usage=False
    )
    tiny_controlnet(unet).save_pretrained(folder / "tiny")
    alien = {key: torch.zeros(1) for key in ("controlnet_down_blocks.0.bias",)}
    alien["conv_in.weight"] = torch.zeros(8, 4, 3, 3)
    alien["down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight"] = torch.zeros(8, 768)
    save_file(alien, folder / "alien.safetensors")
    (folder / "pickled.pth").write_bytes(b"not looked at")
    return Places(root, (models_dir, root), root)


@pytest.fixture(scope="module")
def conditioner(places):
    (conditioner,) = controlnet.register_conditioners(places)
    return conditioner


def values(conditioner, **given):
    """The extras as a face fills them in."""
    defaults = {control.name: control.default for control in conditioner.controls}
    defaults["controlnet_model"] = "tiny"
    return {**defaults, **{f"controlnet_{name}": value for name, value in given.items()}}


# --- Against diffusers ----------------------------------------------------------------------------


class Recording(Runner):
    """Keeps the last latent that was decoded."""

    def run(self, calls):
        if isinstance(calls[0], Decode):
            self.latent = calls[0].latent
        return super().run(calls)


def ours(models_dir, conditioner, task="txt2img", **given):
    """The final latent of a task, all parts of the engine but its loop."""
    extras = values(conditioner, image=picture(), **given.pop("extras", {}))
    made = request(
        task=task, scheduler="uniform", steps=STEPS, cfg_scale=7.5, seed=SEED, width=WIDTH, height=HEIGHT,
        prompt="a red cat", negative_prompt="dog", extras=extras, **given,
    )  # fmt: skip
    parts = Parts(TASKS, SAMPLERS, SCHEDULES, conditioners=[conditioner])
    runner = Recording(lambda: list_models([models_dir]), place("cpu", "float32", "sdpa"))
    run_alone(TASKS[task].make(made, PictureStudio(made, 0, parts, torch.device("cpu"))), runner)
    return runner.latent


def pipeline(kind, models_dir, places):
    parts = StableDiffusionPipeline.from_pretrained(
        models_dir / "Stable-diffusion" / "tiny", local_files_only=True, low_cpu_mem_usage=False
    ).components
    network = ControlNetModel.from_pretrained(
        places.models_dirs[1] / "ControlNet" / "tiny", low_cpu_mem_usage=False
    )
    pipe = kind(**parts, controlnet=network, requires_safety_checker=False)
    pipe.scheduler = EulerDiscreteScheduler.from_config(
        pipe.scheduler.config, timestep_spacing="linspace"
    )
    pipe.set_progress_bar_config(disable=True)
    return partial(
        pipe, prompt="a red cat", negative_prompt="dog", num_inference_steps=STEPS, guidance_scale=7.5,
        generator=torch.Generator("cpu").manual_seed(SEED), output_type="latent",
    )  # fmt: skip


def largest_difference(latent, expected):
    return float((latent - expected).abs().max() / expected.abs().max())


@pytest.mark.parametrize(
    ("weight", "start", "end"), [(1.0, 0.0, 1.0), (0.6, 0.0, 1.0), (1.5, 0.25, 0.75)]
)
def test_text_to_image_equals_diffusers(models_dir, places, conditioner, weight, start, end):
    pipe = pipeline(StableDiffusionControlNetPipeline, models_dir, places)
    expected = pipe(
        image=picture(), width=WIDTH, height=HEIGHT, controlnet_conditioning_scale=weight,
        control_guidance_start=start, control_guidance_end=end,
    ).images[0]  # fmt: skip
    extras = {"weight": weight, "start": start, "end": end}
    latent = ours(models_dir, conditioner, extras=extras)
    assert largest_difference(latent, expected) < TOLERANCE
    without = ours(models_dir, conditioner, extras={"weight": 0})
    assert largest_difference(latent, without) > 0.01  # it does steer


def test_image_to_image_equals_diffusers(models_dir, places, conditioner):
    pipe = pipeline(StableDiffusionControlNetImg2ImgPipeline, models_dir, places)
    vae, start = pipe.func.vae, picture(5)
    pixels = torch.from_numpy(np.array(start)).permute(2, 0, 1)[None] / 127.5 - 1
    with torch.no_grad():
        mean = vae.encode(pixels).latent_dist.mean * vae.config.scaling_factor
    # our 10 steps at strength 0.5 make 6, as diffusers' 0.6 do
    expected = pipe(
        image=mean, control_image=picture(), strength=0.6, controlnet_conditioning_scale=1.0
    ).images[0]
    latent = ours(
        models_dir, conditioner, "img2img", image=start, denoising_strength=0.5,
    )  # fmt: skip
    assert largest_difference(latent, expected) < TOLERANCE


# --- Shared calls ---------------------------------------------------------------------------------


def test_requests_with_other_pictures_and_weights_share_calls(start, conditioner):
    def asked(number, **given):
        extras = values(conditioner, image=picture(number), **given)
        return request(seed=number, prompt="a cat " * number, steps=6, extras=extras)

    requests = [asked(1, weight=0.8), asked(2, preprocessor="canny"), asked(3, weight=1.4)]
    alone = start(conditioners=[conditioner])
    apart = []
    for one in requests:
        job = alone.engine.submit(one)
        assert alone.end(job).state == "done"
        apart += alone.pictures(job)
    shared = start(conditioners=[conditioner])
    jobs = [shared.engine.submit(one) for one in requests]
    assert [shared.end(job).state for job in jobs] == ["done"] * 3
    together = [made for job in jobs for made in shared.pictures(job)]

    calls = [int(bench.engine.describe()["calls"].split()[0]) for bench in (alone, shared)]
    assert calls[0] == 18 and calls[1] <= 12  # 6 when all three start together
    for one, other in zip(apart, together, strict=True):
        levels = np.frombuffer(one, np.uint8).astype(int) - np.frombuffer(other, np.uint8)
        assert abs(levels).max() <= 1
    assert len(set(apart)) == 3


def test_without_a_picture_nothing_is_loaded(conditioner):
    made = request(extras=values(conditioner))
    assert conditioner.prepare(made, None, None) is None
    made = request(extras=values(conditioner, image=picture(), weight=0))
    assert conditioner.prepare(made, None, None) is None


# --- What is refused ------------------------------------------------------------------------------


def test_a_network_of_another_family_is_refused(models_dir, conditioner):
    with pytest.raises(RequestError, match=r"texts of width 768.*'tiny' has 4 and 32"):
        ours(models_dir, conditioner, extras={"model": "alien"})


def test_a_network_that_is_gone_is_refused(models_dir, conditioner):
    with pytest.raises(RequestError, match="'gone': use alien, tiny"):
        ours(models_dir, conditioner, extras={"model": "gone"})


def test_an_end_before_the_start_is_refused(conditioner, places):
    given = {"start": 0.5, "end": 0.5}
    with pytest.raises(RequestError, match="controlnet_start"):
        made = request(extras=values(conditioner, image=picture(), **given))
        controlnet.change_request(made, places)
    for other in (
        {},
        values(conditioner, **given),
    ):  # of a task without the controls; without a picture
        assert controlnet.change_request(request(extras=other), places) is None


def test_the_first_network_stands_in_for_none_by_its_name(conditioner, places, tmp_path):
    """The infotext tells what differs from the default, so the request must hold the name."""
    made = request(extras=values(conditioner, image=picture(), model=""))
    changed = controlnet.change_request(made, places)
    assert changed.extras == {**made.extras, "controlnet_model": "alien"}
    assert controlnet.change_request(changed, places) is None
    with pytest.raises(RequestError, match="models/ControlNet"):
        controlnet.change_request(made, Places(tmp_path, (tmp_path,), tmp_path))


@pytest.mark.parametrize("content", [b"", b"\x80\x04pickle" * 9, b"\xff" * 64])
def test_a_damaged_file_is_named(tmp_path, content):
    path = tmp_path / "broken.safetensors"
    path.write_bytes(content)
    for reads in (widths, build):
        with pytest.raises(ModelFileError, match=r"broken\.safetensors"):
            reads(path)


def test_weights_of_something_else_are_named(models_dir):
    unet = next((models_dir / "Stable-diffusion" / "tiny" / "unet").glob("*.safetensors"))
    with pytest.raises(ModelFileError, match="not the weights of a ControlNet"):
        widths(unet)
    with pytest.raises(ModelFileError, match=r"unet.*only ControlNetModel loads"):
        build(unet)


def test_safetensors_are_listed_and_nothing_else(places):
    assert list(found(places)) == ["alien", "tiny"]


# --- Files ----------------------------------------------------------------------------------------

STABLE_DIFFUSION_2 = {  # as the configs of its ControlNets say
    "cross_attention_dim": 1024,
    "use_linear_projection": True,
    "attention_head_dim": (5, 10, 20, 20),
}


@pytest.mark.parametrize("values", [{}, STABLE_DIFFUSION_2], ids=["SD 1.5", "SD 2.1"])
def test_the_config_is_told_by_the_shapes(values):
    with torch.device("meta"):
        network = ControlNetModel(**values)  # diffusers' defaults are Stable Diffusion 1.5's
    told = config_of({name: tuple(w.shape) for name, w in network.state_dict().items()})
    assert told == {name: network.config[name] for name in told}
    with torch.device("meta"):
        again = ControlNetModel(**told)
    same = [dict(made.config) for made in (again, network)]
    for config in same:
        del config["_use_default_values"]  # which values were not given
    assert same[0] == same[1]


LDM = (  # diffusers' name, the original one
    ("conv_in.", "input_blocks.0.0."),
    ("time_embedding.linear_1.", "time_embed.0."),
    ("time_embedding.linear_2.", "time_embed.2."),
    ("controlnet_cond_embedding.conv_in.", "input_hint_block.0."),
    ("controlnet_cond_embedding.conv_out.", "input_hint_block.14."),
    ("controlnet_mid_block.", "middle_block_out.0."),
    ("mid_block.resnets.0.", "middle_block.0."),
    ("mid_block.attentions.0.", "middle_block.1."),
    ("mid_block.resnets.1.", "middle_block.2."),
    *((f"controlnet_cond_embedding.blocks.{i}.", f"input_hint_block.{2 * i + 2}.") for i in range(6)),
    *((f"controlnet_down_blocks.{i}.", f"zero_convs.{i}.0.") for i in range(6)),
    ("down_blocks.0.downsamplers.0.conv.", "input_blocks.3.0.op."),
    *(
        (f"down_blocks.{level}.{kind}.{i}.", f"input_blocks.{3 * level + i + 1}.{place}.")
        for level in range(2)
        for i in range(2)
        for place, kind in enumerate(("resnets", "attentions"))
    ),
)  # fmt: skip
IN_A_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}


def original(name):
    """The name that the ControlNet paper's own code gives a weight."""
    start, instead = next(pair for pair in LDM if name.startswith(pair[0]))
    rest = name.removeprefix(start)
    if ".resnets." in f".{start}":
        part, dot, end = rest.partition(".")
        rest = IN_A_RESNET[part] + dot + end
    return f"control_model.{instead}{rest}"


def test_the_original_names_give_the_same_network(tmp_path):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        network = ControlNetModel(
            block_out_channels=(32, 64),
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            cross_attention_dim=32,
        ).eval()
        for weight in network.parameters():
            if weight.abs().max() == 0:
                torch.nn.init.normal_(weight, std=0.1)
    path = tmp_path / "control.safetensors"
    save_file({original(name): w for name, w in network.state_dict().items()}, path)
    assert widths(path) == (4, 32)
    x, times, texts = torch.randn(2, 4, 8, 8), torch.tensor([10.0, 700.0]), torch.randn(2, 77, 32)
    hint = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        given = build(path)(x, times, {"context": texts}, hint=hint)
        expected_down, expected_mid = network(x, times, texts, hint, return_dict=False)
    torch.testing.assert_close(
        [*given.skips, given.middle], [*expected_down, expected_mid], atol=0, rtol=0
    )


def test_a_config_beside_the_file_counts(places, tmp_path):
    """`tiny` has 4 attention heads, which no shape tells: a single file needs its config beside it."""
    folder = places.models_dirs[1] / "ControlNet" / "tiny"
    weights = load_file(folder / "diffusion_pytorch_model.safetensors")
    save_file(weights, tmp_path / "single.safetensors")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (tmp_path / "single.json").write_text(json.dumps(config), encoding="utf-8")
    network = build(tmp_path / "single.safetensors").network
    assert network.config.attention_head_dim == config["attention_head_dim"] != 8
    assert shapes(tmp_path / "single.safetensors").keys() == network.state_dict().keys()


@pytest.fixture(scope="module")
def whole():
    """A network with filled zero convolutions, and the U-Net that it was made beside."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        unet = UNet2DConditionModel(
            block_out_channels=(32, 64),
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
            cross_attention_dim=32,
        )
    weights = tiny_controlnet(unet).state_dict()
    return {key: value.clone() for key, value in weights.items()}, unet.state_dict()


def difference(whole):
    weights, base = whole
    return {key: value - base[key] if key in base else value for key, value in weights.items()}


OTHERS = {
    "a difference by its mark": (lambda w: difference(w) | {"difference": torch.zeros(())}, "'difference'"),
    "a difference without one": (difference, "'difference'"),
    "a difference by its original names": (
        lambda w: {original(k): v for k, v in difference(w).items()} | {"difference": torch.zeros(())}, "'difference'"
    ),
    "a difference in half": (lambda w: {k: v.half() for k, v in difference(w).items()}, "'difference'"),
    "XL by what it is told": (lambda w: w[0] | {"add_embedding.linear_1.weight": torch.zeros(8, 8)}, "Diffusion XL"),
    "XL by its texts": (
        lambda w: w[0] | {"down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight": torch.zeros(8, 2048)},
        "Diffusion XL",
    ),
    "a union": (lambda w: w[0] | {"task_embedding": torch.zeros(6, 8)}, "union"),
    "a control-LoRA": (lambda w: {"lora_controlnet": torch.zeros(0)}, "control-LoRA"),
    "LLLite": (lambda w: {"lllite_unet_x.down.0.weight": torch.zeros(3, 3)}, "LLLite"),
    "a T2I adapter": (lambda w: {"adapter.body.0.in_conv.weight": torch.zeros(3, 3, 1, 1)}, "T2I"),
    "another hint": (
        lambda w: w[0] | {"controlnet_cond_embedding.conv_in.weight": torch.zeros(8, 4, 3, 3)}, "shown 4 channels"
    ),
    "a number that is none": (
        lambda w: w[0] | {"conv_in.bias": torch.full_like(w[0]["conv_in.bias"], float("nan"))}, "NaN"
    ),
    "a weight too many": (lambda w: w[0] | {"conv_in.third": torch.zeros(3)}, "conv_in.third"),
    "an original weight too many": (
        lambda w: {original(k): v for k, v in w[0].items()} | {"control_model.third.weight": torch.zeros(3)},
        "control_model.third",
    ),
    "whole numbers": (lambda w: w[0] | {"conv_in.bias": torch.zeros(32, dtype=torch.int64)}, "no fractions"),
    "a weight too few": (lambda w: {k: v for k, v in w[0].items() if k != "conv_in.bias"}, "conv_in.bias"),
    "a number alone": (lambda w: w[0] | {"conv_in.weight": torch.zeros(())}, "alien"),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_no_whole_controlnet_is_refused_by_a_sentence(tmp_path, whole, name):
    make, words = OTHERS[name]
    path = tmp_path / "alien.safetensors"
    save_file({key: value.contiguous() for key, value in make(whole).items()}, path)
    with pytest.raises(ModelFileError, match=words):
        widths(path)
        build(path)
    with pytest.raises(ModelFileError, match=r"alien\.safetensors"):
        build(path)


def test_what_a_header_tells_is_refused_before_it_is_queued(conditioner, whole, tmp_path):
    (tmp_path / "ControlNet").mkdir()
    path = tmp_path / "ControlNet" / "mine.safetensors"
    save_file(whole[0] | {"add_embedding.linear_1.weight": torch.zeros(8, 8)}, path)
    places = Places(tmp_path, (tmp_path,), tmp_path)
    for model in ("mine", ""):
        made = request(extras=values(conditioner, image=picture(), model=model))
        with pytest.raises(RequestError, match="Diffusion XL"):
            controlnet.change_request(made, places)


def test_a_file_of_another_kind_says_where_it_belongs(conditioner, whole, tmp_path):
    (tmp_path / "ControlNet").mkdir()
    save_file(
        {"lora_unet_x.lora_down.weight": torch.zeros(3)}, tmp_path / "ControlNet" / "a.safetensors"
    )
    places = Places(tmp_path, (tmp_path,), tmp_path, wrong_file)
    made = request(extras=values(conditioner, image=picture(), model="a"))
    with pytest.raises(RequestError, match="a LoRA: put it into models/Lora"):
        controlnet.change_request(made, places)
    (tmp_path / "ESRGAN").mkdir()
    (tmp_path / "ControlNet" / "a.safetensors").rename(tmp_path / "ESRGAN" / "a.safetensors")
    (upscaler,) = esrgan.register_upscalers(places)
    load = next(upscaler.upscale(picture(), 2.0, None))
    with pytest.raises(ModelFileError, match="a LoRA: put it into models/Lora"):
        load.build()


@pytest.mark.parametrize("name", ["diff_control_sd15_canny", "control_v11e_sd15_shuffle"])
def test_some_are_told_by_their_names(tmp_path, whole, name):
    save_file(whole[0], tmp_path / f"{name}.safetensors")
    with pytest.raises(ModelFileError, match=r"difference|pooled"):
        widths(tmp_path / f"{name}.safetensors")


@pytest.mark.parametrize(
    ("config", "words"),
    [
        *(({key: True}, key) for key in ("global_pool_conditions", "class_embed_type", "encoder_hid_dim")),
        ({"_class_name": "ControlNetUnionModel"}, "ControlNetUnionModel"),
        ({"conditioning_channels": 1}, "conditioning_channels"),
        ({"a_new_field": 3}, "a_new_field"),
        ({"layers_per_block": "two"}, "mine"),
        (b"{", "cannot be read"),
    ],
)  # fmt: skip
def test_a_config_that_cannot_be_computed_is_refused(tmp_path, whole, config, words):
    save_file(whole[0], tmp_path / "mine.safetensors")
    usual = {"_class_name": "ControlNetModel", "block_out_channels": [32, 64]}
    told = config if isinstance(config, bytes) else json.dumps({**usual, **config}).encode()
    (tmp_path / "mine.json").write_bytes(told)
    with pytest.raises(ModelFileError, match=words):
        build(tmp_path / "mine.safetensors")


def test_the_order_of_colours_is_the_config_s_and_notes_beside_a_file_are_none(tmp_path, whole):
    save_file(whole[0], tmp_path / "mine.safetensors")
    (tmp_path / "mine.json").write_text('{"description": "mine", "notes": ""}')
    plain = build(tmp_path / "mine.safetensors")
    config = {k: v for k, v in plain.network.config.items() if not k.startswith("_")}
    config |= {"_class_name": "ControlNetModel", "controlnet_conditioning_channel_order": "bgr"}
    (tmp_path / "mine.json").write_text(json.dumps(config))
    turned = build(tmp_path / "mine.safetensors")
    x, times, texts = torch.randn(1, 4, 8, 8), torch.tensor([10.0]), torch.randn(1, 7, 32)
    hint = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(
            turned(x, times, {"context": texts}, hint=hint).middle,
            plain(x, times, {"context": texts}, hint=hint.flip(1)).middle,
        )


def test_every_field_of_a_config_is_classified():
    fields = set(inspect.signature(ControlNetModel.__init__).parameters) - {"self"}
    assert fields - networks.USED - networks.HARMLESS - networks.ONLY.keys() == set()


# --- What the network is shown --------------------------------------------------------------------


def slow_canny(levels, low, high):
    """Canny by scipy's Sobel and labels, with a ridge test pixel by pixel by the gradient's angle."""
    dx = np.stack([ndimage.sobel(c, axis=1, mode="nearest") for c in levels.transpose(2, 0, 1)])
    dy = np.stack([ndimage.sobel(c, axis=0, mode="nearest") for c in levels.transpose(2, 0, 1)])
    best = (abs(dx) + abs(dy)).argmax(axis=0)[None]
    dx, dy = (np.take_along_axis(d, best, axis=0)[0] for d in (dx, dy))
    strength = np.pad(abs(dx) + abs(dy), 1)
    ridge = np.zeros(dx.shape, bool)
    for row, column in np.ndindex(*dx.shape):
        angle = np.degrees(np.arctan2(dy[row, column], dx[row, column])) % 180
        down, across = ((0, 1), (1, 1), (1, 0), (1, -1))[int((angle + 22.5) // 45) % 4]
        here = strength[row + 1, column + 1]
        before = strength[row + 1 - down, column + 1 - across]
        after = strength[row + 1 + down, column + 1 + across]
        ridge[row, column] = here > before and (
            here > after or (here == after and not (down and across))
        )
    weak = ridge & (strength[1:-1, 1:-1] > low)
    labels, _ = ndimage.label(weak, np.ones((3, 3)))
    kept = np.unique(labels[weak & (strength[1:-1, 1:-1] > high)])
    return np.isin(labels, kept[kept > 0])


@pytest.mark.parametrize(("low", "high"), [(100, 200), (30, 400), (20, 60)])
def test_edges_are_those_of_an_independent_canny(low, high):
    made = Image.fromarray(
        np.clip(
            np.asarray(picture(3)) + np.random.default_rng(0).normal(0, 6, (HEIGHT, WIDTH, 3)),
            0,
            255,
        ).astype(np.uint8)
    )
    edges = np.asarray(canny(made, low, high))[..., 0] == 255
    expected = slow_canny(np.asarray(made, dtype=float), low, high)
    assert expected.any() and (edges == expected).all()


def test_a_square_has_four_thin_sides():
    """A white square: its inner ring or the ring around it, and nothing else."""
    made = Image.new("RGB", (40, 40))
    made.paste((255, 255, 255), (10, 10, 30, 30))
    edges = np.asarray(canny(made, 100, 200))[..., 0] == 255
    for line in (edges[20], edges[:, 20]):  # across the middle: one pixel at each side
        (at,) = np.nonzero(line)
        assert len(at) == 2 and at[0] in (9, 10) and at[1] in (29, 30)
    assert not edges[12:28, 12:28].any() and not edges[:8].any() and not edges[32:].any()


def test_a_weak_edge_is_drawn_where_it_joins_a_strong_one():
    """Two steps of 30 levels (strength 120), one of which ends at a step of 120 (strength 480)."""
    levels = np.zeros((40, 60, 3), np.uint8)
    levels[:20, 10:30] = 30
    levels[20:, :] = 120
    levels[2:12, 40:50] = 30  # an island
    edges = np.asarray(canny(Image.fromarray(levels), 100, 200))[..., 0] == 255
    assert edges[5:15, 8:12].any(axis=1).all()  # the joined step, all along
    assert not edges[:15, 36:].any()  # the island is as strong, and joins nothing


def test_blur_and_tile_keep_the_size_and_the_mean():
    made = picture(2)
    for coarse in (blur(made), tile(made)):
        assert coarse.size == made.size and coarse.mode == "RGB"
        rough = np.abs(np.diff(np.asarray(coarse, float), axis=1)).max()
        assert rough < np.abs(np.diff(np.asarray(made, float), axis=1)).max() / 3
    means = [np.asarray(one, float).mean(axis=(0, 1)) for one in (made, tile(made))]
    np.testing.assert_allclose(*means, atol=1.5)


def test_the_picture_is_cut_not_stretched(conditioner):
    """A picture twice as wide as asked for: the middle half is shown."""
    made = Image.new("RGB", (256, 64), (0, 0, 0))
    made.paste((255, 0, 0), (64, 0, 192, 64))
    shown = controlnet.shown(values(conditioner, image=made), (128, 64))
    assert np.asarray(shown)[..., 0].min() > 250


def test_the_condition_keeps_the_adapters_it_had(models_dir, conditioner):
    """Two conditioners may each bring a network."""
    runner = Runner(lambda: list_models([models_dir]), place("cpu", "float32", "sdpa"))
    with torch.inference_mode():
        model = runner.load(LoadModel("tiny"))
    before = Condition(model, (), control_networks=("another",), size=(64, 64))
    made = request(extras=values(conditioner, image=picture()))
    studio = PictureStudio(made, 0, Parts(TASKS, SAMPLERS, SCHEDULES), torch.device("cpu"))
    cond = run_alone(conditioner.prepare(made, studio, before), runner)
    assert len(cond.control_networks) == 2 and cond.control_networks[0] == "another"
    hint = cond.control_networks[1].inputs["hint"]
    assert hint.shape == (3, 64, 64) and 0 <= hint.min() and hint.max() <= 1
