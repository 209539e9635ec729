"""Small things that change a trained model: LoRAs, of pictures or of guidance, and words that it lacks.

The model itself stays as it is; only the added weights learn. Files are those that `<lora:name:1>` and embeddings of
Easel, and of other programs, read.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

from webui.diffusion.conversions import noised, signal_and_spread, target
from webui.diffusion.guidance import guided
from webui.training import loop
from webui.training.diffusion import TextToLatent, alphas_cumprod, timesteps
from webui.training.tokenizer import encode

LAYERS = re.compile(r"\.(to_q|to_k|to_v|to_out\.0|conv1|conv2)$")
PLACEHOLDER = (
    "*"  # stands for the learnt vectors in training captions; a token that captions never hold
)


class Lora(nn.Module):
    """h = W x + scale B A x for the layers that match `LAYERS`, with A and B of low rank (Hu et al. 2022, equation 3).

    B starts at zero, so that nothing changes before training. With `scale` 0 the network is as it was.
    """

    def __init__(self, network: nn.Module, rank: int = 4, layers: re.Pattern[str] = LAYERS) -> None:
        super().__init__()
        self.scale = 1.0
        self.paths = [name for name, _ in network.named_modules() if layers.search(f".{name}")]
        self.pairs = nn.ModuleList()
        for path in self.paths:
            layer = network.get_submodule(path)
            pair = _pair(layer, rank)
            self.pairs.append(pair)
            layer.register_forward_hook(self._added(pair))

    def _added(self, pair: nn.Sequential) -> Callable[[nn.Module, Any, torch.Tensor], torch.Tensor]:
        def hook(module: nn.Module, inputs: Any, output: torch.Tensor) -> torch.Tensor:
            del module
            return output + self.scale * pair(inputs[0]) if self.scale else output

        return hook

    @contextmanager
    def off(self) -> Iterator[None]:
        """The network as it was, for a while."""
        before, self.scale = self.scale, 0.0
        try:
            yield
        finally:
            self.scale = before

    def save(self, path: Path, words: str = "") -> int:
        """Write the file in fp16, by peft's names, and return its size in bytes. `words` ask for it in prompts."""
        weights = {}
        for name, pair in zip(self.paths, self.pairs, strict=True):
            for part, layer in zip(("lora_A", "lora_B"), pair.children(), strict=True):
                weight = layer.get_parameter("weight").detach().half().cpu().contiguous()
                weights[f"unet.{name}.{part}.weight"] = weight
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(weights, path, {"modelspec.trigger_phrase": words} if words else None)
        return path.stat().st_size


def _pair(layer: nn.Module, rank: int) -> nn.Sequential:
    """A and B for a layer, as layers of its kind."""
    if isinstance(layer, nn.Conv2d):
        size, stride, padding = layer.kernel_size[0], layer.stride[0], layer.padding[0]
        down: nn.Module = nn.Conv2d(layer.in_channels, rank, size, stride, int(padding), bias=False)
        up: nn.Module = nn.Conv2d(rank, layer.out_channels, 1, bias=False)
    elif isinstance(layer, nn.Linear):
        down = nn.Linear(layer.in_features, rank, bias=False)
        up = nn.Linear(rank, layer.out_features, bias=False)
    else:
        raise TypeError(f"no LoRA for a {type(layer).__name__}")
    nn.init.normal_(down.get_parameter("weight"), std=1 / rank)
    nn.init.zeros_(up.get_parameter("weight"))
    return nn.Sequential(down, up)


class Inversion(nn.Module):
    """A word's own vectors, put in the place of `PLACEHOLDER`'s, the only thing that learns (Gal et al. 2023)."""

    def __init__(self, text: nn.Module, placeholder: int, start: torch.Tensor) -> None:
        super().__init__()
        self.vectors = nn.Parameter(start.clone())
        self.placeholder = placeholder
        self.start, self.on = start.clone(), True
        table = next(m for name, m in text.named_modules() if name.endswith("token_embedding"))
        table.register_forward_hook(self._swap)

    def _swap(self, module: nn.Module, inputs: Any, output: torch.Tensor) -> torch.Tensor:
        """Row by row: the first placeholder takes the first vector, the next the second."""
        del module
        places = inputs[0] == self.placeholder
        which = (places.cumsum(-1) - 1).clamp(0, len(self.vectors) - 1)
        vectors = self.vectors if self.on else self.start
        return torch.where(places[..., None], vectors[which].to(output.dtype), output)

    @contextmanager
    def off(self) -> Iterator[None]:
        """The vectors as they were at the start, for a while."""
        self.on = False
        try:
            yield
        finally:
            self.on = True

    def save(self, path: Path) -> int:
        """Write the embedding and return the file's size in bytes."""
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file({"emb_params": self.vectors.detach().half().cpu().contiguous()}, path)
        return path.stat().st_size


class AdapterStage:
    """One step of an adapter's training on latents with captions, for `loop.run`.

    `guided` makes it guidance distillation instead (Meng et al. 2023, equation 7): the target is what the model
    without the adapter predicts with classifier-free guidance of that scale, at the timesteps of `steps` steps, so that
    one row a step does what took two.
    """

    def __init__(
        self,
        adapter: Lora | Inversion,
        model: TextToLatent,
        tokenizer: Any,
        latents: torch.Tensor,
        captions: list[str],
        *,
        rate: float,
        batch: int = 8,
        prediction: str = "v_prediction",
        guided: float = 0.0,
        steps: int = 4,
        device: str = "cpu",
        bf16: bool = True,
        seed: int = 31,
    ) -> None:
        model.requires_grad_(False).to(device).eval()
        self.model: nn.Module = adapter.to(device)
        self.adapter, self.base, self.tokenizer = adapter, model, tokenizer
        self.latents, self.captions = latents, captions
        self.batch, self.prediction, self.guided, self.seed = batch, prediction, guided, seed
        self.device, self.bf16 = device, bf16
        self.helpers: dict[str, nn.Module] = {}
        self.optimizers: list[torch.optim.Optimizer] = [
            torch.optim.AdamW(adapter.parameters(), lr=rate, betas=(0.9, 0.99), weight_decay=0.0)
        ]
        self.acp = alphas_cumprod().float()
        self.grid = torch.arange(1000, 0, -1000 / steps).round().long() - 1  # trailing

    def advance(self, step: int) -> loop.Figures:
        loss = self.loss(step)
        loop.descend(loss, self.optimizers)
        return {"loss": loss.detach()}

    def loss(self, step: int) -> torch.Tensor:
        """Squared error of the prediction for examples, times and noise that follow from `step`."""
        rng = torch.Generator().manual_seed(self.seed * 1_000_003 + step)
        chosen = torch.randint(len(self.latents), (self.batch,), generator=rng).tolist()
        texts = [self.captions[i] for i in chosen]
        x0 = self.latents[chosen].float()
        noise = torch.randn(x0.shape, generator=rng)
        t = timesteps(self.batch, rng)
        if self.guided:
            t = self.grid[torch.randint(len(self.grid), (self.batch,), generator=rng)]
        a = self.acp[t][:, None, None, None]
        at = signal_and_spread(a)
        xt = noised(x0, noise, *at).to(self.device)
        times, tokens = t.to(self.device), encode(self.tokenizer, texts).to(self.device)
        with torch.autocast(self.device.split(":")[0], torch.bfloat16, enabled=self.bf16):
            if self.guided:
                wanted = self._guided(xt, times, tokens)
            else:
                wanted = target(self.prediction, x0, noise, *at).to(self.device)
            predicted = self.base(xt, times, tokens)
        loss: torch.Tensor = (predicted.float() - wanted.float()).square().mean()
        return loss

    @torch.no_grad()
    def gain(self, count: int = 8) -> float:
        """The error with the adapter, relative to that without, at times and noises that training did not see."""
        steps = range(10_000_000, 10_000_000 + count)
        learnt = sum(float(self.loss(step)) for step in steps)
        with self.adapter.off():
            return learnt / sum(float(self.loss(step)) for step in steps)

    @torch.no_grad()
    def _guided(self, xt: torch.Tensor, t: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """u + scale (c - u) of the model without the adapter, c with the captions and u without."""
        empty = encode(self.tokenizer, [""] * len(xt)).to(self.device)
        with self.adapter.off():
            asked, free = self.base(xt, t, tokens), self.base(xt, t, empty)
        wanted: torch.Tensor = guided(free, asked, self.guided)
        return wanted
