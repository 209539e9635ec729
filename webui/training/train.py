"""`python launch.py train`: the stages of the starter model, one after another or one at a time.

    scenes       a sheet of captioned training scenes
    features     a classifier of renders, whose levels losses look at
    autoencoder  stage one
    latents      standardise the latents, then encode the scenes
    diffusion    stage two; sample sheets and a provisional export every few minutes
    decoder      sharpen the decoder on frozen latents
    export       write the diffusers folder
    evaluate     train the judge if need be, and measure
    report       a page with curves, sheets and tables of all stages

Every stage keeps a checkpoint in the work directory and goes on from it, so a run may be killed at any time.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL

from webui.engine.samplers import SAMPLERS
from webui.engine.schedules import resolve
from webui.errors import EaselError, RequestError
from webui.training import checkpoint, parts
from webui.training.autoencoder import (
    build_autoencoder,
    reconstruction_sheet,
    train_autoencoder,
)
from webui.training.captions import caption
from webui.training.classifier import (
    Classifier,
    ClassifierPreset,
    accuracy,
    train_classifier,
)
from webui.training.diffusion import (
    TextToLatent,
    build_text_encoder,
    build_unet,
    cache_latents,
    latent_scene,
    sample_sheet,
    standardise_latents,
    train_diffusion,
)
from webui.training.export import export_model, fit_preview
from webui.training.fidelity import Examiner, Sampling, held_out_prompts, load_model, measure
from webui.training.parallel import ALONE, Share, run_processes
from webui.training.precision import prefers_bf16
from webui.training.presets import PRESETS, Preset
from webui.training.renderer import Renderer, find_font, picture_batch
from webui.training.report import write_report
from webui.training.scenes import Scene, sample_scene
from webui.training.sheets import save_sheet, to_tensor
from webui.training.tokenizer import load_tokenizer, write_tokenizer

STAGES = (
    "scenes",
    "features",
    "autoencoder",
    "latents",
    "diffusion",
    "decoder",
    "export",
    "evaluate",
    "report",
)
SHARED = ("autoencoder", "diffusion", "decoder")  # what several processes train together


class Trainer:
    """The stages, over one work directory."""

    def __init__(
        self,
        preset: Preset,
        out: Path,
        work: Path,
        font: str | None,
        device: str,
        minutes: float,
    ) -> None:
        self.share = ALONE
        self.preset, self.out, self.work = preset, out, work
        self.device, self.minutes = device, minutes
        self.bf16 = prefers_bf16(device)
        log(f"computing in {'bf16' if self.bf16 else 'fp32'}")
        self.renderer = Renderer(find_font(font))

    def scenes(self) -> None:
        rng = np.random.default_rng([3, 1])
        scenes = [sample_scene(rng, snapped=True) for _ in range(96)]
        save_sheet(self.work / "scenes" / "scenes.png", picture_batch(self.renderer, scenes), 12)
        for scene in scenes[:24]:
            log(caption(scene, rng))

    def features(self) -> Classifier:
        return self._classifier(self.preset.features, "features")

    def autoencoder(self) -> None:
        train_autoencoder(
            self.preset.autoencoder,
            self.renderer,
            self.work / "autoencoder",
            features=self.features().features,
            **self._how(),
        )

    def latents(self) -> None:
        vae = self._vae()
        cache_latents(
            self.preset.diffusion,
            vae,
            self.renderer,
            self.work / "latents.pt",
            device=self.device,
            bf16=self.bf16,
            log=log,
        )

    def diffusion(self) -> None:
        latents = checkpoint.load(self.work / "latents.pt")
        if latents is None or len(latents["latents"]) < self.preset.diffusion.scenes:
            raise EaselError("not all latents yet: run --stage latents first")
        vae = self._vae()
        sheet = [text for _, _, text in held_out_prompts(32)]

        model, tokenizer = self._networks(), self._tokenizer()
        features = self.features().features

        def every(step: int) -> dict[str, float]:
            path = self.work / "diffusion" / "samples.png"
            sample_sheet(
                model,
                vae,
                tokenizer,
                sheet,
                path,
                steps=8,
                scheduler="sgm_uniform",
                device=self.device,
                bf16=self.bf16,
            )
            self._write(model, vae)
            return {}

        @torch.no_grad()
        def look(scenes: list[Scene]) -> torch.Tensor:
            pictures = to_tensor(picture_batch(self.renderer, scenes)).to(self.device)
            return features(pictures)[-1].float()

        train_diffusion(
            self.preset.diffusion,
            model,
            tokenizer,
            latents["latents"],
            self.work / "diffusion",
            every=every,
            look=look,
            **self._how(),
        )

    def decoder(self) -> None:
        refined = train_autoencoder(
            self.preset.decoder,
            self.renderer,
            self.work / "decoder",
            decoder_only=True,
            start_from=self._standardised(),
            features=self.features().features,
            **self._how(),
        )
        checkpoint.save(self.work / "refined.pt", {"model": refined.state_dict()})

    def export(self) -> None:
        model = self._networks()
        state = checkpoint.load(self.work / "diffusion" / "checkpoint.pt")
        if state is None:
            raise EaselError("nothing to export yet: run --stage diffusion first")
        model.load_state_dict(state["average"])
        self._write(model, self._vae())

    def evaluate(self) -> dict[str, Any]:
        classifier = self._classifier(self.preset.judge, "judge")
        model, vae, tokenizer = load_model(self.out, self.device)
        defaults = self.preset.defaults
        schedule = resolve(defaults.scheduler, SAMPLERS[defaults.sampler_name]).name
        how = Sampling(defaults.steps, defaults.cfg_scale, schedule, self.device, bf16=False)
        folder = self.work / "evaluation"
        figures = measure(
            Examiner(model, vae, tokenizer, classifier, how, folder), self.preset.prompts, log
        )
        figures["autoencoder"] = reconstruction_sheet(
            vae,
            self.renderer,
            folder / "autoencoder.png",
            self.device,
            self.preset.autoencoder.shown,
        )
        figures["classifier_on_renders"] = accuracy(
            classifier, self.renderer, self.preset.judged, device=self.device
        )
        (folder / "figures.json").write_text(json.dumps(figures, indent=2) + "\n")
        print(json.dumps(figures))
        return figures

    def report(self) -> None:
        log(f"wrote {write_report(self.work)}")

    def _how(self) -> dict[str, Any]:
        return {
            "device": self.device,
            "bf16": self.bf16,
            "minutes": self.minutes,
            "log": log,
            "share": self.share,
        }

    def _tokenizer(self) -> Any:
        folder = self.work / "tokenizer"
        with self.share.first_alone():
            if not folder.exists():
                rng = np.random.default_rng([3, 0])
                write_tokenizer(
                    folder,
                    [
                        caption(sample_scene(rng), rng, foreign=False)
                        for _ in range(self.preset.captions)
                    ],
                )
            return load_tokenizer(folder)

    def _networks(self) -> TextToLatent:
        preset = self.preset.diffusion
        return TextToLatent(build_text_encoder(preset, self._tokenizer()), build_unet(preset))

    def _classifier(self, preset: ClassifierPreset, name: str) -> Classifier:
        with self.share.first_alone():  # it looks at a batch as a whole: nothing to share
            return train_classifier(
                preset,
                self.renderer,
                self.work / name,
                device=self.device,
                bf16=self.bf16,
                log=log,
            )

    def _standardised(self) -> dict[str, torch.Tensor]:
        """Weights of stage one with latents of mean 0 and variance 1."""
        with self.share.first_alone():
            return self._standardise()

    def _standardise(self) -> dict[str, torch.Tensor]:
        path = self.work / "standardised.pt"
        if state := checkpoint.load(path, self.device):
            return dict(state["model"])
        trained = checkpoint.load(self.work / "autoencoder" / "checkpoint.pt", self.device)
        if trained is None:
            raise EaselError("no autoencoder yet: run --stage autoencoder first")
        vae = build_autoencoder(self.preset.autoencoder).to(self.device)
        vae.load_state_dict(trained["average"])
        scenes = [latent_scene(self.preset.diffusion, i) for i in range(self.preset.whitened)]
        standardise_latents(vae, to_tensor(picture_batch(self.renderer, scenes)).to(self.device))
        checkpoint.save(path, {"model": vae.state_dict()})
        return dict(vae.state_dict())

    def _vae(self) -> AutoencoderKL:
        """The best autoencoder there is: with the refined decoder, once that exists."""
        vae = build_autoencoder(self.preset.autoencoder).to(self.device)
        refined = checkpoint.load(self.work / "refined.pt", self.device)
        vae.load_state_dict(refined["model"] if refined else self._standardised())
        return vae.eval()

    def _write(self, model: TextToLatent, vae: AutoencoderKL) -> None:
        scenes = [latent_scene(self.preset.diffusion, i) for i in range(self.preset.whitened // 2)]
        pictures = to_tensor(picture_batch(self.renderer, scenes))
        with torch.no_grad():
            parts = torch.split(pictures.to(self.device), 16)
            means = torch.cat([vae.encode(p).latent_dist.mode() for p in parts])
        preview = fit_preview(means.cpu(), (pictures + 1) / 2)
        size = export_model(
            self.out, model, vae, self.work / "tokenizer", preview, self.preset.defaults
        )
        log(f"wrote {self.out}: {size / 1e6:.2f} MB")


def log(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)


def main(argv: Sequence[str]) -> int:
    """Entry of `launch.py train`. Returns the process's exit status."""
    if argv and argv[0] in parts.TRAIN:
        return parts.main(argv)
    parser = argparse.ArgumentParser(
        prog="launch.py train",
        description="Train the starter model.",
        epilog=f"Small files beside a model: launch.py train {'|'.join(parts.TRAIN)} --help",
    )
    parser.add_argument("--preset", choices=sorted(PRESETS), default="starter")
    parser.add_argument("--out", type=Path, help="default models/NAME of the preset")
    parser.add_argument("--work-dir", type=Path, help="default outputs/training/NAME")
    parser.add_argument("--stage", choices=("all", *STAGES), default="all")
    parser.add_argument("--device", default="cpu", help="cpu or cuda[:N]")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="stop a stage after")
    parser.add_argument("--steps", type=int, help="other number of steps for the chosen stage")
    parser.add_argument("--threads", type=int, help="CPU threads; default torch's choice")
    parser.add_argument("--font", help="NotoColorEmoji.ttf, if it is not found by itself")
    parser.add_argument(
        "--processes", type=int, default=1, help="share each batch; as many as cores is quickest"
    )
    args = parser.parse_args(argv)
    try:
        if args.processes == 1:
            run_stages(ALONE, args)
        else:
            if args.processes < 1 or not args.device.startswith("cpu"):
                raise RequestError(
                    f"--processes {args.processes}: use 1 or more, and only with --device cpu"
                )
            return run_processes(args.processes, run_stages, args)
    except EaselError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def run_stages(share: Share, args: argparse.Namespace) -> None:
    """What the command line asks for, in one process of several or alone."""
    torch.set_flush_denormal(True)  # before any thread is made: they inherit it
    if args.threads or share.count > 1:
        torch.set_num_threads(args.threads or max(1, (os.cpu_count() or 1) // share.count))
    preset = PRESETS[args.preset]()
    if args.steps and args.stage in ("autoencoder", "diffusion", "decoder"):
        changed = replace(getattr(preset, args.stage), steps=args.steps)
        preset = replace(preset, **{args.stage: changed})
    out = args.out or Path("models") / args.preset
    work = args.work_dir or Path("outputs/training") / args.preset
    trainer = Trainer(preset, out, work, args.font, args.device, args.minutes)
    trainer.bf16 = share.agree(trainer.bf16)
    for stage in STAGES if args.stage == "all" else (args.stage,):
        trainer.share = share if stage in SHARED else ALONE
        if share.first or stage in SHARED:
            if share.first:
                log(f"stage {stage}")
            getattr(trainer, stage)()
        share.wait()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
