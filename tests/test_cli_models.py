"""`models` as people type it: list, info, hash, convert, merge, and one sentence where it does not work."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys

import pytest
import torch
from safetensors.numpy import load_file, save_file

from tests.catalog.formats.files import checkpoint
from webui import app
from webui.catalog.checkpoints import ModelList
from webui.catalog.library import Library
from webui.settings import ROOT


@pytest.fixture
def data(tmp_path):
    """A data folder with two checkpoints of one family and a pickle."""
    folder = tmp_path / "models" / "Stable-diffusion"
    checkpoint(folder / "one.safetensors", metadata={"modelspec.title": "one"})
    checkpoint(folder / "deep" / "two.safetensors", inputs=9)
    torch.save({"state_dict": {"w": torch.ones(3)}, "epoch": 3}, folder / "old.ckpt")
    return tmp_path


@pytest.fixture
def said(data, capsys):
    def run(*words: str, code: int = 0) -> str:
        assert app.main(["models", "--data-dir", str(data), *words]) == code
        printed = capsys.readouterr()
        if code:
            assert printed.out == "" and printed.err.count("\n") == 1
        return printed.err if code else printed.out

    return run


def test_the_list_tells_each_file_and_its_fault(said):
    lines = {line.split()[0]: line for line in said().splitlines()}
    assert {"NAME", "one.safetensors", "deep/two.safetensors", "old.ckpt"} <= set(lines)
    assert "Stable Diffusion 1, inpainting" in lines["deep/two.safetensors"]
    assert "models convert" in lines["old.ckpt"]
    told = {card["name"]: card for card in json.loads(said("list", "--json"))}
    assert told["one.safetensors"]["layout"] == "ldm" and told["old.ckpt"]["problem"]


def test_one_model_is_told_by_its_name_with_or_without_the_ending(said):
    assert "family: Stable Diffusion 1" in said("info", "one")
    assert json.loads(said("info", "ONE.safetensors", "--json"))["prediction"] == "epsilon"


def test_a_hash_is_that_of_the_file_and_is_kept(said, data):
    path = data / "models" / "Stable-diffusion" / "one.safetensors"
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert said("hash", "one") == f"{digest[:10]}  {digest}  {path}\n"
    assert json.loads(said("info", "one", "--json"))["sha256"] == digest


@pytest.mark.skipif(sys.platform == "win32", reason="another shell, another way to quote")
@pytest.mark.parametrize("kind", ["Stable-diffusion", "VAE"])
def test_the_command_that_the_list_tells_works_as_it_is_pasted(data, kind):
    """From a folder with a space and a quote in its name, without the options that the list was asked with."""
    path = data / "models" / kind / "it's here" / "old one.ckpt"
    path.parent.mkdir(parents=True)
    torch.save({"state_dict": {"w": torch.ones(3)}}, path)
    library = Library((data / "models",), ModelList((data / "models",)))
    problem = next(one.problem for one in library.files() if one.path == path)
    command = problem[problem.index("python launch.py") :].replace("python", sys.executable, 1)
    done = subprocess.run(
        command.replace("launch.py", "-m webui.app", 1), shell=True, cwd=ROOT, capture_output=True
    )
    assert done.returncode == 0, done.stderr
    assert load_file(path.with_suffix(".safetensors"))["w"].tolist() == [1, 1, 1]


def test_a_pickle_is_converted_beside_itself_or_to_a_name(said, data):
    assert "1 tensors" in (told := said("convert", "old.ckpt")) and "epoch" in told
    folder = data / "models" / "Stable-diffusion"
    assert (load_file(folder / "old.safetensors")["w"] == 1).all()
    said("convert", str(folder / "old.ckpt"), "-o", str(data / "other"))
    assert (data / "other.safetensors").is_file()


def test_two_models_are_merged_into_the_models_folder(said, data):
    told = said("merge", "deep/two", "one", "--alpha", "0.25", "--fp32", "-o", "three")
    assert "tensors merged" in told
    assert json.loads(said("info", "three", "--json"))["inpainting"] is True
    first = "model.diffusion_model.input_blocks.0.0.weight"
    a, b, got = (
        load_file(data / "models" / "Stable-diffusion" / f"{name}.safetensors")[first].astype("f4")
        for name in ("deep/two", "one", "three")
    )
    assert abs(got[:, :4] - (a[:, :4] * 0.75 + b * 0.25)).max() < 1e-6


def test_a_vae_is_baked_in_by_its_name_in_models_vae(said, data):
    weights = load_file(data / "models" / "Stable-diffusion" / "one.safetensors")
    key = "first_stage_model.decoder.conv_out.weight"
    other = {name: one + 1 for name, one in weights.items() if name.startswith(key[:18])}
    (data / "models" / "VAE").mkdir()
    save_file(other, data / "models" / "VAE" / "soft.safetensors")
    for number, word in enumerate(("soft", "soft.safetensors")):
        said("merge", "one", "--vae", word, "-o", f"with{number}")
        path = data / "models" / "Stable-diffusion" / f"with{number}.safetensors"
        assert (load_file(path)[key] == other[key]).all()


@pytest.mark.parametrize(
    ("words", "there", "absent"),
    [(["merge"], "--alpha", "--json"), (["info"], "--json", "--alpha"), ([], "merge", "--alpha")],
)
def test_help_is_that_of_the_command(said, words, there, absent):
    told = said(*words, "--help")
    assert there in told and absent not in told


def test_nothing_is_told_of_a_file_that_cannot_be_read(said):
    lines = dict(line.split(": ", 1) for line in said("info", "old.ckpt").splitlines())
    assert {"name", "path", "problem"} <= lines.keys()
    assert not {"kind", "layout", "context_dim", "prediction"} & lines.keys()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["frobnicate"], "invalid choice"),
        (["info", "ome.safetensors"], "did you mean 'one.safetensors'"),
        (["hash", "gone"], "model 'gone' is not known"),
        (["convert", "one"], "only .ckpt, .pt, .pth files are converted"),
        (["merge", "one"], "-o"),
        (["merge", "one", "deep/two", "one", "one", "-o", "x"], "takes 3 models, not 4"),
        (["merge", "one", "deep/two", "-o", "one"], "is there already"),
        (["merge", "one", "old.ckpt", "-o", "x"], "a pickle named .ckpt"),
        (["merge", "one", "--fp16", "--bf16", "-o", "x"], "not allowed with"),
        (["info", "starter", "--frob"], "--frob"),
        (["hash", "."], "a folder"),
    ],
)
def test_what_does_not_work_is_one_sentence(said, words, sentence):
    assert sentence in said(*words, code=2)


def test_help_names_every_subcommand(said):
    told = said("--help")
    assert all(word in told for word in ("list", "info", "hash", "convert", "merge"))
