"""Does any adapter file end in an error of ours, or change a layer otherwise than it says?

Why: files come from a dozen trainers, from merges and cut downloads. Files of every kind are made for a few layers of
every kind and then broken at random: keys renamed, dropped, doubled, tensors transposed, cut, emptied, filled with NaN,
of other dtypes and shapes, alphas that are huge or no numbers, configs and metadata that are nonsense. Each must be
refused with a sentence that names the file, or be read; then every layer is changed at several strengths, and must keep
its shape, be the same at strength 0, and be what the plain formula says where there is one. Keys that nobody knows must
be told.

    python benchmarks/fuzz_adapters.py [--files 20000] [--seed 0] [--seconds 600]

The last line is one JSON document: how many were refused, told and equal, and the sentences of what went wrong.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from webui.engine.adapters.files import LoadedAdapter, read
from webui.engine.adapters.names import Names, Target
from webui.errors import ModelFileError

State = dict[str, Tensor]
STRENGTHS = (1.0, 0.4, -0.7, 0.0)


class Net(nn.Module):
    """Layers of each kind, squares among them, so that a wrong side is not always told by its shape."""

    def __init__(self) -> None:
        super().__init__()
        self.square = nn.Linear(8, 8)
        self.linear = nn.Linear(4, 16)
        self.conv1 = nn.Conv2d(8, 8, 1)
        self.conv3 = nn.Conv2d(4, 8, 3)
        self.conv_in = nn.Conv2d(9, 8, 3)
        self.norm = nn.LayerNorm(8)
        self.emb = nn.Embedding(12, 8)


class Fuzz:
    """One seed's files. `outcome` makes one, and says what became of it: "refused", "told", "equal", or a fault."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.random = random.Random(seed)
        self.folder = folder
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.net = Net().requires_grad_(False)
        self.drawn = torch.Generator().manual_seed(seed)
        self.names = Names({"unet": self.net})

    def outcome(self) -> str:
        state: State = {}
        for layer in self.random.sample(
            ("square", "linear", "conv1", "conv3", "conv_in", "emb"), 3
        ):
            state |= self.layer(layer)
        unknown: list[str] = []
        for _ in range(self.random.choice((0, 1, 1, 2, 3))):
            self.broken(state, unknown)
        metadata = self.metadata()
        peft = self.random.random() < 0.3
        path = self.folder / f"{'adapter_model' if peft else 'mine'}.safetensors"
        config = self.folder / "adapter_config.json"
        config.unlink(missing_ok=True)
        if peft and self.random.random() < 0.8:
            config.write_text(self.config(), encoding="utf-8")
        save_file({key: value.contiguous().clone() for key, value in state.items()}, path, metadata)
        told = f"{sorted((k, tuple(v.shape), str(v.dtype)) for k, v in state.items())} {metadata}"
        try:
            adapter = read(
                path, "mine", ("tiny", 1), {"unet": self.net}, self.names, torch.device("cpu")
            )
        except ModelFileError as fault:
            return "refused" if str(fault).startswith(path.name) else f"no name: {fault}"
        except Exception:  # whatever it is, it is what is looked for
            return f"{traceback.format_exc(limit=-3)} {told}"
        plain = not metadata and not config.is_file()
        return self.judged(adapter, state if plain else {}, unknown, told)

    def judged(self, adapter: LoadedAdapter, state: State, unknown: list[str], told: str) -> str:
        for target, change in adapter.changes.items():
            weight = getattr(self.net.get_submodule(target.module), target.parameter)
            for strength in STRENGTHS:
                try:
                    changed = change.changed(weight, strength)
                except Exception:
                    return f"{traceback.format_exc(limit=-3)} {told}"
                if changed.shape != weight.shape:
                    return f"{target}: {changed.shape} of {weight.shape}: {told}"
                if not strength and changed.isfinite().all() and not near(changed, weight):
                    return f"{target}: changed at strength 0: {told}"
            if (expected := self.expected(target, weight, state)) is not None:
                ours = change.changed(weight, 1.0).double()
                if not near(ours, expected):
                    return f"{target}: not what its formula says: {told}"
        if any(key not in adapter.note for key in unknown[:1] if key in state):
            return f"{unknown} is not told in {adapter.note!r}: {told}"
        return "told" if adapter.note else "equal"

    def expected(self, target: Target, weight: Tensor, state: State) -> Tensor | None:
        """What a plain LoRA in kohya's names makes of a weight."""
        key = f"lora_unet_{target.module}"
        down, up = (state.get(f"{key}.lora_{side}.weight") for side in ("down", "up"))
        others = {k for k in state if k.startswith(key + ".")} - {
            f"{key}.{end}" for end in ("lora_down.weight", "lora_up.weight", "alpha")
        }
        if down is None or up is None or others or target.parameter != "weight":
            return None
        alpha = state.get(f"{key}.alpha")
        scale = 1.0 if alpha is None else float(alpha.double()) / len(down)
        added = up.double().reshape(len(up), -1) @ down.double().reshape(len(down), -1) * scale
        if added.numel() != weight.numel():  # made for the picture alone, of an inpainting model
            whole = torch.zeros(weight.shape, dtype=torch.float64)
            whole[:, :4] = added.reshape(len(up), 4, *weight.shape[2:])
            added = whole
        return weight.double() + added.reshape(weight.shape)

    # --- Files ------------------------------------------------------------------------------------

    def noise(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=self.drawn) * 0.2

    def layer(self, layer: str) -> State:
        """The tensors of one layer, of any kind."""
        weight = self.net.get_submodule(layer).weight
        assert isinstance(weight, Tensor)
        outputs, inputs, kernel = weight.shape[0], weight.shape[1], tuple(weight.shape[2:])
        if layer == "conv_in" and self.random.random() < 0.5:
            inputs = 4
        ones, r = (1,) * len(kernel), self.random.choice((1, 2, 4))
        n = self.noise
        alpha = {"alpha": torch.tensor(self.random.choice((1.0, 2.0, 0.5)))}
        tail = {"lora_down.weight": n(r, inputs, *kernel), "lora_up.weight": n(outputs, r, *ones)}
        parts: dict[str, Callable[[], State]] = {
            "lora": lambda: {**tail, **alpha},
            "lora, no alpha": lambda: tail,
            "dora": lambda: {**tail, **alpha, "dora_scale": n(outputs, 1, *ones) + 1},
            "dora of inputs": lambda: {**tail, "dora_scale": n(1, inputs, *ones) + 1},
            "tucker": lambda: {
                "lora_down.weight": n(r, inputs, *ones),
                "lora_mid.weight": n(r, r, *(kernel or (1, 1))),
                "lora_up.weight": n(outputs, r, *ones),
            },
            "loha": lambda: {
                **{f"hada_w{i}_a": n(outputs, r) for i in "12"},
                **{f"hada_w{i}_b": n(r, weight[0].numel()) for i in "12"},
                **alpha,
            },
            "lokr": lambda: {"lokr_w1": n(2, 1), "lokr_w2": n(outputs // 2, inputs, *kernel), **alpha},
            "lokr low": lambda: {
                "lokr_w1": n(2, 1), "lokr_w2_a": n(outputs // 2, r), "lokr_w2_b": n(r, weight[0].numel()), **alpha,
            },
            "glora": lambda: {
                "a1.weight": n(inputs, r, *ones), "a2.weight": n(r, inputs, *ones),
                "b1.weight": n(outputs, r, *ones), "b2.weight": n(r, inputs, *kernel), **alpha,
            },
            "diff": lambda: {"diff": n(*weight.shape), "diff_b": n(outputs)},
            "oft": lambda: {"oft_blocks": n(outputs // 4, 4, 4), "alpha": torch.tensor(0.01)},
            "boft": lambda: {"oft_blocks": n(1, outputs // 4, 4, 4), "rescale": n(outputs, 1, *ones) + 1},
        }  # fmt: skip
        peft: dict[str, Callable[[], State]] = {
            "lora": lambda: {"lora_A.weight": n(r, inputs, *kernel), "lora_B.weight": n(outputs, r, *ones)},
            "biases": lambda: {
                "lora_A.weight": n(r, inputs, *kernel), "lora_B.weight": n(outputs, r, *ones),
                "lora_B.bias": n(outputs),
            },
            "oft": lambda: {"oft_R.weight": n(weight[0].numel() // 4 or 1, 6)},
            "whole": lambda: {"weight": n(*weight.shape)},
            "embedding": lambda: {"lora_embedding_A": n(r, outputs), "lora_embedding_B": n(inputs, r)},
        }  # fmt: skip
        if self.random.random() < 0.6:
            start, chosen = self.random.choice(("lora_unet_", "lycoris_")), parts
        else:
            start, chosen = "base_model.model.", peft
        made = chosen[self.random.choice(list(chosen))]()
        return {f"{start}{layer}.{part}": value for part, value in made.items()}

    def broken(self, state: State, unknown: list[str]) -> None:
        """Does one thing to the tensors."""
        key = self.random.choice(list(state))
        value = state[key]
        shape = list(value.shape)
        match self.random.randrange(20):
            case 0:
                del state[key]
                if not state:
                    state["a"] = value
            case 1:
                state[key[:-1] + "x"] = state.pop(key)
            case 2:
                state[key.replace("lora_unet_", "unet.").replace("lycoris_", "lora_unet_")] = value
            case 3 if value.dim() > 1:
                state[key] = value.transpose(0, 1)
            case 4 if value.dim():
                state[key] = value[: self.random.randrange(len(value) + 1)]
            case 5 if value.dim() > 1:
                state[key] = value[:, : self.random.randrange(shape[1] + 1)]
            case 6:
                state[key] = value.reshape(-1)
            case 7:
                state[key] = value[..., None]
            case 8:
                state[key] = value[None]
            case 9:
                state[key] = torch.full(shape, self.random.choice((float("nan"), float("inf"))))
            case 10:
                kinds = (torch.int32, torch.bool, torch.int8, torch.uint8)
                state[key] = (value.float() * 9).to(self.random.choice(kinds))
            case 11:
                kinds = (torch.float16, torch.bfloat16, torch.float64, torch.float8_e4m3fn)
                state[key] = value.to(self.random.choice(kinds))
            case 12:
                state[key] = torch.zeros(
                    self.random.choice(([], [1], [0], [1, 1], [0, 4], [2, 3, 4]))
                )
            case 13:
                start = key.rpartition(".lora_")[0] or key.rpartition(".")[0]
                alpha = self.random.choice((1e30, -4.0, 0.0, float("nan"), 1e-40))
                state[f"{start}.alpha"] = torch.tensor(alpha)
            case 14:
                start = key.rpartition(".")[0]
                state[f"{start}.alpha"] = torch.tensor(
                    self.random.choice(([1.0, 2.0], [], [[3.0]], [4]))
                )
            case 15:
                other = self.random.choice(list(state))
                state[key], state[other] = state[other], state[key]
            case 16:
                name = self.random.choice(
                    ("strange", "bundle_emb.a.emb_params", "lora_unet_square.gate")
                )
                state[name] = self.noise(3)
                unknown.append(name)
            case 17:
                state[f"lora_unet_nowhere{self.random.randrange(9)}.lora_up.weight"] = value
            case 18 if value.dim() > 2:
                state[key] = value.permute(0, *range(2, value.dim()), 1)
            case 19:
                at = key.find(".")
                state[f"{key[:at]}.dora_scale"] = self.noise(
                    *self.random.choice(([], [1], [8], [1, 8], [8, 1, 1, 1]))
                )
            case _:
                pass

    def value(self) -> Any:
        return self.random.choice(
            (None, True, False, 0, -3, 4, 1.5, 1e40, float("nan"), "", "pissa", "x" * 900,
             [], [1], {}, {"(": 1}, {"sq.*": 2})
        )  # fmt: skip

    def config(self) -> str:
        names = (
            "peft_type", "lora_alpha", "alpha", "r", "alpha_pattern", "rank_pattern", "use_rslora", "use_dora", "bias",
            "init_lora_weights", "coft", "eps", "modules_to_save", "use_cayley_neumann",
            "num_cayley_neumann_terms", "what",
        )  # fmt: skip
        said: Any = {"peft_type": self.random.choice(("LORA", "OFT", "LOKR", "LOHA", "BOFT"))}
        for _ in range(self.random.randrange(4)):
            said[self.random.choice(names)] = self.value()
        if self.random.random() < 0.1:
            said = self.value()
        text = json.dumps(said)
        return text[: self.random.randrange(len(text) + 1)] if self.random.random() < 0.1 else text

    def metadata(self) -> dict[str, str]:
        found = {}
        if self.random.random() < 0.1:
            said = json.loads(json.dumps({"unet.lora_alpha": self.value(), "unet.r": 4, "x": None}))
            found["lora_adapter_metadata"] = self.random.choice(
                (json.dumps(said), self.config(), "[", "")
            )
        if self.random.random() < 0.1:
            found["ss_network_dim"] = self.random.choice(("x", "", "[[[" * 50))
        return found


def near(ours: Tensor, theirs: Tensor) -> bool:
    """Whether two tensors are the same up to fp32's rounding, or neither holds numbers."""
    ours, theirs = ours.double(), theirs.double()
    if not (ours.isfinite().all() and theirs.float().isfinite().all()):
        return not ours.isfinite().all()
    return bool((ours - theirs).abs().max() <= 1e-5 + 1e-4 * theirs.abs().max())


def run(files: int, seed: int, seconds: float = 1e9) -> tuple[Counter[str], list[str]]:
    """How many files came to which end, and the first faults."""
    ends: Counter[str] = Counter()
    faults: list[str] = []
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        fuzz = Fuzz(seed, Path(folder))
        for _ in range(files):
            end = fuzz.outcome()
            ends[end if end in ("refused", "told", "equal") else "faults"] += 1
            if end not in ("refused", "told", "equal"):
                faults.append(end)
            if time.monotonic() - begin > seconds:
                break
    return ends, faults


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=20000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=600)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    ends, faults = run(asked.files, asked.seed, asked.seconds)
    for fault in faults[:5]:
        print(fault, file=sys.stderr)
    print(
        json.dumps(
            {
                "files": sum(ends.values()),
                "seed": asked.seed,
                **ends,
                "first": [f[-200:] for f in faults[:3]],
            }
        )
    )
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
