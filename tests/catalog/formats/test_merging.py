"""Merges are the arithmetic that they say, tensor by tensor, and name their recipe."""

from __future__ import annotations

import hashlib
import json
import shutil

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file

from tests.catalog.formats.files import checkpoint, tensors, write
from webui.catalog.checkpoints import list_models
from webui.catalog.formats import merging
from webui.catalog.formats.merging import merge
from webui.catalog.formats.recipes import Recipe
from webui.errors import ModelFileError

FIRST = "model.diffusion_model.input_blocks.0.0.weight"
VAE = "first_stage_model.decoder.conv_out.weight"
SHALLOW = "cond_stage_model.transformer.embeddings.position_embedding.weight"
DEEP = "cond_stage_model.transformer.text_model.embeddings.position_embedding.weight"


@pytest.fixture
def make(tmp_path):
    """Writes a checkpoint NAME of fresh random numbers."""

    def made(name, family="sd1", more=(), drop=(), **options):
        rng = np.random.default_rng(sum(map(ord, name)))
        names = {
            key: rng.standard_normal(value.shape).astype(np.float16)
            for key, value in tensors(family, **options).items()
            if key not in drop
        }
        return write(tmp_path / f"{name}.safetensors", names | dict(more))

    return made


def wide(path):
    return {name: value.astype(np.float32) for name, value in load_file(path).items()}


@pytest.mark.parametrize("alpha", [0, 0.3, 1, 1.5])
def test_weighted_sum(tmp_path, make, alpha):
    a, b = make("a"), make("b")
    done = merge(Recipe((a, b), alpha=alpha), tmp_path / "out.safetensors")
    A, B, got = wide(a), wide(b), load_file(done.path)
    for name in A:
        expected = (A[name] * (1 - alpha) + B[name] * alpha).astype(np.float16)
        np.testing.assert_array_equal(got[name], expected)
    assert (done.merged, done.copied, done.dropped, done.notes) == (len(A), 0, 0, ())


def test_add_difference(tmp_path, make):
    a, b, c = make("a"), make("b"), make("c")
    done = merge(Recipe((a, b, c), "add-difference", 0.7), tmp_path / "out.safetensors")
    A, B, C, got = wide(a), wide(b), wide(c), load_file(done.path)
    for name in A:
        np.testing.assert_array_equal(got[name], (A[name] + (B[name] - C[name]) * 0.7).astype("f2"))


def test_large_tensors_are_merged_in_pieces_without_a_seam(tmp_path, make, monkeypatch):
    monkeypatch.setattr(merging, "PIECE", 7)
    a, b = make("a"), make("b")
    got = load_file(merge(Recipe((a, b)), tmp_path / "out.safetensors").path)
    A, B = wide(a), wide(b)
    for name in A:
        np.testing.assert_array_equal(got[name], (A[name] * 0.7 + B[name] * 0.3).astype("f2"))


def test_of_an_inpainting_and_a_plain_model_the_four_channels_merge(tmp_path, make):
    paint, plain, base = make("paint", inputs=9), make("plain"), make("base")
    recipe = Recipe(
        (paint, plain, base), "add-difference", 1.0
    )  # the known way to an inpainting model
    got = load_file(merge(recipe, tmp_path / "out.safetensors").path)[FIRST]
    A, B, C = wide(paint)[FIRST], wide(plain)[FIRST], wide(base)[FIRST]
    np.testing.assert_array_equal(got[:, 4:], A[:, 4:].astype("f2"))
    np.testing.assert_array_equal(got[:, :4], (A[:, :4] + (B - C)).astype("f2"))


def test_what_only_one_has_and_whole_numbers_are_taken_as_they_are(tmp_path, make):
    ids = np.arange(77)
    a = make("a", more={"cond_stage_model.extra": np.ones(3, "f2"), "cond_stage_model.ids": ids})
    b = make("b", more={"cond_stage_model.ids": ids + 1})
    done = merge(Recipe((a, b)), tmp_path / "out.safetensors")
    got = load_file(done.path)
    assert done.copied == 2 and (got["cond_stage_model.extra"] == 1).all()
    np.testing.assert_array_equal(got["cond_stage_model.ids"], ids)


def test_older_names_of_the_text_encoder_meet_the_newer(tmp_path, make):
    one = np.array([1.0, 2.0], np.float16)
    a = make("a", more={SHALLOW: one}, drop=[DEEP])
    b = make("b", more={DEEP: one * 3})
    got = load_file(merge(Recipe((a, b), alpha=0.5), tmp_path / "out.safetensors").path)
    np.testing.assert_array_equal(got[SHALLOW], one * 2)


@pytest.mark.parametrize(("dtype", "width"), [("fp32", 4), ("fp16", 2), ("bf16", 2)])
def test_the_number_format_can_be_chosen(tmp_path, make, dtype, width):
    done = merge(Recipe((make("a"), make("b")), dtype=dtype), tmp_path / "out.safetensors")
    with safe_open(done.path, "pt") as file:
        kinds = {file.get_tensor(name).dtype for name in file.keys()}
    assert [str(kind) for kind in kinds] == [{"fp32": "torch.float32", "fp16": "torch.float16"}.get(
        dtype, "torch.bfloat16"
    )]  # fmt: skip


def test_a_vae_is_baked_in_from_its_own_file_and_from_a_checkpoint(tmp_path, make):
    a, other = make("a", drop=[VAE]), make("other")  # even into one that has none
    vae = write(tmp_path / "vae.safetensors", {"decoder.conv_out.weight": load_file(other)[VAE]})
    for number, source in enumerate((vae, other)):
        recipe = Recipe((a,), "none", vae=source)
        got = load_file(merge(recipe, tmp_path / f"{number}.safetensors").path)
        np.testing.assert_array_equal(got[VAE], load_file(other)[VAE])


def test_discarded_and_averaged_weights_are_left_out(tmp_path, make):
    more = {"model_ema.decay": np.ones(1, "f4"), "cond_stage_model.logit_scale": np.ones(1, "f4")}
    recipe = Recipe((make("a", more=more),), "none", discard="logit_.cale$")
    done = merge(recipe, tmp_path / "out.safetensors")
    assert done.dropped == 2 and not set(more) & set(load_file(done.path))


def test_the_recipe_is_in_the_metadata_and_that_of_earlier_merges(tmp_path, make):
    a, b = make("a"), make("b")
    first = merge(Recipe((a, b), alpha=0.25), tmp_path / "first.safetensors")
    second = merge(Recipe((first.path, b), dtype="fp16"), tmp_path / "second.safetensors")
    with safe_open(second.path, "np") as file:
        metadata = file.metadata()
    recipe, models = (json.loads(metadata[f"sd_merge_{key}"]) for key in ("recipe", "models"))
    hashes = {p.stem: hashlib.sha256(p.read_bytes()).hexdigest() for p in (a, b, first.path)}
    assert recipe["interp_method"] == "Weighted sum" and recipe["multiplier"] == 0.3
    assert (recipe["primary_model_hash"], recipe["save_as_half"]) == (hashes["first"], True)
    assert set(models) == set(hashes.values())
    assert models[hashes["first"]]["sd_merge_recipe"]["multiplier"] == 0.25
    assert first.sha256 == hashes["first"]
    assert second.sha256 == hashlib.sha256(second.path.read_bytes()).hexdigest()


def test_the_result_is_listed_as_its_family(tmp_path, make):
    target = tmp_path / "models" / "Stable-diffusion" / "out.safetensors"
    merge(Recipe((make("a", "sdxl"), make("b", "sdxl"))), target)
    (card,) = list_models([tmp_path / "models"])
    assert (card.name, card.kind, card.problem) == ("out.safetensors", "sdxl", None)


def test_numbers_that_are_none_are_told_by_name(tmp_path, make):
    bad = make("bad", more={DEEP: np.array([np.nan] * 8, np.float16)})
    done = merge(Recipe((make("a"), bad)), tmp_path / "out.safetensors")
    assert len(done.notes) == 1 and DEEP in done.notes[0] and "NaN" in done.notes[0]


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        (lambda make: Recipe((make("a"), make("xl", "sdxl"))), "only models of one family"),
        (lambda make: Recipe((make("a"), make("d", layout="diffusers"))), "layout"),
        (lambda make: Recipe((make("a"),), "none", vae=make("d", layout="diffusers")), "layout"),
        (lambda make: Recipe((make("a"),), "none", vae=make("b", drop=[VAE])), "holds no VAE"),
        (lambda make: Recipe((make("a"),)), "takes 2 models, not 1"),
        (lambda make: Recipe((make("a"),), "sigmoid"), "weighted-sum"),
        (lambda make: Recipe((make("a"),), "none", discard="("), "no regular expression"),
        (lambda make: Recipe((make("a"),), "none", discard="."), "nothing is left"),
        (lambda make: Recipe((make("a"), make("b")), alpha=float("nan")), "alpha"),
        (
            lambda make: Recipe((make("a"), make("b", more={DEEP: np.zeros(3, "f2")}))),
            "has shape (3,)",
        ),
        (
            lambda make: Recipe(
                (make("a", more={DEEP: np.full(8, 1e6, "f4")}),), "none", dtype="fp16"
            ),
            "too large for F16; use bf16",
        ),
    ],
)
def test_what_does_not_go_together_is_one_sentence_and_no_file(tmp_path, make, recipe, said):
    target = tmp_path / "out.safetensors"
    with pytest.raises(ModelFileError) as caught:
        merge(recipe(make), target)
    assert said in str(caught.value)
    assert not [p for p in tmp_path.iterdir() if "out" in p.name]


def test_a_file_that_is_there_is_never_overwritten(tmp_path, make):
    a = make("a")
    before = a.read_bytes()
    with pytest.raises(ModelFileError, match="is there already"):
        merge(Recipe((a, make("b"))), a)
    assert a.read_bytes() == before


def test_a_full_disk_is_told_before_anything_is_written(tmp_path, make, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr("webui.catalog.formats.writing.shutil.disk_usage", lambda path: usage)
    with pytest.raises(ModelFileError, match=r"the disk has 0\.0 GB free"):
        merge(Recipe((make("a"), make("b"))), tmp_path / "out.safetensors")


def test_a_checkpoint_that_is_cut_while_it_is_read_leaves_no_file(tmp_path, make):
    a, b = make("a"), checkpoint(tmp_path / "b.safetensors")

    def cut(what: str, share: float) -> None:
        b.write_bytes(b.read_bytes()[:1000])

    with pytest.raises(ModelFileError, match="became shorter"):
        merge(Recipe((a, b)), tmp_path / "out.safetensors", cut)
    assert {p.name for p in tmp_path.iterdir()} == {"a.safetensors", "b.safetensors"}


def test_models_that_predict_different_things_are_told(tmp_path, make):
    a, v = make("a"), make("v", more={"v_pred": np.zeros(0, np.float16)})
    (note,) = merge(Recipe((a, v)), tmp_path / "out.safetensors").notes
    assert (
        "a.safetensors epsilon, v.safetensors v_prediction" in note and "to predict epsilon" in note
    )
    assert merge(Recipe((a, make("b"))), tmp_path / "other.safetensors").notes == ()
