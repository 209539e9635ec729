"""A file of any kind in the folder of any other says what it is and where it belongs; so does what is no model."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.catalog.formats.files import checkpoint, write
from webui.catalog.checkpoints import ModelList
from webui.catalog.library import Library
from webui.catalog.model_folders import KIND_FOLDERS
from webui.engine.text import inversions
from webui.engine.vaes import _loaded
from webui.errors import ModelFileError
from webui.types.library import FOLDERS, ModelFile


def zeros(*names: str, shape: tuple[int, ...] = (4,)) -> dict[str, np.ndarray]:
    return {name: np.zeros(shape, np.float16) for name in names}


VAE = zeros("encoder.conv_in.weight", "decoder.conv_out.weight") | zeros(
    "decoder.conv_in.weight", shape=(8, 4, 3, 3)
)
GOOD = {  # of each kind the layouts that work; the first is put into all folders
    "lora": (
        zeros("lora_unet_down_blocks_0_attentions_0_proj_in.lora_down.weight", "lora_te_x.alpha"),
        zeros("unet.down_blocks.0.attn1.to_q.lora_A.weight"),
        zeros("diffusion_model.input_blocks.1.1.proj_in.lokr_w1"),
        zeros("base_model.model.down_blocks.0.x.hada_w1_a"),
    ),
    "embedding": (
        zeros("emb_params", shape=(3, 768)),
        zeros("clip_l", shape=(2, 768)) | zeros("clip_g", shape=(2, 1280)),
        zeros("<my word>", shape=(1, 1024)),
        zeros("string_to_param.*", shape=(1, 768)),
    ),
    "hypernetwork": (zeros("768.0.linear.0.weight", "768.1.linear.0.weight", shape=(8, 8)),),
    "vae": (
        VAE,
        {f"first_stage_model.{key}": value for key, value in VAE.items()},
        {f"vae.{key}": value for key, value in VAE.items()},
    ),
    "controlnet": (
        zeros("controlnet_cond_embedding.conv_in.weight", "controlnet_down_blocks.0.weight", "conv_in.weight"),
        zeros("control_model.input_hint_block.0.weight", "control_model.zero_convs.0.0.weight"),
        zeros("input_hint_block.0.weight", "zero_convs.0.0.weight", "input_blocks.0.0.weight"),
        zeros("control_model.zero_convs.0.0.weight", "model.diffusion_model.x"),
    ),
    "upscaler": (
        zeros("model.0.weight", "model.1.sub.0.RDB1.conv1.0.weight", shape=(8, 3, 3, 3)),
        zeros("conv_first.weight", "body.0.rdb1.conv1.weight", shape=(8, 3, 3, 3)),
        zeros("RRDB_trunk.0.RDB1.conv1.weight", "conv_first.weight", shape=(8, 3, 3, 3)),
        zeros("params_ema.conv_first.weight", shape=(8, 3, 3, 3)),
        zeros("layers.0.residual_group.blocks.0.attn.qkv.weight") | zeros("conv_first.weight", shape=(8, 3, 3, 3)),
        zeros("an.architecture.of.tomorrow", shape=(8, 3, 3, 3)),
    ),
}  # fmt: skip
PLACE = {
    "checkpoint": "models/Stable-diffusion",
    "lora": "models/Lora",
    "embedding": "models/embeddings",
    "hypernetwork": "models/hypernetworks",
    "vae": "models/VAE",
    "controlnet": "models/ControlNet",
    "upscaler": "models/ESRGAN",
}


def put(top: Path, kind: str, name: str, tensors: dict[str, np.ndarray] | bytes) -> None:
    path = top / FOLDERS[kind] / f"{name}.safetensors"
    if isinstance(tensors, bytes):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(tensors)
    else:
        write(path, tensors)


def told(top: Path) -> dict[tuple[str, str], ModelFile]:
    files = Library([top], ModelList([top])).files()
    return {(one.kind, one.path.stem): one for one in files}


def test_every_folder_has_a_place(tmp_path):
    assert (
        set(PLACE)
        == set(FOLDERS)
        == set(KIND_FOLDERS) | {"checkpoint"}
        == set(GOOD) | {"checkpoint"}
    )


def test_a_file_in_the_folder_of_another_kind_says_where_it_belongs(tmp_path):
    """Seven kinds in seven folders."""
    for folder in FOLDERS:
        checkpoint(tmp_path / FOLDERS[folder] / "checkpoint.safetensors")
        for kind, layouts in GOOD.items():
            put(tmp_path, folder, kind, layouts[0])
    found = told(tmp_path)
    assert len(found) == 49
    for (folder, kind), file in found.items():
        if folder == kind:
            assert file.problem is None, kind
        else:
            assert file.problem and file.problem.endswith(PLACE[kind]), (folder, kind, file.problem)
            assert file.problem.startswith(f"{kind}.safetensors: a"), file.problem


def test_every_layout_of_a_kind_is_at_home_in_its_folder(tmp_path):
    for kind, layouts in GOOD.items():
        for number, layout in enumerate(layouts):
            put(tmp_path, kind, f"{kind}{number}", layout)
    problems = {key: one.problem for key, one in told(tmp_path).items() if one.problem}
    assert problems == {}


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
GGUF = b"GGUF\x03\0\0\0" + bytes(90)
NONE = {
    "empty": (b"", "empty"),
    "page": (b"<!DOCTYPE html><html>log in</html>", "a web page"),
    "pointer": (POINTER, "Git LFS"),
    "zip": (b"PK\x03\x04" + bytes(600), "a pickle named .safetensors"),
    "pickle": (b"\x80\x02}q\x00." + bytes(90), "a pickle named .safetensors"),
    "text": (b"a text about something, and some more of it\n", "is not a safetensors file"),
    "error": (b'{"error": "not found"}', "a message in JSON"),
    "gguf": (GGUF, "GGUF"),
    "zeros": (bytes(600), "begins with zeros"),
    "short": (b"\x10", "no safetensors file"),
    "archive": (b"\x1f\x8b" + bytes(90), "an archive"),
}


def cut(tensors: dict[str, np.ndarray], folder: Path) -> bytes:
    return write(folder / "whole.safetensors", tensors).read_bytes()[:-3]


def test_what_is_no_model_is_told_in_every_folder(tmp_path):
    for folder in FOLDERS:
        for name, (content, _) in NONE.items():
            put(tmp_path, folder, name, content)
        put(tmp_path, folder, "cut", cut(zeros("a"), tmp_path))
        put(tmp_path, folder, "nothing", {})
    found = told(tmp_path)
    assert len(found) == len(FOLDERS) * (len(NONE) + 2)
    words = {name: said for name, (_, said) in NONE.items()}
    words |= {"cut": "cut short", "nothing": "no tensors"}
    for (folder, name), file in found.items():
        assert words[name] in (file.problem or ""), (folder, name, file.problem)


OTHERS = {
    ("lora", "a LoRA for Flux"): zeros("transformer.single_transformer_blocks.0.attn.to_q.lora_A.weight"),
    ("upscaler", "a quantised file"): zeros("x.scale_weight", "scaled_fp8"),
    ("lora", "a LoRA for Stable Diffusion 3"): zeros("lora_unet_joint_blocks_0_x.lora_down.weight"),
    ("lora", "no LoRA that is known"): zeros("something.else"),
    ("lora", "a checkpoint"): zeros("unet.conv_in.weight", "text_encoder.x"),
    ("lora", "a ControlNet-LLLite"): zeros("lllite_unet_x.down.0.weight"),
    ("lora", "a control-LoRA"): zeros("lora_controlnet", "input_blocks.0.0.up", "zero_convs.0.0.weight"),
    ("upscaler", "no convolution"): zeros("encoder.layers.0.mlp.fc1.weight", "shared.weight", shape=(8, 8)),
    ("vae", "16 latent channels"): VAE | zeros("decoder.conv_in.weight", shape=(8, 16, 3, 3)),
    ("vae", "TAESD"): zeros("decoder.layers.0.weight", "encoder.layers.0.weight"),
    ("vae", "no VAE that is known"): zeros("something.else"),
    ("vae", "a text encoder"): zeros("text_model.encoder.layers.0.mlp.fc1.weight"),
    ("controlnet", "a control-LoRA"): zeros("lora_controlnet", "input_blocks.0.0.up"),
    ("controlnet", "a T2I adapter"): zeros("adapter.body.0.in_conv.weight"),
    ("controlnet", "an IP-Adapter"): zeros("ip_adapter.1.to_k_ip.weight", "image_proj.proj.weight"),
    ("controlnet", "'difference'"): GOOD["controlnet"][0] | zeros("difference"),
    ("controlnet", "Stable Diffusion XL"): GOOD["controlnet"][0] | zeros("add_embedding.linear_1.weight"),
    ("controlnet", "no ControlNet that is known"): zeros("something.else"),
    ("embedding", "holds no textual inversion"): zeros("a", "b", shape=(3, 3, 3)),
    ("embedding", "no textual inversion"): zeros("1.weight", shape=(8, 4, 3, 3)) | zeros("1.bias", shape=(8,)),
    ("embedding", "textual inversion"): {"ids": np.zeros((3, 768), np.int64)},
    ("embedding", "an image encoder"): zeros("vision_model.embeddings.x"),
    ("hypernetwork", "no hypernetwork that is known"): zeros("something.else"),
    ("upscaler", "Flux"): zeros("double_blocks.0.img_attn.proj.weight"),
    ("upscaler", "motion module"): zeros("down_blocks.0.motion_modules.0.a"),
}  # fmt: skip


@cache
def names() -> dict[str, tuple[str, str]]:
    return {f"other{number}": key for number, key in enumerate(OTHERS)}


def test_what_does_not_work_here_is_told_by_its_name(tmp_path):
    for name, key in names().items():
        put(tmp_path, key[0], name, OTHERS[key])
    for (kind, name), file in told(tmp_path).items():
        assert names()[name][0] == kind and names()[name][1] in (file.problem or ""), file


def test_pickled_files_are_told_by_their_first_bytes(tmp_path):
    def save(kind: str, name: str, value: object) -> None:
        (tmp_path / FOLDERS[kind]).mkdir(exist_ok=True)
        torch.save(value, tmp_path / FOLDERS[kind] / name)

    vectors = torch.zeros(2, 768)
    layers = ({"linear.0.weight": torch.zeros(8, 8)},) * 2
    save("embedding", "good.pt", {"string_to_param": {"*": vectors}})
    save("embedding", "word.bin", {"<word>": vectors})
    save("hypernetwork", "layers.pt", {768: layers, "layer_structure": [1, 2, 1]})
    save("embedding", "model.pt", {"state_dict": {"model.diffusion_model.x": vectors}})
    save("embedding", "adapter.bin", {"lora_unet_x.lora_down.weight": vectors})
    save("hypernetwork", "inversion.pt", {"string_to_param": {"*": vectors}})
    for name, (content, _) in NONE.items():
        if name not in ("zip", "pickle", "short"):
            (tmp_path / FOLDERS["embedding"] / f"{name}.pt").write_bytes(content)
    found = told(tmp_path)
    for key in (("embedding", "good"), ("embedding", "word"), ("hypernetwork", "layers")):
        assert found.pop(key).problem is None, key
    wanted = {
        "model": "models/Stable-diffusion",
        "adapter": "models/Lora",
        "inversion": "models/embeddings",
        "text": "is no file that PyTorch wrote",
    }
    for (_, name), file in found.items():
        words = wanted.get(name) or NONE[name][1]
        assert words in (file.problem or ""), (name, file.problem)


def test_a_file_that_is_chosen_all_the_same_is_refused_by_its_sentence(tmp_path):
    path = write(tmp_path / "lora.safetensors", GOOD["lora"][0])
    with pytest.raises(ModelFileError, match="a LoRA: put it into models/Lora"):
        inversions.read(path, "lora", (768,))

    class Networks:
        placement = None

    with pytest.raises(ModelFileError, match="a LoRA: put it into models/Lora"):
        _loaded(path, Networks())  # type: ignore[arg-type]
    page = tmp_path / "page.pt"
    page.write_bytes(NONE["page"][0])
    with pytest.raises(ModelFileError, match="a web page"):
        inversions.read(page, "page", (768,))
