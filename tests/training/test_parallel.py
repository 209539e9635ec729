"""A batch shared by two against the whole batch in one: the same gradients, with every loss."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import torch

from webui.errors import RequestError
from webui.training.autoencoder import AutoencoderPreset, AutoencoderStage
from webui.training.captions import caption
from webui.training.classifier import Classifier
from webui.training.diffusion import (
    DiffusionPreset,
    DiffusionStage,
    TextToLatent,
    build_text_encoder,
    build_unet,
    latent_scene,
)
from webui.training.loop import Stage
from webui.training.parallel import ALONE, Share, run_processes
from webui.training.scenes import Scene
from webui.training.tokenizer import load_tokenizer, write_tokenizer
from webui.training.train import main

PICTURES = AutoencoderPreset(
    (8, 8, 8, 8), latent_channels=4, steps=4, batch=4, features_from=0, adversary_from=0, crop=32
)
LATENTS = DiffusionPreset(
    (16, 32), text_width=32, text_layers=1, latent_channels=4, scenes=6, steps=4, batch=4
)


@dataclass
class Meeting:
    """Where threads that stand for processes average their tensors."""

    count: int
    given: dict[int, list[torch.Tensor]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.barrier = threading.Barrier(self.count, timeout=60)


@dataclass(frozen=True)
class ThreadShare(Share):
    meeting: Meeting = field(default_factory=lambda: Meeting(1))

    def average(self, tensors: Sequence[torch.Tensor]) -> None:
        self.meeting.given[self.rank] = [t.detach().clone() for t in tensors]
        self.meeting.barrier.wait()
        for i, tensor in enumerate(tensors):
            everybodys = [self.meeting.given[rank][i] for rank in range(self.count)]
            tensor.detach().copy_(torch.stack(everybodys).mean(0))
        self.meeting.barrier.wait()


def shares(count: int) -> list[Share]:
    meeting = Meeting(count)
    return [ThreadShare(rank, count, meeting) for rank in range(count)]


def gradients(stages: list[Stage]) -> list[dict[str, torch.Tensor]]:
    """Of each stage after one step, all at the same time, with those of its adversary or head."""
    threads = [threading.Thread(target=stage.advance, args=(3,)) for stage in stages]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [
        {
            f"{part}.{name}": p.grad
            for part, module in {"model": stage.model, **stage.helpers}.items()
            for name, p in module.named_parameters()
            if p.grad is not None
        }
        for stage in stages
    ]


def agree(whole: Stage, halves: list[Stage], least: int) -> None:
    (wanted,) = gradients([whole])
    assert len(wanted) >= least
    for got in gradients(halves):
        assert got.keys() == wanted.keys()
        for name, gradient in wanted.items():
            assert torch.allclose(got[name], gradient, rtol=1e-3, atol=1e-6), name


@pytest.mark.parametrize("decoder_only", [False, True])
def test_halves_of_pictures_give_the_whole_batchs_gradients(renderer, decoder_only):
    torch.manual_seed(0)
    features = Classifier((4, 4, 4, 4, 4)).eval().requires_grad_(False).features
    preset = replace(PICTURES, latent_noise=0.1)

    def stage(share: Share) -> AutoencoderStage:
        torch.manual_seed(1)
        how = {"device": "cpu", "bf16": False, "decoder_only": decoder_only, "share": share}
        return AutoencoderStage(replace(preset, full_share=0), renderer, features, **how)

    agree(stage(ALONE), [stage(share) for share in shares(2)], least=50)


def test_halves_of_latents_give_the_whole_batchs_gradients(tmp_path):
    rng = np.random.default_rng(0)
    scenes = [latent_scene(LATENTS, i) for i in range(6)]
    write_tokenizer(tmp_path / "tokenizer", [caption(scene, rng) for scene in scenes])
    tokenizer = load_tokenizer(tmp_path / "tokenizer")
    latents = torch.randn(6, 4, 16, 16, generator=torch.Generator().manual_seed(1))

    def look(shown: list[Scene]) -> torch.Tensor:
        ways = [float(scenes.index(scene)) + 1 for scene in shown]
        return torch.tensor(ways).view(-1, 1, 1, 1) + torch.linspace(-1, 1, 192).view(1, 3, 8, 8)

    def stage(share: Share) -> DiffusionStage:
        model = TextToLatent(build_text_encoder(LATENTS, tokenizer), build_unet(LATENTS))
        how = {"device": "cpu", "bf16": False, "share": share}
        return DiffusionStage(LATENTS, model, tokenizer, latents, scenes, look, **how)

    agree(stage(ALONE), [stage(share) for share in shares(2)], least=100)


def test_every_row_is_one_processs():
    batch = torch.arange(6)
    parts = [Share(rank, 3).part(batch) for rank in range(3)]
    assert torch.cat(parts).sort().values.equal(batch)
    assert [Share(rank, 3).rows(batch.tolist()) for rank in range(3)] == [p.tolist() for p in parts]


def test_a_batch_that_cannot_be_divided_is_refused():
    with pytest.raises(RequestError, match="a batch of 8 cannot be divided evenly"):
        Share(0, 3).check(8)
    Share(0, 4).check(8)


def test_a_number_of_processes_that_cannot_be_is_refused(capsys, tmp_path):
    assert main(["--processes", "0", "--work-dir", str(tmp_path)]) == 1
    assert main(["--processes", "2", "--device", "cuda", "--work-dir", str(tmp_path)]) == 1
    assert capsys.readouterr().err.count("use 1 or more, and only with --device cpu") == 2


def test_processes_average_agree_and_take_turns(tmp_path):
    from tests.training.parallel_work import FAILS, meet

    assert run_processes(2, meet, tmp_path) == 0
    told = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    for one in told:
        assert [t.tolist() for t in one["averaged"]] == [[[2.0], [3.0]], [4.0]]
        assert one["agreed"] is True and one["dtype"] is torch.bfloat16
    assert (tmp_path / "turns").read_text() == "01"
    assert run_processes(2, meet, tmp_path / FAILS) == 1  # with its sentence, and without a trace
