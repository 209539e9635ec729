"""What a model wears follows its file: a VAE, an adapter or an inversion that is replaced is read again."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL
from safetensors.torch import load_file, save_file
from torch import Tensor

from webui.catalog.checkpoints import ModelList
from webui.catalog.model_folders import AdapterFiles
from webui.engine.placement import place
from webui.engine.runner import Runner
from webui.errors import ModelFileError, RequestError
from webui.testing.families import FAMILIES, build, write
from webui.types import Decode, EncodeText, LoadAdapters, LoadModel, LoadVae

LAYER = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
KEY = "lora_unet_" + LAYER.replace(".", "_")
WORN = (("mine", 1.0, 1.0),)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two models of one size, of other weights, and their VAEs."""
    folder = tmp_path_factory.mktemp("written")
    found = []
    for seed in (1, 2):
        networks = build(FAMILIES["sd1"], seed=seed)
        found.append(write(folder / f"{seed}.safetensors", networks, "ldm"))
        vae = {name: one.contiguous() for name, one in networks["vae"].state_dict().items()}
        save_file(vae, folder / f"{seed}.vae")
    return found


@pytest.fixture
def models(tmp_path: Path, written: list[Path]) -> Path:
    for name in ("Stable-diffusion", "VAE", "Lora", "embeddings"):
        (tmp_path / name).mkdir()
    shutil.copy(written[0], tmp_path / "Stable-diffusion" / "m.safetensors")
    return tmp_path


@pytest.fixture
def runner(models: Path) -> Runner:
    placement = place("cpu", "float32", "sdpa")
    return Runner(ModelList([models]), placement, 1 << 30, adapter_files=AdapterFiles([models]))


def replace(path: Path, by: Path) -> None:
    """As most programs do it: written beside, then renamed."""
    shutil.copy(by, path.with_name(".part"))
    os.replace(path.with_name(".part"), path)


# --- VAEs -----------------------------------------------------------------------------------------


def decoded(runner: Runner, model: Any, latent: Tensor) -> Tensor:
    return runner.run([Decode(model, latent, "v.safetensors")])[0].float()


def expected(vae: Path, networks: Any, latent: Tensor) -> Tensor:
    theirs = AutoencoderKL.from_config(networks.vae.config)
    theirs.load_state_dict(load_file(vae))
    with torch.inference_mode():
        picture = theirs.eval().decode(latent[None] / theirs.config.scaling_factor).sample[0]
    return ((picture / 2 + 0.5).clamp(0, 1) * 255).round().permute(1, 2, 0)


def test_the_next_request_gets_the_vae_that_is_there_now(
    runner: Runner, models: Path, written: list[Path]
) -> None:
    first, second = (path.with_suffix(".vae") for path in written)
    path = models / "VAE" / "v.safetensors"
    shutil.copy(first, path)
    model: Any = runner.load(LoadModel("m.safetensors"))
    latent = torch.randn(4, 4, 4, generator=torch.Generator().manual_seed(1))
    for vae in (first, second):
        replace(path, vae)
        runner.look()
        assert runner.resident(LoadVae(model, "v.safetensors")) is None
        runner.load(LoadVae(model, "v.safetensors"))
        assert runner.resident(LoadVae(model, "v.safetensors")) == "v.safetensors"
        theirs = expected(vae, runner.networks(model), latent)
        assert (decoded(runner, model, latent) - theirs).abs().max() <= 1
    former = [part for part in runner.parts if part.kind == "vae" and part.former]
    assert len(former) == 1 and runner.parts.make_room(1, limit=runner.parts.bytes()) == former


def test_a_picture_keeps_the_vae_that_it_was_begun_with_beside_the_next_ones(
    runner: Runner, models: Path, written: list[Path]
) -> None:
    path = models / "VAE" / "v.safetensors"
    shutil.copy(written[0].with_suffix(".vae"), path)
    model: Any = runner.load(LoadModel("m.safetensors"))
    latent = torch.randn(4, 4, 4, generator=torch.Generator().manual_seed(1))
    old: Any = runner.load(LoadVae(model, "v.safetensors"))
    assert runner.hold("picture", old)
    before = runner.run([Decode(model, latent, old)])[0]
    replace(path, written[1].with_suffix(".vae"))
    new: Any = runner.load(LoadVae(model, "v.safetensors"))
    runner.parts.make_room(0, limit=0)
    assert torch.equal(runner.run([Decode(model, latent, old)])[0], before)
    assert not torch.equal(runner.run([Decode(model, latent, new)])[0], before)


def test_a_vae_that_had_to_go_comes_back_or_says_that_it_was_replaced(
    runner: Runner, models: Path, written: list[Path]
) -> None:
    path = models / "VAE" / "v.safetensors"
    shutil.copy(written[0].with_suffix(".vae"), path)
    model: Any = runner.load(LoadModel("m.safetensors"))
    latent = torch.randn(4, 4, 4, generator=torch.Generator().manual_seed(1))
    old: Any = runner.load(LoadVae(model, "v.safetensors"))
    call = Decode(model, latent, old)
    before = runner.run([call])[0]
    runner.parts.drop(old.key)
    assert runner.lacks(call)
    runner.bring(call)
    assert not runner.lacks(call) and torch.equal(runner.run([call])[0], before)
    runner.parts.drop(old.key)
    replace(path, written[1].with_suffix(".vae"))
    with pytest.raises(RequestError, match=r"the file of VAE 'v\.safetensors' was replaced"):
        runner.bring(call)


def test_a_picture_that_is_being_made_ends_with_the_vae_that_is_in_memory(
    runner: Runner, models: Path, written: list[Path]
) -> None:
    path = models / "VAE" / "v.safetensors"
    shutil.copy(written[0].with_suffix(".vae"), path)
    model: Any = runner.load(LoadModel("m.safetensors"))
    runner.load(LoadVae(model, "v.safetensors"))
    latent = torch.randn(4, 4, 4, generator=torch.Generator().manual_seed(1))
    before = decoded(runner, model, latent)
    path.write_bytes(path.read_bytes()[:-100])  # a copy that has only begun
    with pytest.raises(ModelFileError, match=r"v\.safetensors: is cut short"):
        runner.load(LoadVae(model, "v.safetensors"))
    assert torch.equal(decoded(runner, model, latent), before)


# --- Adapters -------------------------------------------------------------------------------------


def dora(seed: int) -> dict[str, Tensor]:
    """What it makes of a layer depends on the layer's own weight."""
    drawn = torch.Generator().manual_seed(seed)
    return {
        f"{KEY}.lora_up.weight": torch.randn(64, 2, generator=drawn) * 0.2,
        f"{KEY}.lora_down.weight": torch.randn(2, 64, generator=drawn) * 0.2,
        f"{KEY}.dora_scale": torch.rand(64, 1, generator=drawn) + 0.5,
    }


def decomposed(weight: Tensor, state: dict[str, Tensor]) -> Tensor:
    """Liu et al. 2024, equation 5."""
    whole = weight + state[f"{KEY}.lora_up.weight"] @ state[f"{KEY}.lora_down.weight"]
    return state[f"{KEY}.dora_scale"] * whole / torch.linalg.vector_norm(whole, dim=1, keepdim=True)


def seen(runner: Runner, model: Any, lora: Any) -> Tensor:
    """The weight that the layer computes with, told from what it makes of the unit vectors."""
    unet = runner.networks(model).unet
    with torch.inference_mode(), lora.applied(unet):
        return unet.get_submodule(LAYER)(torch.eye(64)).T


def own(runner: Runner, model: Any) -> Tensor:
    return runner.networks(model).unet.get_submodule(LAYER).weight


def test_an_adapter_never_takes_weights_of_a_former_checkpoint(
    runner: Runner, models: Path, written: list[Path]
) -> None:
    state = dora(3)
    save_file(state, models / "Lora" / "mine.safetensors")
    old: Any = runner.load(LoadModel("m.safetensors"))
    begun: Any = runner.load(LoadAdapters(old, WORN))
    torch.testing.assert_close(seen(runner, old, begun), decomposed(own(runner, old), state))
    replace(models / "Stable-diffusion" / "m.safetensors", written[1])
    new: Any = runner.load(LoadModel("m.safetensors"))
    assert runner.resident(LoadAdapters(new, WORN)) is None
    fresh: Any = runner.load(LoadAdapters(new, WORN))
    assert begun != fresh and not torch.equal(own(runner, old), own(runner, new))
    for _ in range(2):  # side by side, each with what it was begun with
        torch.testing.assert_close(seen(runner, old, begun), decomposed(own(runner, old), state))
        torch.testing.assert_close(seen(runner, new, fresh), decomposed(own(runner, new), state))


def test_a_replaced_adapter_is_read_again_and_running_pictures_keep_theirs(
    runner: Runner, models: Path, tmp_path: Path
) -> None:
    path = models / "Lora" / "mine.safetensors"
    save_file(dora(3), path)
    model: Any = runner.load(LoadModel("m.safetensors"))
    begun: Any = runner.load(LoadAdapters(model, WORN))
    before = seen(runner, model, begun)
    save_file(dora(4), tmp_path / "other")
    replace(path, tmp_path / "other")
    runner.look()
    assert runner.resident(LoadAdapters(model, WORN)) is None
    fresh: Any = runner.load(LoadAdapters(model, WORN))
    assert runner.resident(LoadAdapters(model, WORN)) == fresh
    weight = own(runner, model)
    torch.testing.assert_close(seen(runner, model, fresh), decomposed(weight, dora(4)))
    assert torch.equal(seen(runner, model, begun), before)
    former = [part for part in runner.parts if part.kind == "lora" and part.former]
    assert len(former) == 1
    path.unlink()
    assert torch.equal(seen(runner, model, begun), before)


@pytest.mark.parametrize("where", ["metadata", "beside"])
def test_the_same_tensors_with_another_config_are_another_adapter(
    where: str, runner: Runner, models: Path
) -> None:
    """peft's alpha is in no tensor: the hash of the tensors does not tell."""
    name = "mine" if where == "metadata" else "adapter_model"
    path = models / "Lora" / f"{name}.safetensors"
    drawn = torch.Generator().manual_seed(5)
    down, up = torch.randn(2, 64, generator=drawn), torch.randn(64, 2, generator=drawn)
    state = {f"unet.{LAYER}.lora_A.weight": down, f"unet.{LAYER}.lora_B.weight": up}
    model: Any = runner.load(LoadModel("m.safetensors"))
    for alpha in (2, 10):
        config = f'{{"unet.lora_alpha": {alpha}}}'
        if where == "metadata":
            save_file(state, path, {"lora_adapter_metadata": config})
        else:
            if not path.exists():
                save_file(state, path)
            path.with_name("adapter_config.json").write_text(config, encoding="utf-8")
        lora: Any = runner.load(LoadAdapters(model, ((name, 1.0, 1.0),)))
        changed = own(runner, model) + up @ down * alpha / 2
        torch.testing.assert_close(seen(runner, model, lora), changed, rtol=1e-4, atol=1e-4)


# --- Textual inversions -----------------------------------------------------------------


def encoded(runner: Runner, model: Any) -> Tensor:
    cond: Any = runner.run([EncodeText(model, "a mycat", "")])[0]
    return cond.texts[0].context


@pytest.mark.parametrize("ending", ["safetensors", "pt"])
def test_a_replaced_inversion_is_read_again(ending: str, runner: Runner, models: Path) -> None:
    path = models / "embeddings" / f"mycat.{ending}"
    model: Any = runner.load(LoadModel("m.safetensors"))
    found = []
    for number in (1, 2, 1):
        vectors = torch.randn(2, 64, generator=torch.Generator().manual_seed(number))
        if ending == "pt":
            torch.save({"string_to_param": {"*": vectors}}, path.with_suffix(".part"))
        else:
            save_file({"emb_params": vectors}, path.with_suffix(".part"))
        os.replace(path.with_suffix(".part"), path)
        runner.look()
        found.append(encoded(runner, model))
    assert torch.equal(found[0], found[2]) and not torch.allclose(found[0], found[1])
    assert len(runner.inversions._versions) == 1


# --- Parts of a folder -----------------------------------------------------------------------------

WEIGHTS = {"text_encoder": "model", "vae": "diffusion_pytorch_model"}


def with_another(part: str, models: Path) -> None:
    """Another `part` in the folder "f", whose U-Net, and with it the model's hash, stays the same."""
    build(FAMILIES["sd1"], seed=2)[part].save_pretrained(models / "other")
    name = f"{WEIGHTS[part]}.safetensors"
    replace(models / "Stable-diffusion" / "f" / part / name, models / "other" / name)


def made(runner: Runner, model: Any, part: str) -> Tensor:
    """What a part of a model makes."""
    if part == "text_encoder":
        return encoded(runner, model)
    latent = torch.randn(4, 4, 4, generator=torch.Generator().manual_seed(1))
    return runner.run([Decode(model, latent)])[0].float()


@pytest.mark.parametrize("part", WEIGHTS)
def test_a_replaced_part_of_a_folder_is_the_next_requests_and_not_the_running_ones(
    part: str, runner: Runner, models: Path
) -> None:
    write(models / "Stable-diffusion" / "f", dict(build(FAMILIES["sd1"], seed=1)), "folder")
    old: Any = runner.load(LoadModel("f"))
    first = made(runner, old, part)
    with_another(part, models)
    new: Any = runner.load(LoadModel("f"))
    assert new.hash == old.hash and new != old
    second = made(runner, new, part)
    for text in [part.key for part in runner.parts if part.kind == "encoded text"]:
        runner.parts.drop(text)
    assert torch.equal(made(runner, old, part), first) and not torch.allclose(second, first)


@pytest.mark.parametrize("part", WEIGHTS)
def test_a_replaced_part_of_a_folder_is_told_where_the_former_had_to_go(
    part: str, models: Path
) -> None:
    write(models / "Stable-diffusion" / "f", dict(build(FAMILIES["sd1"], seed=1)), "folder")
    runner = Runner(
        ModelList([models]),
        place("cpu", "float32", "sdpa"),
        0,
        adapter_files=AdapterFiles([models]),
    )
    old: Any = runner.load(LoadModel("f"))
    with_another(part, models)
    runner.load(LoadModel("m.safetensors"))  # which takes the only place
    with pytest.raises(RequestError, match="was replaced while a picture was made with it"):
        made(runner, old, part)
