"""Does the starter model draw what it is asked? The share of right drawings and backgrounds, by steps and CFG.

Why: a picture model can look lively and ignore its prompt. Asks for combinations that training never showed (a drawing
and a background, the same with foreign words behind, two drawings with their places, a drawing in a colour), with one
fixed seed each, and lets a classifier say what is on the pictures. The classifier is trained on renders of the scenes
only, never on generated pictures, and lends no loss (ten minutes, kept in --work-dir); its own accuracy on fresh
renders is printed beside the figures, because it bounds them. Also what the autoencoder keeps of 24 scenes.

    python benchmarks/fidelity.py [--model models/starter] [--steps 20] [--cfg 4]
    python benchmarks/fidelity.py --steps 10 20 30 --cfg 2 3 4 6
    python benchmarks/fidelity.py --steps 4 6 8 --scheduler sgm_uniform

The last line is one JSON document.
"""

import argparse
import json
import platform
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from webui.engine.samplers import SAMPLERS
from webui.engine.schedules import AUTOMATIC, SCHEDULES, resolve
from webui.training.autoencoder import reconstruction_sheet
from webui.training.classifier import accuracy, judge_preset, train_classifier
from webui.training.fidelity import QUESTIONS, Examiner, Sampling, load_model, measure
from webui.training.renderer import Renderer, find_font

ROOT = Path(__file__).resolve().parents[1]


def note(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "starter")
    parser.add_argument("--work-dir", type=Path, default=ROOT / "outputs" / "training" / "starter")
    parser.add_argument("--steps", type=int, nargs="+")
    parser.add_argument("--cfg", type=float, nargs="+")
    parser.add_argument("--scheduler", choices=[name for name in SCHEDULES if name != AUTOMATIC])
    parser.add_argument("--questions", choices=QUESTIONS, nargs="+", default=QUESTIONS)
    parser.add_argument("--prompts", type=int, default=200)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--font")
    parser.add_argument("--sheets", type=Path, help="folder for the pictures of the last run")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    own = json.loads((args.model / "easel.json").read_text())["defaults"]
    scheduler = args.scheduler or resolve(own["scheduler"], SAMPLERS[own["sampler_name"]]).name
    renderer = Renderer(find_font(args.font))
    classifier = train_classifier(
        judge_preset(), renderer, args.work_dir / "judge", device=args.device, log=note
    )
    model, vae, tokenizer = load_model(args.model, args.device)
    counts = {q: args.prompts for q in args.questions}
    runs = []
    for steps in args.steps or [own["steps"]]:
        for cfg_scale in args.cfg or [own["cfg_scale"]]:
            bf16 = args.dtype == "bfloat16"
            how = Sampling(steps, cfg_scale, scheduler, args.device, bf16)
            examiner = Examiner(model, vae, tokenizer, classifier, how, args.sheets)
            runs.append(measure(examiner, counts, note))
    work = args.sheets or args.work_dir
    document = {
        "benchmark": "fidelity",
        "runs": runs,
        "autoencoder": reconstruction_sheet(vae, renderer, work / "autoencoder.png", args.device),
        "classifier_on_renders": accuracy(classifier, renderer, device=args.device),
        "device": args.device,
        "dtype": args.dtype,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "machine": platform.machine(),
    }
    print(json.dumps(document))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
