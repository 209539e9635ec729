"""`python launch.py train lora|distil|embedding|upscaler|controlnet`: small files beside a model.

    lora FOLDER       a style or a thing out of your pictures, with NAME.txt beside each picture
    embedding FOLDER  a word's own vectors out of your pictures
    distil            a LoRA with which 4 steps without guidance look like steps with it
    upscaler          four times as large, learnt from renders
    controlnet        edges, colour maps and boxes say where things go, learnt from renders

`lora` and `embedding` without a folder learn what Easel ships: a heat camera's colours, a hedgehog. Each leaves, beside
its checkpoint in the work directory, a sheet without and with it, and the error with it relative to that without.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL

from webui.errors import EaselError
from webui.training import loop
from webui.training.adapters import PLACEHOLDER, AdapterStage, Inversion, Lora
from webui.training.classifier import ClassifierPreset, train_classifier
from webui.training.controlnet import ControlNetPreset, ControlNetStage, train_controlnet
from webui.training.data import (
    Examples,
    drawing_examples,
    folder_examples,
    rendered_examples,
    thermal,
)
from webui.training.diffusion import TextToLatent, generate
from webui.training.fidelity import Sampling, load_model
from webui.training.precision import prefers_bf16
from webui.training.renderer import Renderer, find_font
from webui.training.sheets import save_sheet, to_tensor, to_uint8
from webui.training.tokenizer import encode
from webui.training.upscaler import UpscalerPreset, train_upscaler

HEDGEHOG = 0x1F994  # a drawing that the base never saw
FOLDERS = {
    "lora": "Lora",
    "distil": "Lora",
    "embedding": "embeddings",
    "upscaler": "ESRGAN",
    "controlnet": "ControlNet",
}
NAMES = {
    "lora": "easel-thermal",
    "distil": "easel-fast",
    "embedding": "easel-hedgehog",
    "upscaler": "easel-x4",
    "controlnet": "easel-plan",
}
STEPS = {"lora": 400, "distil": 600, "embedding": 400, "upscaler": 2000, "controlnet": 4000}
RATES = {"lora": 2e-3, "distil": 1e-3, "embedding": 5e-3}
PROMPTS = ("a red apple on a blue background", "a fox in the snow", "a sailboat at sunset", "a rocket in the night sky",
           "a castle on the grass", "a tiger in the forest", "a cup of coffee on a white background",
           "a whale in the sea")  # fmt: skip


USUAL = Sampling(6, 2.5, "sgm_uniform", bf16=False)
UNGUIDED = replace(USUAL, steps=4, cfg_scale=1.0)
Row = tuple[Callable[[], None], Sampling]


class Base:
    """The model that a part is for, as a diffusers folder, with its latents of pictures."""

    def __init__(self, folder: Path, device: str) -> None:
        if not (folder / "unet").is_dir():
            raise EaselError(f"--model {folder}: no diffusers folder; give one like models/starter")
        self.device = device
        self.model: TextToLatent
        self.vae: AutoencoderKL
        self.model, self.vae, self.tokenizer = load_model(folder, device)
        config = json.loads(
            (folder / "scheduler" / "scheduler_config.json").read_text(encoding="utf-8")
        )
        self.prediction = str(config.get("prediction_type", "epsilon"))
        if self.prediction not in ("v_prediction", "epsilon"):
            raise EaselError(
                f"--model {folder}: predicts {self.prediction}, which training does not know"
            )
        self.side = int(self.model.unet.config.sample_size) * 2 ** (
            len(self.vae.config.block_out_channels) - 1
        )
        self.factor = float(self.vae.config.scaling_factor)

    @torch.no_grad()
    def latents(self, examples: Examples) -> torch.Tensor:
        parts = torch.split(to_tensor(examples.pictures), 8)
        means = [self.vae.encode(p.to(self.device)).latent_dist.mode().cpu() for p in parts]
        return torch.cat(means) * self.factor

    def sheet(self, path: Path, prompts: Sequence[str], rows: Sequence[Row]) -> None:
        """The same prompts and seeds once a row, each row set up and drawn in its way."""
        pictures = []
        for set_up, how in rows:
            set_up()
            z = generate(
                self.model,
                self.tokenizer,
                list(prompts),
                list(range(len(prompts))),
                **asdict(replace(how, device=self.device)),
            )
            with torch.no_grad():
                drawn = [self.vae.decode(p / self.factor).sample for p in torch.split(z, 4)]
            pictures.append(to_uint8(torch.cat(drawn)))
        save_sheet(path, np.concatenate(pictures), len(prompts))


def train_lora(args: argparse.Namespace, work: Path, out: Path) -> dict[str, float]:
    base = Base(args.model, args.device)
    if args.folder:
        examples = folder_examples(args.folder, base.side, args.word)
    else:
        examples = rendered_examples(Renderer(find_font(args.font)), args.renders or 96, thermal)
    lora = Lora(base.model.unet, args.rank)
    figures = _train(lora, base, examples, args, work)
    size = lora.save(out, args.word)
    rows = [(partial(_scaled, lora, scale), USUAL) for scale in (0.0, 1.0)]
    base.sheet(work / "sheet.png", PROMPTS, rows)
    return {**figures, "bytes": size}


def train_distilled(args: argparse.Namespace, work: Path, out: Path) -> dict[str, float]:
    base = Base(args.model, args.device)
    examples = rendered_examples(Renderer(find_font(args.font)), args.renders or 512)
    lora = Lora(base.model.unet, args.rank)
    figures = _train(lora, base, examples, args, work, guided=args.cfg)
    size = lora.save(out)
    without, learnt = partial(_scaled, lora, 0.0), partial(_scaled, lora, 1.0)
    guided = replace(UNGUIDED, cfg_scale=args.cfg)
    rows = [(without, guided), (without, UNGUIDED), (learnt, UNGUIDED)]
    base.sheet(work / "sheet.png", PROMPTS, rows)
    return {**figures, "bytes": size}


def train_embedding(args: argparse.Namespace, work: Path, out: Path) -> dict[str, float]:
    base = Base(args.model, args.device)
    stands = " ".join([PLACEHOLDER] * args.vectors)
    if args.folder:
        examples = folder_examples(args.folder, base.side, "a picture of {}")
    else:
        renderer = Renderer(find_font(args.font), (HEDGEHOG,))
        examples = drawing_examples(renderer, "{}")
    captions = tuple(
        text.replace("{}", stands) if "{}" in text else f"{stands}, {text}"
        for text in examples.captions
    )
    placeholder = int(encode(base.tokenizer, [PLACEHOLDER])[0, 1])
    known = encode(base.tokenizer, [args.start])[0, 1 : 1 + args.vectors]
    table = base.model.text.get_input_embeddings()
    inversion = Inversion(base.model.text, placeholder, table(known.to(args.device)).detach())
    figures = _train(inversion, base, replace(examples, captions=captions), args, work)
    size = inversion.save(out)
    prompts = [f"{stands} on a blue background", f"{stands} in the snow", f"{stands} on the grass"]
    rows = [(partial(_worded, inversion, on), USUAL) for on in (False, True)]
    base.sheet(work / "sheet.png", prompts, rows)
    return {**figures, "bytes": size}


def train_enlarger(args: argparse.Namespace, work: Path, out: Path) -> dict[str, float]:
    renderer = Renderer(find_font(args.font))
    bf16 = prefers_bf16(args.device)
    classifier = train_classifier(
        ClassifierPreset(), renderer, args.features, device=args.device, bf16=bf16
    )
    preset = UpscalerPreset(steps=args.steps)
    return train_upscaler(
        preset,
        renderer,
        classifier.features,
        work,
        out,
        device=args.device,
        bf16=bf16,
        minutes=args.minutes,
    )


def train_control(args: argparse.Namespace, work: Path, out: Path) -> dict[str, float]:
    base = Base(args.model, args.device)
    preset = ControlNetPreset(steps=args.steps, batch=args.batch, scenes=args.renders or 4000)
    stage = ControlNetStage(
        preset,
        base.model,
        base.vae,
        base.tokenizer,
        Renderer(find_font(args.font)),
        prediction=base.prediction,
        device=args.device,
        bf16=prefers_bf16(args.device),
    )
    return train_controlnet(stage, work, out, minutes=args.minutes)


TRAIN = {
    "controlnet": train_control,
    "lora": train_lora,
    "distil": train_distilled,
    "embedding": train_embedding,
    "upscaler": train_enlarger,
}


def _train(
    adapter: Lora | Inversion,
    base: Base,
    examples: Examples,
    args: argparse.Namespace,
    work: Path,
    guided: float = 0.0,
) -> dict[str, float]:
    stage = AdapterStage(
        adapter,
        base.model,
        base.tokenizer,
        base.latents(examples),
        list(examples.captions),
        rate=args.rate or RATES[args.part],
        batch=args.batch,
        prediction=base.prediction,
        guided=guided,
        device=args.device,
        bf16=prefers_bf16(args.device),
    )
    schedule = loop.Schedule(args.steps, warmup=20, decay_share=0.5, ema=0.98)
    loop.run(stage, schedule, work, device=args.device, minutes=args.minutes)
    return {"error_relative": stage.gain()}


def _scaled(lora: Lora, scale: float) -> None:
    lora.scale = scale


def _worded(inversion: Inversion, on: bool) -> None:
    inversion.on = on


def main(argv: Sequence[str]) -> int:
    """Entry of `launch.py train PART`. Returns the process's exit status."""
    parser = argparse.ArgumentParser(
        prog="launch.py train", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("part", choices=sorted(TRAIN))
    parser.add_argument(
        "folder", type=Path, nargs="?", help="pictures, with NAME.txt beside NAME.png"
    )
    parser.add_argument("--name", help="of the file; by default Easel's own")
    parser.add_argument(
        "--model", type=Path, default=Path("models/starter"), help="a diffusers folder"
    )
    parser.add_argument("--out", type=Path, default=Path("models"), help="the models folder")
    parser.add_argument("--work-dir", type=Path, default=Path("outputs/training/parts"))
    parser.add_argument("--features", type=Path, default=Path("outputs/training/starter/features"))
    parser.add_argument("--steps", type=int)
    parser.add_argument(
        "--renders", type=int, help="how many to learn from where no folder is given"
    )
    parser.add_argument("--rate", type=float, help="learning rate")
    parser.add_argument("--rank", type=int, default=4, help="of a LoRA")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--vectors", type=int, default=4, help="of an embedding")
    parser.add_argument(
        "--word", default="", help="caption of pictures without one; what asks for the LoRA"
    )
    parser.add_argument(
        "--start",
        default="brown animal drawing sticker",
        help="words that an embedding starts from",
    )
    parser.add_argument("--cfg", type=float, default=2.5, help="the guidance that is distilled")
    parser.add_argument(
        "--minutes", type=float, default=float("inf"), help="stop after; goes on when called again"
    )
    parser.add_argument("--device", default="cpu", help="cpu or cuda[:N]")
    parser.add_argument("--threads", type=int, help="CPU threads; default torch's choice")
    parser.add_argument("--font", help="NotoColorEmoji.ttf, if it is not found by itself")
    args = parser.parse_args(argv)
    torch.set_flush_denormal(True)
    if args.threads:
        torch.set_num_threads(args.threads)
    args.steps = args.steps or STEPS[args.part]
    name = args.name or NAMES[args.part]
    out = args.out / FOLDERS[args.part] / f"{name}.safetensors"
    try:
        if args.folder and not args.name:
            raise EaselError("--name: give the file a name of yours")
        figures = TRAIN[args.part](args, args.work_dir / name, out)
    except EaselError as error:
        print(error, file=sys.stderr)
        return 1
    (args.work_dir / name / "figures.json").write_text(json.dumps(figures, indent=2) + "\n")
    print(f"wrote {out}: {json.dumps(figures)}")
    return 0
