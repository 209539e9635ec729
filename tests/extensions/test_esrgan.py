"""ESRGAN: the network against the papers' equations, tiles against the whole picture, files against their faults."""

from __future__ import annotations

import json
import re
import struct

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch.nn import functional as F

from extensions import esrgan
from extensions.esrgan.rrdbnet import Shape, rrdbnet
from extensions.esrgan.tiles import DROPPED, OVERLAP, TILE, blend, tiles
from extensions.esrgan.weights import build
from tests.engine.conftest import request
from webui.engine.tasks import TASKS
from webui.errors import ModelFileError
from webui.types import Places, Task

# scale: doublings and folding, as in ESRGAN x1, x2, x4, x8 and Real-ESRGAN x2, x1
SHAPES = {
    "x1": (0, 1),
    "x2": (1, 1),
    "x4": (2, 1),
    "x8": (3, 1),
    "x2 folded": (2, 2),
    "x1 folded": (2, 4),
}


def random_weights(ups=2, shuffle=1, filters=8, growth=4, blocks=1, seed=0):
    """An RRDBNet's weights by Real-ESRGAN's names, sized as in the paper. Pictures come out mid-grey and textured."""
    draw = torch.Generator().manual_seed(seed)
    sizes = {"conv_first": (3 * shuffle**2, filters)}
    for block in range(blocks):
        for dense in (1, 2, 3):
            for i in range(5):
                name = f"body.{block}.rdb{dense}.conv{i + 1}"
                sizes[name] = (filters + i * growth, filters if i == 4 else growth)
    for name in ("conv_body", *(f"conv_up{i + 1}" for i in range(ups)), "conv_hr"):
        sizes[name] = (filters, filters)
    sizes["conv_last"] = (filters, 3)
    weights = {}
    for name, (before, after) in sizes.items():
        spread = (2 / (9 * before)) ** 0.5
        weights[f"{name}.weight"] = torch.randn(after, before, 3, 3, generator=draw) * spread
        weights[f"{name}.bias"] = torch.randn(after, generator=draw) * 0.1
    weights["conv_last.bias"] = torch.full((3,), 0.5)
    return weights


def as_in_the_paper(weights, x, ups, shuffle):
    """Wang et al. 2018, section 3.1, and Real-ESRGAN's folding, on bare weights."""

    def conv(name, y):
        return F.conv2d(y, weights[f"{name}.weight"], weights[f"{name}.bias"], padding=1)

    def dense(name, y):
        seen = [y]
        for i in (1, 2, 3, 4):
            seen.append(F.leaky_relu(conv(f"{name}.conv{i}", torch.cat(seen, 1)), 0.2))
        return y + 0.2 * conv(f"{name}.conv5", torch.cat(seen, 1))

    n, c, h, w = x.shape
    folded = x.reshape(n, c, h // shuffle, shuffle, w // shuffle, shuffle)
    folded = folded.permute(0, 1, 3, 5, 2, 4).reshape(n, -1, h // shuffle, w // shuffle)
    first = y = conv("conv_first", folded)
    block = 0
    while f"body.{block}.rdb1.conv1.weight" in weights:
        inner = y
        for number in (1, 2, 3):
            inner = dense(f"body.{block}.rdb{number}", inner)
        y, block = y + 0.2 * inner, block + 1
    y = first + conv("conv_body", y)
    for i in range(ups):
        y = F.leaky_relu(
            conv(f"conv_up{i + 1}", y.repeat_interleave(2, 2).repeat_interleave(2, 3)), 0.2
        )
    return conv("conv_last", F.leaky_relu(conv("conv_hr", y), 0.2))


@pytest.mark.parametrize(("ups", "shuffle"), SHAPES.values(), ids=SHAPES)
def test_the_network_is_the_papers(tmp_path, ups, shuffle):
    weights = random_weights(ups, shuffle, blocks=2)
    save_file(weights, tmp_path / "net.safetensors")
    network = build(tmp_path / "net.safetensors")
    x = torch.rand(2, 3, 24, 16, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        result = network(x)
    assert result.shape == (2, 3, 24 * 2**ups // shuffle, 16 * 2**ups // shuffle)
    torch.testing.assert_close(result, as_in_the_paper(weights, x, ups, shuffle), atol=1e-6, rtol=0)


def as_esrgan_named_it(weights, ups):
    """The names of the first release: one nn.Sequential with the activations between."""
    last = {f"conv_up{i + 1}": 3 * (i + 1) for i in range(ups)}
    last |= {"conv_hr": 3 * ups + 2, "conv_last": 3 * ups + 4}
    blocks = 1 + max(int(name.split(".")[1]) for name in weights if name.startswith("body"))

    def name(key):
        part, _, end = key.rpartition(".")
        if found := re.fullmatch(r"body\.(\d+)\.rdb(\d)\.conv(\d)", part):
            return "model.1.sub.{}.RDB{}.conv{}.0.{}".format(*found.groups(), end)
        return f"model.{ {'conv_first': '0', 'conv_body': f'1.sub.{blocks}'}.get(part) or last[part] }.{end}"

    return {name(key): value for key, value in weights.items()}


def as_bsrgan_named_it(weights, ups):
    renamed = {"conv_body": "trunk_conv", "conv_hr": "HRconv", "body": "RRDB_trunk"}
    names = {}
    for key, value in weights.items():
        first, _, rest = key.partition(".")
        first = renamed.get(first, first).replace("conv_up", "upconv")
        names[f"{first}.{rest.replace('rdb', 'RDB')}"] = value
    return names


@pytest.mark.parametrize("layout", [as_esrgan_named_it, as_bsrgan_named_it])
@pytest.mark.parametrize("ups", [0, 1, 2, 3])
def test_every_layout_of_names_gives_the_same_network(tmp_path, layout, ups):
    weights = random_weights(ups, blocks=2)
    named = layout(weights, ups)
    assert named.keys() != weights.keys()
    save_file(named, tmp_path / "net.safetensors")
    found = build(tmp_path / "net.safetensors").state_dict()
    torch.testing.assert_close(found, weights, atol=0, rtol=0)


@pytest.mark.parametrize("front", ["params_ema.", "params.", "module.", "params.module."])
def test_what_trainers_put_in_front_of_names_is_taken_off(tmp_path, front):
    weights = random_weights(seed=3)
    told = {f"{front}{name}": value for name, value in weights.items()}
    if front == "params_ema.":  # of two the averaged one
        told |= {f"params.{name}": value * 0 for name, value in weights.items()}
    save_file(told, tmp_path / "a.safetensors")
    found = build(tmp_path / "a.safetensors").state_dict()
    assert set(found) == set(weights)
    assert all(torch.equal(found[name], value) for name, value in weights.items())


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("layers.0.residual_group.blocks.0.attn.qkv.weight", "SwinIR"),
        ("layers.0.residual_group.overlap_attn.qkv.weight", "HAT"),
        ("layers.0.blocks.0.attn.attns.0.rpe_biases", "DAT"),
        ("block_1.c1_r.sk.weight", "SPAN"),
        ("body.1.weight", "SRVGG"),
    ],
)
def test_another_architecture_is_told_by_its_name(tmp_path, name, said):
    save_file({name: torch.zeros(3)}, tmp_path / "a.safetensors")
    with pytest.raises(ModelFileError, match=said):
        build(tmp_path / "a.safetensors")


@pytest.mark.parametrize(
    "spoil",
    [
        {"conv_first.weight": torch.zeros(())},
        {"conv_last.weight": torch.zeros(())},
        {"conv_hr.bias": torch.full((8,), float("nan"))},
        {"conv_hr.bias": torch.zeros(8, dtype=torch.int32)},
        {"body.999999999.rdb1.conv1.weight": torch.zeros(3)},
    ],
)
def test_odd_tensors_are_a_sentence(tmp_path, spoil):
    save_file(random_weights() | spoil, tmp_path / "odd.safetensors")
    with pytest.raises(ModelFileError, match=r"odd\.safetensors"):
        build(tmp_path / "odd.safetensors")


def test_a_side_that_does_not_fold_is_filled_up_and_cut():
    network = rrdbnet(Shape(8, 4, 1, ups=2, shuffle=2))
    with torch.no_grad():
        assert network(torch.rand(1, 3, 17, 9)).shape == (1, 3, 34, 18)


# --- Tiles ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(1, 1), (192, 33), (193, 192), (353, 224), (520, 700)])
@pytest.mark.parametrize("scale", [1, 2, 4])
def test_the_weights_of_all_tiles_sum_to_one(size, scale):
    width, height = size
    canvas = torch.zeros(3, height * scale, width * scale)
    for tile in tiles(width, height):
        assert tile.right - tile.left <= TILE and tile.bottom - tile.top <= TILE
        sides = ((tile.bottom - tile.top) * scale, (tile.right - tile.left) * scale)
        blend(canvas, tile, torch.ones(3, *sides))
    torch.testing.assert_close(canvas, torch.ones_like(canvas), atol=1e-6, rtol=0)


def in_tiles(network, x, scale):
    canvas = torch.zeros(3, x.shape[1] * scale, x.shape[2] * scale)
    cut = tiles(x.shape[2], x.shape[1])
    for tile in cut:
        blend(canvas, tile, network(x[None, :, tile.top : tile.bottom, tile.left : tile.right])[0])
    return canvas, len(cut)


def test_tiles_give_exactly_the_whole_where_a_network_sees_no_further_than_what_is_dropped():
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        *(torch.nn.Conv2d(3, 3, 3, padding=1) for _ in range(DROPPED)),
        torch.nn.Upsample(scale_factor=2),
    )
    x = torch.rand(3, 200, 400)
    with torch.no_grad():
        tiled, count = in_tiles(network, x, 2)
        torch.testing.assert_close(tiled, network(x[None])[0], atol=1e-6, rtol=0)
    assert count == 2 * 3


def test_tiles_of_an_rrdbnet_differ_from_the_whole_at_seams_only():
    """One block sees 18.25 pixels far: away from where tiles fade into each other nothing may differ."""
    weights = random_weights(ups=1, blocks=1)
    network = rrdbnet(Shape(8, 4, 1, ups=1, shuffle=1))
    network.load_state_dict(weights)
    x = torch.rand(3, 40, 360, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        tiled, count = in_tiles(network, x, 2)
        whole = network(x[None])[0]
    assert count == 3
    difference = (tiled - whole).abs().amax(dim=(0, 1))  # [W * 2]
    seams = torch.zeros(360, dtype=torch.bool)
    for start in (TILE - OVERLAP, 2 * (TILE - OVERLAP)):
        seams[start + DROPPED : start + OVERLAP - DROPPED] = True
    assert difference[~seams.repeat_interleave(2)].max() < 1e-5  # fp32's rounding, measured 2.9e-6
    assert difference.max() < 1e-4 * whole.std()  # measured 1.6e-5


# --- In the engine --------------------------------------------------------------------------------


def enlarge(request, studio):
    return (yield from studio.upscale(request.prompt, request.image, request.cfg_scale))


@pytest.fixture
def upscaled(start, tmp_path):
    """Uploads to an engine whose upscalers are those of `tmp_path`: gives the picture or the error."""

    def run(picture, name, scale):
        places = Places(tmp_path, (tmp_path,), tmp_path)
        upscalers = {u.name: u for u in esrgan.register_upscalers(places)}
        task = Task("enlarge", "Enlarge", enlarge, samples=False)
        bench = start(upscalers=upscalers, tasks={**TASKS, "enlarge": task})
        job = bench.engine.submit(
            request(task="enlarge", prompt=name, cfg_scale=scale, image=picture)
        )
        status = bench.end(job)
        return bench.finished[0].picture if status.state == "done" else status.error

    return run


def noise(width, height, seed=3):
    levels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(levels)


def test_an_upscaler_of_the_engine_gives_what_the_network_gives(upscaled, tmp_path):
    (tmp_path / "RealESRGAN").mkdir()
    weights = random_weights(ups=2)
    save_file(weights, tmp_path / "RealESRGAN" / "mine.safetensors")
    picture = noise(50, 30)
    x = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None] / 255
    expected = as_in_the_paper(weights, x, 2, 1)[0].clamp(0, 1).permute(1, 2, 0) * 255
    assert 20 < expected.std() and expected.min() < 250  # a picture, not a plane
    made = upscaled(picture, "mine", 4)
    assert made.size == (200, 120)
    assert np.abs(np.asarray(made, float) - expected.numpy()).max() < 0.51  # rounding


@pytest.mark.parametrize(("scale", "size"), [(1.5, (75, 45)), (8, (400, 240)), (6, (300, 180))])
def test_any_scale_comes_out_at_its_size(upscaled, tmp_path, scale, size):
    """Above the network's own it runs again, from the size that it reaches the goal from."""
    (tmp_path / "ESRGAN").mkdir()
    save_file(random_weights(ups=2, filters=4, growth=2), tmp_path / "ESRGAN" / "x4.safetensors")
    assert upscaled(noise(50, 30), "x4", scale).size == size


def test_a_network_that_does_not_enlarge_runs_once(upscaled, tmp_path):
    (tmp_path / "ESRGAN").mkdir()
    save_file(random_weights(ups=0), tmp_path / "ESRGAN" / "x1.safetensors")
    assert upscaled(noise(40, 24), "x1", 2).size == (80, 48)


# --- Files ----------------------------------------------------------------------------------------


def test_safetensors_are_listed_and_nothing_else(tmp_path):
    for folder, name in (("ESRGAN", "b.safetensors"), ("ESRGAN", "a.pth"), ("RealESRGAN", "c.pt")):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / name).write_bytes(b"")
    found = esrgan.register_upscalers(Places(tmp_path, (tmp_path,), tmp_path))
    assert [upscaler.name for upscaler in found] == ["b"]


def cut_short(path):
    save_file(random_weights(), path)
    path.write_bytes(path.read_bytes()[:-100])


def without_a_layer(path):
    weights = random_weights()
    del weights["conv_hr.bias"]
    save_file(weights, path)


def of_another_width(path):
    weights = random_weights()
    weights["conv_body.weight"] = torch.zeros(8, 9, 3, 3)
    save_file(weights, path)


def of_something_else(path):
    save_file({"layers.0.weight": torch.zeros(3)}, path)


def endless(path):
    header = json.dumps({"x": {"dtype": "F32", "shape": [9], "data_offsets": [0, 36]}}).encode()
    path.write_bytes(struct.pack("<Q", 2**60) + header)


FAULTS = {
    cut_short: "cannot be read",
    endless: "cannot be read",
    without_a_layer: "has no 'conv_hr.bias'",
    of_another_width: r"'conv_body.weight' has shape \(8, 9, 3, 3\) instead of \(8, 8, 3, 3\)",
    of_something_else: "not the weights of an RRDBNet.* spandrel",
}


@pytest.mark.parametrize(
    ("spoil", "fault"), FAULTS.items(), ids=lambda v: getattr(v, "__name__", "")
)
def test_a_file_that_cannot_be_used_is_named_with_its_fault(tmp_path, spoil, fault):
    path = tmp_path / "net.safetensors"
    spoil(path)
    with pytest.raises(ModelFileError, match=rf"net\.safetensors: .*{fault}"):
        build(path)


def test_the_job_tells_the_files_fault(upscaled, tmp_path):
    (tmp_path / "ESRGAN").mkdir()
    without_a_layer(tmp_path / "ESRGAN" / "broken.safetensors")
    assert "broken.safetensors: has no 'conv_hr.bias'" in upscaled(noise(16, 16), "broken", 2)
