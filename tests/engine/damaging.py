"""Good model files of every kind, damaged at random, and what becomes of them in the list and in a job."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from extensions.controlnet.networks import build as controlnet
from extensions.controlnet.networks import widths
from extensions.esrgan.rrdbnet import Shape, rrdbnet
from extensions.esrgan.weights import build as upscaler
from tests.engine.conftest import request
from webui.catalog.checkpoints import ModelList
from webui.catalog.library import Library
from webui.catalog.model_folders import AdapterFiles
from webui.engine.control import residuals
from webui.engine.placement import place
from webui.engine.runner import Runner, run_alone
from webui.engine.samplers import SAMPLERS
from webui.engine.schedules import SCHEDULES
from webui.engine.studio import PictureStudio
from webui.engine.tasks import TASKS
from webui.errors import EaselError
from webui.testing.families import FAMILIES, build, write
from webui.types import (
    ControlNetwork,
    Decode,
    EncodeText,
    LoadAdapters,
    LoadModel,
    LoadNetwork,
    LoadVae,
    Parts,
    RunNetwork,
)
from webui.types.library import FOLDERS

__all__ = ["KINDS", "Maker", "Outcome", "outcome"]

Weights = dict[str, Tensor]
PARTS = Parts(TASKS, SAMPLERS, SCHEDULES)
KINDS = ("sd1", "sdxl", "folder", "vae", "embedding", "controlnet", "upscaler", "lora")
PLACEMENT = place("cpu", "float32", "sdpa")
VALUES = (
    None,
    "",
    "x",
    -1,
    0,
    1,
    3,
    7,
    1e30,
    0.5,
    True,
    False,
    [],
    [1],
    {},
    {"a": 1},
    "1",
    [[1]],
    10**9,
    [None],
)


@dataclass(frozen=True)
class Outcome:
    """`said` is a sentence, "" for a picture; `fault` is an exception that is none of ours."""

    did: str
    said: str = ""
    fault: str = ""
    named: bool = True

    @property
    def fine(self) -> bool:
        return not self.fault and "internal error" not in self.said and self.named


class Maker:
    """Good files below `top`, and damaged copies of them."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self.good = top / "good"
        sd1 = build(FAMILIES["sd1"], seed=4)
        write(self.good / "sd1.safetensors", sd1, "ldm")
        write(self.good / "sdxl.safetensors", build(FAMILIES["sdxl"], seed=4), "ldm")
        write(self.good / "folder", sd1, "folder")
        save_file(sd1["vae"].state_dict(), self.good / "vae.safetensors")
        save_file({"emb_params": torch.randn(2, 64)}, self.good / "embedding.safetensors")
        from diffusers import ControlNetModel

        beside = ControlNetModel.from_unet(sd1["unet"], conditioning_embedding_out_channels=(8, 8))
        save_file(beside.state_dict(), self.good / "controlnet.safetensors")
        scales = rrdbnet(Shape(8, 4, 1, 1, 1))
        save_file(scales.state_dict(), self.good / "upscaler.safetensors")
        layer = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
        pair = {"lora_down": torch.randn(2, 64), "lora_up": torch.randn(64, 2)}
        told = {f"{layer}.{part}.weight": value for part, value in pair.items()}
        save_file(told | {f"{layer}.alpha": torch.tensor(1.0)}, self.good / "lora.safetensors")

        # Loaded once, so that what is kept beside models (the colours of previews) need not be made a hundred times.
        ready = self.top / "ready"
        for name in ("sd1.safetensors", "sdxl.safetensors", "folder"):
            target = ready / FOLDERS["checkpoint"] / name
            target.parent.mkdir(parents=True, exist_ok=True)
            (self.good / name).rename(target)
        runner = Runner(ModelList([ready]), PLACEMENT)
        for card in ModelList([ready])():
            runner.run([LoadModel(card.name)])
        for path in (ready / FOLDERS["checkpoint"]).iterdir():
            path.rename(self.good / path.name)

    def damaged(self, kind: str, seed: int | None) -> tuple[Path, str]:
        """A models folder with the damaged file, and what was done to it; without a `seed` nothing."""
        draw = random.Random(f"{kind} {seed}")
        models = self.top / "models"
        shutil.rmtree(models, ignore_errors=True)
        place = FOLDERS["checkpoint" if kind in ("sd1", "sdxl", "folder") else kind]
        (models / place).mkdir(parents=True)
        if kind == "folder":
            path = models / place / "odd"
            shutil.copytree(self.good / "folder", path)
            if seed is None:
                return models, ""
            return models, _configs(path, draw) if draw.random() < 0.7 else _parts(path, draw)
        path = models / place / "odd.safetensors"
        shutil.copy(self.good / f"{kind}.safetensors", path)
        if (colours := self.good / f"{kind}.easel.json").is_file():
            shutil.copy(colours, path.with_name("odd.easel.json"))
        if place != FOLDERS["checkpoint"]:
            (models / FOLDERS["checkpoint"]).mkdir()
            for ending in (".safetensors", ".easel.json"):
                whole = models / FOLDERS["checkpoint"] / f"good{ending}"
                shutil.copy(self.good / f"sd1{ending}", whole)
        return models, "" if seed is None else _file(path, draw)


def _parts(folder: Path, draw: random.Random) -> str:
    path = draw.choice(sorted(folder.rglob("*.safetensors")))
    return f"{path.parent.name}: {_file(path, draw)}"


def _configs(folder: Path, draw: random.Random) -> str:
    """One of a folder's JSON files with another value, without one, with one more, or as no JSON at all."""
    path = draw.choice(sorted(p for p in folder.rglob("*.json") if p.name != "tokenizer.json"))
    name = path.relative_to(folder).as_posix()
    match draw.randrange(8):
        case 0:
            path.write_bytes(
                draw.choice([b"", b"{", b"[]", b"null", b"\xff", b"[" * 50_000, b'{"a": NaN}'])
            )
            return f"{name} is no JSON object"
        case 1:
            path.unlink()
            return f"{name} is gone"
    told = json.loads(path.read_text())
    key = draw.choice([*told, "a_new_field"])
    if draw.random() < 0.2:
        told.pop(key, None)
    else:
        told[key] = draw.choice(VALUES)
    path.write_text(json.dumps(told))
    return f"{name}: {key} {told.get(key, 'gone')!r}"


def _file(path: Path, draw: random.Random) -> str:
    if draw.random() < 0.2:
        return _bytes(path, draw)
    weights = load_file(path)
    did = [draw.choice(CHANGES)(weights, draw) for _ in range(draw.randrange(1, 3))]
    save_file({name: value.contiguous() for name, value in weights.items()}, path)
    return "; ".join(did)


def _bytes(path: Path, draw: random.Random) -> str:
    content = bytearray(path.read_bytes())
    match draw.randrange(5):
        case 0:
            content = content[: draw.randrange(len(content))]
        case 1:
            content[draw.randrange(8)] ^= 1 << draw.randrange(8)
        case 2:
            content[draw.randrange(8, 400)] = draw.randrange(256)
        case 3:
            content += bytes(draw.randrange(1, 99))
        case 4:
            content = bytearray(
                draw.choice([b"", b"<html>", b"PK\x03\x04" + bytes(90), bytes(99), b"\x80\x02."])
            )
    path.write_bytes(content)
    return "other bytes"


def _change(
    make: Callable[[Tensor, random.Random], Tensor],
) -> Callable[[Weights, random.Random], str]:
    def change(weights: Weights, draw: random.Random) -> str:
        if not weights:
            return "nothing left"
        name = draw.choice(sorted(weights))
        weights[name] = make(weights[name], draw)
        return f"{name} {tuple(weights[name].shape)} {weights[name].dtype}"

    return change


def _dropped(weights: Weights, draw: random.Random) -> str:
    name = draw.choice(sorted(weights) or [""])
    weights.pop(name, None)
    return f"without {name}"


def _renamed(weights: Weights, draw: random.Random) -> str:
    name = draw.choice(sorted(weights) or [""])
    if name in weights:
        weights[
            draw.choice([f"module.{name}", f"{name}x", name.replace("0", "7", 1), name[3:] or "x"])
        ] = weights.pop(name)
    return f"renamed {name}"


def _fronted(weights: Weights, draw: random.Random) -> str:
    front = draw.choice(["module.", "model.", "state_dict."])
    for name in list(weights):
        weights[front + name] = weights.pop(name)
    return f"{front} in front"


def _swapped(weights: Weights, draw: random.Random) -> str:
    if len(weights) > 1:
        one, other = draw.sample(sorted(weights), 2)
        weights[one], weights[other] = weights[other].clone(), weights[one].clone()
        return f"{one} and {other} changed places"
    return "one alone"


def _without_a_part(weights: Weights, draw: random.Random) -> str:
    start = draw.choice(sorted(weights) or [""])[: draw.randrange(8, 30)]
    for name in [name for name in weights if name.startswith(start)]:
        del weights[name]
    return f"without {start}"


def _more(weights: Weights, draw: random.Random) -> str:
    name = draw.choice(
        ["", "x", "scaled_fp8", "lora_unet_x.alpha", "difference", "a" * 300, "\u202e", "0.0.0"]
    )
    near = draw.choice(sorted(weights) or ["x"]).rpartition(".")[0]
    weights[draw.choice([name, f"{near}.{name}", f"{near}.999999999.weight"])] = torch.zeros(
        draw.choice([(), (1,), (3, 3)])
    )
    return f"with {name!r}"


DTYPES = (
    torch.int64,
    torch.bool,
    torch.float64,
    torch.float8_e4m3fn,
    torch.bfloat16,
    torch.uint8,
    torch.float16,
)
CHANGES: tuple[Callable[[Weights, random.Random], str], ...] = (
    *(_dropped, _renamed, _fronted, _swapped, _without_a_part, _more),
    _change(lambda t, draw: t.transpose(0, -1) if t.ndim > 1 else t),
    _change(lambda t, draw: t[: draw.randrange(len(t) + 1)] if t.ndim else t),
    _change(lambda t, draw: t[None] if draw.random() < 0.5 else t[..., None]),
    _change(lambda t, draw: t.flatten()[:1].sum()),
    _change(lambda t, draw: t.to(draw.choice(DTYPES))),
    _change(lambda t, draw: torch.full_like(t, draw.choice([float("nan"), float("inf"), 1e30, 0.0]))),
    _change(lambda t, draw: torch.zeros(draw.choice([(0,), (1,), (2, 0), (7, 7, 7, 7)]))),
)  # fmt: skip


# --- What becomes of them -----------------------------------------------------------------------------


def outcome(maker: Maker, kind: str, seed: int | None) -> Outcome:
    """Lists a damaged file, and uses it for one picture or what is a step of one."""
    models, did = maker.damaged(kind, seed)
    try:
        cards = ModelList([models])
        files = Library([models], cards).files()
        (odd,) = [one for one in files if "odd" in one.path.name]
        runner = Runner(cards, PLACEMENT, adapter_files=AdapterFiles([models]))
        if odd.problem and kind in ("sd1", "sdxl", "folder"):
            return Outcome(did, odd.problem, named="odd" in odd.problem)
        USE[kind](runner, odd.path)
        # What is listed as wrong must not paint: the list would lie.
        return Outcome(did, fault=f"used, though listed with {odd.problem}" if odd.problem else "")
    except EaselError as error:
        told = str(error)
        parts = kind == "folder" and any(
            f"{part}/" in told for part in (*FAMILIES["sd1"], "tokenizer")
        )
        return Outcome(did, told, named="odd" in told or parts)
    except Exception as error:  # what the fuzz looks for
        return Outcome(did, fault=f"{type(error).__name__}: {error}")


def _paint(runner: Runner, path: Path) -> None:
    asked = request(
        model=path.name, steps=1, width=64, height=64, prompt="a cat", sampler_name="Euler"
    )
    run_alone(
        TASKS["txt2img"].make(asked, PictureStudio(asked, 0, PARTS, torch.device("cpu"))), runner
    )


def _model(runner: Runner) -> Any:
    return runner.run([LoadModel("good.safetensors")])[0]


def _vae(runner: Runner, path: Path) -> None:
    model = _model(runner)
    name = runner.run([LoadVae(model, path.name)])[0]
    runner.run([Decode(model, torch.zeros(model.latent_shape(64, 64)), vae=name)])


def _embedding(runner: Runner, path: Path) -> None:
    runner.run([EncodeText(_model(runner), "an odd cat", "", 1)])


def _lora(runner: Runner, path: Path) -> None:
    model = _model(runner)
    lora = runner.run([LoadAdapters(model, (("odd", 1.0, 1.0),))])[0]
    runner.run([EncodeText(model, "a cat", "", 1, lora)])


def _controlnet(runner: Runner, path: Path) -> None:
    widths(path)
    network = runner.run([LoadNetwork("controlnet", str(path), partial(controlnet, path))])[0]
    control = ControlNetwork(network, {"hint": torch.rand(3, 64, 64)})
    x, steps, told = torch.zeros(1, 4, 32, 32), torch.ones(1), {"context": torch.zeros(1, 77, 64)}
    module = runner.extension_networks.module
    residuals([(control,)], [0], x, steps, told, torch.nn.Identity(), module)


def _upscaler(runner: Runner, path: Path) -> None:
    network = runner.run([LoadNetwork("esrgan", str(path), partial(upscaler, path))])[0]
    runner.run([RunNetwork(network, (torch.rand(1, 3, 8, 8),))])


USE: dict[str, Callable[[Runner, Path], None]] = {
    **dict.fromkeys(("sd1", "sdxl", "folder"), _paint),
    **{"vae": _vae, "embedding": _embedding, "lora": _lora},
    **{"controlnet": _controlnet, "upscaler": _upscaler},
}
