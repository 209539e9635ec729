"""What a model wears for one request: adapters, words of textual inversions, another VAE. Others see none of it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import CLIPTextModel

from tests.engine.conftest import request
from tests.networks import tiny_folder
from webui.catalog.checkpoints import list_models
from webui.catalog.model_folders import AdapterFiles
from webui.engine import vae as vaes
from webui.engine.placement import place
from webui.engine.runner import Runner
from webui.errors import ModelFileError, RequestError
from webui.types import Decode, Encode, EncodeText, LoadAdapters, LoadModel, LoadVae

Bench = Any


def adapter(
    unet: nn.Module, text: nn.Module, seed: int
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """A kohya file for the attention layers of both networks, and the differences that it means, by layer."""
    generator = torch.Generator().manual_seed(seed)
    state: dict[str, Tensor] = {}
    differences: dict[str, Tensor] = {}
    for prefix, network in (("lora_unet_", unet), ("lora_te_text_model_", text)):
        for path, module in network.named_modules():
            if isinstance(module, nn.Linear) and "attn" in path:
                up = torch.randn(module.out_features, 2, generator=generator) * 0.2
                down = torch.randn(2, module.in_features, generator=generator) * 0.2
                key = prefix + path.replace(".", "_")
                state |= {
                    f"{key}.lora_up.weight": up,
                    f"{key}.lora_down.weight": down,
                    f"{key}.alpha": torch.tensor(1.0),
                }
                differences[f"{prefix}{path}"] = up @ down / 2
    return state, differences


@pytest.fixture(scope="module")
def wardrobe(models_dir: Path) -> Mapping[str, Any]:
    """Two adapters, and a copy of the model in which the first one is merged with strengths 0.5 and 0.8."""
    tiny = models_dir / "Stable-diffusion" / "tiny"
    unet = UNet2DConditionModel.from_pretrained(tiny / "unet")
    text = CLIPTextModel.from_pretrained(tiny / "text_encoder")
    (models_dir / "Lora" / "styles").mkdir(parents=True, exist_ok=True)
    state, differences = adapter(unet, text, 1)
    save_file(state, models_dir / "Lora" / "styles" / "One.safetensors")
    save_file(adapter(unet, text, 2)[0], models_dir / "Lora" / "two.safetensors")
    merged = models_dir / "Stable-diffusion" / "merged"
    shutil.copytree(tiny, merged)
    for name, network, prefix, strength in (
        ("unet", unet, "lora_unet_", 0.8),
        ("text_encoder", text, "lora_te_text_model_", 0.5),
    ):
        for path, difference in differences.items():
            if path.startswith(prefix):
                network.get_submodule(path.removeprefix(prefix)).weight.data += (
                    strength * difference
                )
        network.save_pretrained(merged / name)
    return {"adapter_files": AdapterFiles([models_dir]), "differences": differences}


def picture(bench: Bench, **values: Any) -> np.ndarray:
    job = bench.engine.submit(request(**values))
    status = bench.end(job)
    assert status.state == "done", status.error
    return np.frombuffer(bench.pictures(job)[0], np.uint8).astype(int)


def test_a_picture_with_an_adapter_is_that_of_the_merged_model(
    start: Any, wardrobe: Mapping[str, Any]
) -> None:
    bench = start(adapter_files=wardrobe["adapter_files"])
    worn = picture(bench, prompt="a cat <lora:styles/One:0.5:0.8>")
    merged = picture(bench, prompt="a cat ", model="merged")
    plain = picture(bench, prompt="a cat ")
    assert abs(worn - merged).max() <= 1 and abs(worn - plain).max() > 4
    finished = bench.finished[0]
    name, _, digest = finished.notes["Lora hashes"].partition(": ")
    assert name == "styles/One" and len(digest) == 12
    assert finished.request.prompt == "a cat <lora:styles/One:0.5:0.8>"
    assert "Lora hashes" not in bench.finished[2].notes


def test_requests_with_other_adapters_do_not_disturb_one_another(
    start: Any, wardrobe: Mapping[str, Any]
) -> None:
    prompts = (
        "a cat <lora:one:1>",
        "a cat <lora:two:1>",
        "a cat",
        "a cat <lora:one:1><lora:two:-0.5>",
    )
    bench = start(adapter_files=wardrobe["adapter_files"])
    alone = [picture(bench, prompt=prompt) for prompt in prompts]
    jobs = [bench.engine.submit(request(prompt=prompt)) for prompt in prompts]
    for job, before in zip(jobs, alone, strict=True):
        bench.end(job)
        assert abs(np.frombuffer(bench.pictures(job)[0], np.uint8).astype(int) - before).max() <= 1
    assert len({one.tobytes() for one in alone}) == len(prompts)


def test_an_adapter_that_is_not_there_is_refused_before_it_is_queued(
    start: Any, wardrobe: Mapping[str, Any]
) -> None:
    bench = start(adapter_files=wardrobe["adapter_files"])
    with pytest.raises(
        RequestError, match=r"<lora:twoo>: there is no such file in models/Lora; did you mean 'two'"
    ):
        bench.engine.submit(request(prompt="a cat <lora:twoo:1>"))
    assert not bench.engine.jobs()


def test_a_picture_may_be_made_without_what_is_missing_and_tells(
    start: Any, wardrobe: Mapping[str, Any]
) -> None:
    bench = start(adapter_files=wardrobe["adapter_files"])
    prompt = "a cat <lora:two:0.5><lora:twoo:1><hypernet:none><lora::1>"
    both = picture(bench, prompt=prompt, missing="warn", negative_prompt="<lora:one:1>")
    assert (both == picture(bench, prompt="a cat <lora:two:0.5>")).all()
    assert (
        picture(bench, prompt="a cat <lora:no>", missing="warn") == picture(bench, prompt="a cat ")
    ).all()
    warnings = bench.finished[0].warnings
    for words in (
        "<lora:twoo>: there is no such file in models/Lora; the picture was made without it.",
        "<hypernet:none>: there is no such file in models/hypernetworks; the picture",
        "<lora::1> is not understood",
        "<lora:one> in the negative prompt does nothing",
    ):
        assert len([one for one in warnings if one.startswith(words)]) == 1, words
    assert len(warnings) == 4 and bench.finished[1].warnings == ()
    assert "Lora hashes" not in bench.finished[2].notes


def test_a_strength_that_leaves_no_number_is_told_as_such(
    start: Any, wardrobe: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not the model's file."""
    bench = start(adapter_files=wardrobe["adapter_files"])
    broken = vaes.decode

    def decode(networks: Any, latents: Tensor) -> Tensor:
        return broken(networks, latents * float("nan"))

    monkeypatch.setattr(vaes, "decode", decode)
    for prompt, says in (
        (
            "<lora:two:900>",
            "prompt: the picture came to no numbers; the strength of <lora:two> is too large",
        ),
        ("<lora:two:1>", "the file is damaged"),
    ):
        status = bench.end(bench.engine.submit(request(prompt=prompt, steps=1)))
        assert status.state == "failed" and says in (status.error or "")


def test_options_of_other_programs_are_told_on_the_picture(
    start: Any, wardrobe: Mapping[str, Any]
) -> None:
    bench = start(adapter_files=wardrobe["adapter_files"])
    told = picture(bench, prompt="a cat <lora:two:0.5:lbw=1,0><lora:Two:3>")
    assert (told == picture(bench, prompt="a cat <lora:two:0.5>")).all()  # a file counts once
    assert bench.finished[0].warnings == (
        "<lora:two:0.5:lbw=1,0>: “lbw=1,0” is not known here and does nothing",
    )
    told = picture(bench, prompt="a cat <lora:two:high>")
    assert (told == picture(bench, prompt="a cat <lora:two>")).all()
    assert bench.finished[2].warnings == (
        "<lora:two:high>: “high” is not known here and does nothing",
    )


@pytest.mark.parametrize("missing", ["refuse", "warn"])
def test_a_file_that_goes_before_its_turn_is_missed_or_told(
    start: Any, wardrobe: Mapping[str, Any], models_dir: Path, missing: str
) -> None:
    adapter_files = AdapterFiles([models_dir])
    there = shutil.copy(
        models_dir / "Lora" / "two.safetensors", models_dir / "Lora" / "going.safetensors"
    )
    bench = start(adapter_files=adapter_files, begun=False)
    job = bench.engine.submit(request(prompt="a cat <lora:going:1>", missing=missing))
    Path(there).unlink()
    bench.engine.start()
    status = bench.end(job)
    if missing == "refuse":
        assert status.state == "failed" and "<lora:going>: " in (status.error or "")
    else:
        assert status.state == "done", status.error
        (told,) = bench.finished[0].warnings
        assert told.startswith("<lora:going>: ") and told.endswith("was made without it.")


def test_an_adapter_for_another_model_fails_its_own_job(
    start: Any, wardrobe: Mapping[str, Any], models_dir: Path
) -> None:
    wrong = {
        "lora_unet_x.lora_up.weight": torch.ones(1, 1),
        "lora_unet_x.lora_down.weight": torch.ones(1, 1),
    }
    save_file(wrong, models_dir / "Lora" / "stranger.safetensors")
    bench = start(adapter_files=AdapterFiles([models_dir]))
    status = bench.end(bench.engine.submit(request(prompt="<lora:stranger>a cat")))
    assert status.state == "failed" and "made for another kind of model" in (status.error or "")
    assert picture(bench).size
    (models_dir / "Lora" / "stranger.safetensors").unlink()


def test_what_of_an_adapter_and_of_a_word_is_not_used_is_told_on_the_picture(
    start: Any, wardrobe: Mapping[str, Any], models_dir: Path
) -> None:
    state = dict(load_file(models_dir / "Lora" / "two.safetensors"))
    state |= {
        "lora_unet_x.lora_up.weight": torch.ones(1, 1),
        "bundle_emb.a.emb_params": torch.ones(2, 32),
    }
    state |= {"lora_unet_x.lora_down.weight": torch.ones(1, 1)}
    save_file(state, models_dir / "Lora" / "partly.safetensors")
    (models_dir / "embeddings").mkdir(exist_ok=True)
    save_file({"emb_params": torch.ones(2, 99)}, models_dir / "embeddings" / "mybird.safetensors")
    part = {"a": torch.ones(2, 32), "b": torch.ones(2, 32)}
    save_file(part, models_dir / "embeddings" / "myfish.safetensors")
    bench = start(adapter_files=AdapterFiles([models_dir]))
    prompt = "<lora:partly:0.5>a cat, a mybird, a myfish"
    status = bench.end(bench.engine.submit(request(prompt=prompt)))
    assert status.state == "done", status.error
    notes = bench.finished[0].warnings
    assert [note for note in notes if "1 of " in note and "lora_unet_x" in note], notes
    assert [note for note in notes if "bundle_emb.a.emb_params" in note]
    assert [note for note in notes if "mybird.safetensors" in note and "a plain word there" in note]
    assert [note for note in notes if "myfish.safetensors: 1 tensor " in note]
    assert len(notes) == len(set(notes)) == 3
    for name in ("Lora/partly", "embeddings/mybird", "embeddings/myfish"):
        (models_dir / f"{name}.safetensors").unlink()


def hypernetwork(path: Path, width: int, seed: int) -> None:
    drawn = torch.Generator().manual_seed(seed)
    sides = [
        {
            "linear.0.weight": torch.randn(2 * width, width, generator=drawn) * 0.3,
            "linear.0.bias": torch.randn(2 * width, generator=drawn) * 0.3,
            "linear.1.weight": torch.randn(width, 2 * width, generator=drawn) * 0.3,
            "linear.1.bias": torch.randn(width, generator=drawn) * 0.3,
        }
        for _ in range(2)
    ]
    path.parent.mkdir(exist_ok=True)
    torch.save({width: tuple(sides), "layer_structure": [1, 2, 1], "step": 1}, path)


def test_requests_with_hypernetworks_and_without_share_the_engine(
    start: Any, wardrobe: Mapping[str, Any], models_dir: Path
) -> None:
    folder = models_dir / "hypernetworks"
    hypernetwork(folder / "soft.pt", 32, 1)
    hypernetwork(folder / "for others.pt", 768, 1)
    bench = start(adapter_files=AdapterFiles([models_dir]))
    prompts = (
        "a cat <hypernet:soft:1>",
        "a cat <hypernet:soft:0.5>",
        "a cat <hypernet:soft:1><lora:two:1>",
        "a cat <lora:two:1>",
        "a cat ",
    )
    alone = [picture(bench, prompt=prompt) for prompt in prompts]
    assert len({one.tobytes() for one in alone}) == len(prompts)
    jobs = [bench.engine.submit(request(prompt=prompt)) for prompt in prompts]
    for job, before in zip(jobs, alone, strict=True):
        bench.end(job)
        assert abs(np.frombuffer(bench.pictures(job)[0], np.uint8).astype(int) - before).max() <= 1
    assert "Lora hashes" not in bench.finished[0].notes and "Lora hashes" in bench.finished[2].notes
    status = bench.end(bench.engine.submit(request(prompt="a cat <hypernet:for others>")))
    assert status.state == "failed" and "for others.pt: made for another kind" in status.error
    with pytest.raises(RequestError, match=r"<hypernet:sofd>: there is no such file in models/hyp"):
        bench.engine.submit(request(prompt="a cat <hypernet:sofd>"))
    hypernetwork(folder / "soft.pt", 32, 2)  # a new version
    assert abs(picture(bench, prompt=prompts[0]) - alone[0]).max() > 4
    shutil.rmtree(folder)


# --- Textual inversions ---------------------------------------------------------------------------


def test_a_word_of_an_inversion_is_encoded_as_diffusers_does(models_dir: Path) -> None:
    tiny = models_dir / "Stable-diffusion" / "tiny"
    vectors = torch.randn(2, 32, generator=torch.Generator().manual_seed(3))
    (models_dir / "embeddings").mkdir(exist_ok=True)
    save_file({"emb_params": vectors}, models_dir / "embeddings" / "mycat.safetensors")
    theirs = StableDiffusionPipeline.from_pretrained(tiny, safety_checker=None)
    theirs.load_textual_inversion({"mycat": vectors}, token="mycat")
    expected, negative = theirs.encode_prompt(
        "a mycat on the grass", "cpu", 1, True, negative_prompt="dog"
    )

    runner = Runner(
        lambda: list_models([models_dir]),
        place("cpu", "float32", "auto"),
        adapter_files=AdapterFiles([models_dir]),
    )
    model = runner.load(LoadModel("tiny"))
    cond, uncond = runner.run([EncodeText(model, "a mycat on the grass", "dog")])[0].texts  # type: ignore[arg-type]
    torch.testing.assert_close(cond.context, expected[0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(uncond.context, negative[0], rtol=1e-4, atol=1e-5)
    (models_dir / "embeddings" / "mycat.safetensors").unlink()


def test_a_damaged_inversion_fails_its_own_job_and_no_other(start: Any, models_dir: Path) -> None:
    vectors = torch.ones(2, 32)
    vectors[1, 5] = float("nan")
    (models_dir / "embeddings").mkdir(exist_ok=True)
    save_file({"emb_params": vectors}, models_dir / "embeddings" / "mycat.safetensors")
    torch.save({"string_to_param": {"*": vectors}}, models_dir / "embeddings" / "mydog.pt")
    save_file({"emb_params": torch.ones(2, 99)}, models_dir / "embeddings" / "mybird.safetensors")
    bench = start(adapter_files=AdapterFiles([models_dir]))
    for word, tensor in (
        ("mycat", "mycat.safetensors: 'emb_params'"),
        ("mydog", "mydog.pt: '*'"),
    ):
        status = bench.end(bench.engine.submit(request(prompt=f"a {word}")))
        assert status.state == "failed", word
        assert (status.error or "").startswith(f"{tensor} has values that are not numbers"), word
    assert picture(bench, prompt="a mybird").size  # made for another family: a plain word
    assert picture(bench, prompt="a cat").size
    for path in (models_dir / "embeddings").glob("my*"):
        path.unlink()


# --- VAEs -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def other(models_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> AutoencoderKL:
    """Another VAE of the same family, in models/VAE in diffusers' layout."""
    folder = tiny_folder(tmp_path_factory.mktemp("other") / "model", seed=9)
    (models_dir / "VAE").mkdir(exist_ok=True)
    shutil.copy(
        folder / "vae" / "diffusion_pytorch_model.safetensors",
        models_dir / "VAE" / "soft.safetensors",
    )
    return AutoencoderKL.from_pretrained(folder / "vae").requires_grad_(False).eval()


@pytest.fixture
def runner(models_dir: Path) -> Runner:
    return Runner(
        lambda: list_models([models_dir]),
        place("cpu", "float32", "auto"),
        adapter_files=AdapterFiles([models_dir]),
    )


def test_a_chosen_vae_decodes_and_encodes_and_the_models_own_comes_back(
    other: AutoencoderKL, runner: Runner
) -> None:
    model: Any = runner.load(LoadModel("tiny"))
    assert runner.load(LoadVae(model, "soft.safetensors")) == "soft.safetensors"
    for name in ("none", "automatic"):
        assert runner.load(LoadVae(model, name)) == "" == runner.resident(LoadVae(model, name))
    latent = torch.randn(4, 8, 8, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected = other.decode(latent[None] / other.config.scaling_factor).sample[0]
        ours, own = (
            runner.run([Decode(model, latent, vae)])[0] for vae in ("soft.safetensors", "")
        )
        levels = ((expected / 2 + 0.5).clamp(0, 1) * 255).round().permute(1, 2, 0)
        assert (ours.float() - levels).abs().max() <= 1 and not torch.equal(ours, own)
        pixels = torch.rand(3, 64, 64) * 2 - 1
        mean = other.encode(pixels[None]).latent_dist.mode()[0] * other.config.scaling_factor
        torch.testing.assert_close(
            runner.run([Encode(model, pixels, "soft.safetensors")])[0], mean, rtol=1e-4, atol=1e-4
        )


def test_the_infotext_names_a_vae_that_is_not_the_models_own(
    other: AutoencoderKL, start: Any, models_dir: Path
) -> None:
    bench = start(adapter_files=AdapterFiles([models_dir]))
    chosen, own = picture(bench, vae="soft.safetensors"), picture(bench, vae="none")
    assert abs(chosen - own).max() > 4
    assert (
        bench.finished[0].notes["VAE"] == "soft.safetensors"
        and "VAE" not in bench.finished[1].notes
    )


def test_a_vae_of_another_family_is_refused_by_name(models_dir: Path, runner: Runner) -> None:
    (models_dir / "VAE").mkdir(exist_ok=True)
    save_file({"decoder.conv_in.weight": torch.ones(3, 3)}, models_dir / "VAE" / "odd.safetensors")
    model: Any = runner.load(LoadModel("tiny"))
    with pytest.raises(ModelFileError, match=r"odd\.safetensors"):
        runner.load(LoadVae(model, "odd.safetensors"))
    (models_dir / "VAE" / "odd.safetensors").unlink()


# --- Large pictures -------------------------------------------------------------------------------


def test_a_large_decode_is_made_of_calls_and_is_the_picture(
    start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tiles of 64 cells and an overlap of 8: a picture of 640 x 512 has two of them."""
    bench = start()
    whole = picture(bench, width=640, height=512, steps=1)
    calls: list[str] = []
    monkeypatch.setattr("webui.engine.call_expansion.TILED_ABOVE", 512 * 512)
    monkeypatch.setattr(
        vaes,
        "tile",
        lambda networks, call, tile=vaes.tile: calls.append(call.part) or tile(networks, call),
    )
    tiled = picture(bench, width=640, height=512, steps=1)
    assert calls == ["whole", "tile", "tile", "tile", "tile"]
    assert abs(tiled - whole).mean() < 2


def test_a_decode_that_the_memory_refuses_goes_on_in_tiles(
    models_dir: Path, runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    model: Any = runner.load(LoadModel("tiny"))
    latent = torch.randn(4, 80, 16, generator=torch.Generator().manual_seed(1))
    whole = runner.run([Decode(model, latent)])[0].float()
    tight = runner.networks(model).vae

    tried: list[Any] = []

    def full(*inputs: Any, **options: Any) -> None:
        tried.append(inputs)
        raise torch.OutOfMemoryError("no room")

    monkeypatch.setattr(tight, "decode", full)
    for _ in range(3):
        assert (runner.run([Decode(model, latent)])[0].float() - whole).abs().mean() < 3
    assert len(tried) == 1  # what does not fit is not tried each time
    monkeypatch.setattr(tight, "encode", full)
    assert runner.run([Encode(model, torch.zeros(3, 128, 640))])[0].shape == (4, 16, 80)
    monkeypatch.setattr(
        tight, "decode", lambda *inputs, **options: (_ for _ in ()).throw(RuntimeError("other"))
    )
    with pytest.raises(ModelFileError, match="other"):
        runner.run([Decode(model, latent[:, :8])])


def test_a_model_that_makes_room_takes_what_it_wore_along(
    models_dir: Path, wardrobe: Mapping[str, Any]
) -> None:
    runner = Runner(
        lambda: list_models([models_dir]),
        place("cpu", "float32", "auto"),
        10**12,
        adapter_files=wardrobe["adapter_files"],
    )
    model: Any = runner.load(LoadModel("tiny"))
    wanted = LoadAdapters(model, (("two", 1.0, 1.0),))
    lora: Any = runner.load(wanted)
    text = runner.run([EncodeText(model, "a cat", "", lora=lora)])[0]
    assert runner.resident(wanted) == lora and runner.adapter_cache.merged.bytes
    runner.parts.limit = 0
    runner.load(LoadModel("tiny-inpainting"))
    assert runner.resident(wanted) is None and not runner.adapter_cache.merged.bytes
    again = runner.run(
        [EncodeText(runner.load(LoadModel("tiny")), "a cat", "", lora=runner.load(wanted))]
    )  # type: ignore[arg-type]
    assert torch.equal(again[0].texts[0].context, text.texts[0].context)
