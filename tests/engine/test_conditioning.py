"""What Stable Diffusion XL's U-Nets are told beside the text: the right numbers, row by row, batched or alone."""

from dataclasses import replace

import pytest
import torch

from tests.engine.families import CASES, pipeline
from webui.catalog.families import family
from webui.engine import guidance
from webui.engine.calls import batch_key
from webui.engine.families.conditioning import conditioning, numbers
from webui.engine.placement import place
from webui.engine.runner import Runner
from webui.errors import EaselError
from webui.testing.families import FAMILIES, build, write
from webui.types import Denoise, EncodeText, LoadModel, Model, ModelCard, Row, SizeConditioning

SIZES = SizeConditioning(original=(1200, 800), crop=(16, 8), target=(1024, 640))


@pytest.fixture(scope="module")
def runner(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    cards = [
        ModelCard(kind, write(folder / f"{kind}.safetensors", build(FAMILIES[kind]), "ldm"),
                  kind=kind, layout="ldm", prediction="epsilon")
        for kind in ("sdxl", "sdxl-refiner")
    ]  # fmt: skip
    return Runner(lambda: cards, place("cpu", "float32", "sdpa"))


@pytest.mark.parametrize("kind", ["sdxl", "sdxl-refiner"])
def test_the_numbers_are_those_of_diffusers(kind):
    networks = build(FAMILIES[kind])
    pipe = pipeline(CASES[kind], networks)
    refined = {}
    if kind == "sdxl-refiner":
        refined = {"aesthetic_score": 6.0, "negative_aesthetic_score": 2.5,
                   "negative_original_size": (800, 1200), "negative_crops_coords_top_left": (8, 16),
                   "negative_target_size": (640, 1024)}  # fmt: skip
    theirs = pipe._get_add_time_ids(
        original_size=(800, 1200), crops_coords_top_left=(8, 16), target_size=(640, 1024),
        dtype=torch.float32, text_encoder_projection_dim=32, **refined)  # fmt: skip
    ours = [numbers(SIZES, family(kind), negative) for negative in (False, True)]
    expected = theirs if kind == "sdxl-refiner" else (theirs, theirs)
    assert [list(n) for n in ours] == [row[0].tolist() for row in expected]


def denoise(runner, model, seed, scale, sizes=None, size=(8, 12)):
    texts = runner.run([EncodeText(model, f"a cat {seed}", "dog")])[0].texts
    x = torch.randn(4, *size, generator=torch.Generator().manual_seed(seed)) * 3
    return Denoise(model, x, 3.0, guidance.rows(texts, scale), size_conditioning=sizes)


@pytest.mark.parametrize("kind", ["sdxl", "sdxl-refiner"])
def test_pictures_with_other_texts_and_numbers_share_a_call(runner, kind):
    with torch.inference_mode():
        model = runner.load(LoadModel(kind))
        calls = [denoise(runner, model, 1, 5.0), denoise(runner, model, 2, 1.0, SIZES),
                 denoise(runner, model, 3, 2.0, replace(SIZES, aesthetic=9.0))]  # fmt: skip
        assert len({batch_key(call) for call in calls}) == 1
        alone = [runner.run([call])[0] for call in calls]
        together = runner.run(calls)
    for a, b in zip(alone, together, strict=True):
        torch.testing.assert_close(a.denoised, b.denoised, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["sdxl", "sdxl-refiner"])
def test_what_is_told_changes_the_picture(runner, kind):
    with torch.inference_mode():
        model = runner.load(LoadModel(kind))
        usual = denoise(runner, model, 1, 1.0)
        told = replace(usual, size_conditioning=replace(SIZES, aesthetic=9.0))
        whole = replace(usual, size_conditioning=SizeConditioning((96, 64), (96, 64)))
        first, second, third = (runner.run([call])[0].denoised for call in (usual, told, whole))
    assert not torch.allclose(first, second, atol=1e-4)
    assert torch.equal(first, third)  # uncropped at its own size is what is said when nobody says


def test_a_text_without_its_pooled_part_is_said(runner):
    with torch.inference_mode():
        model = runner.load(LoadModel("sdxl"))
        call = denoise(runner, model, 1, 1.0)
        lost = replace(call, rows=tuple(replace(row, pooled=None) for row in call.rows))
        with pytest.raises(EaselError, match="needs a pooled text"):
            runner.run([lost])


@pytest.mark.parametrize("kind", ["sd1", "sd2"])
def test_models_that_are_told_nothing_beside_the_text_get_nothing(kind):
    row = Row(torch.zeros(77, 8), 1.0, pooled=torch.zeros(4))
    model = Model("m", 4, False, (0.03, 14.6), context_dim=8, kind=kind)
    told = conditioning(family(kind), model, place("cpu", "float32", "sdpa"), [row], [SIZES])
    assert set(told) == {"context"}


def test_what_was_made_for_another_model_is_no_fault_of_the_models_files(runner):
    with torch.inference_mode():
        model, refiner = (runner.load(LoadModel(kind)) for kind in ("sdxl", "sdxl-refiner"))
        call, other = denoise(runner, model, 1, 5.0), denoise(runner, refiner, 1, 5.0)
        short = replace(call.rows[1], context=call.rows[1].context[:60])
        pooled = replace(call.rows[1], pooled=call.rows[1].pooled[:7])
        for given, why in (
            (
                {"rows": other.rows},
                r"takes texts of one length and 128 wide, and was given \(77, 64",
            ),
            ({"rows": (call.rows[0], short)}, r"\(77, 128\) and \(60, 128\)"),
            ({"rows": (call.rows[0], pooled)}, "pooled texts of 32 numbers, and was given 7"),
            ({"x": call.x[:3]}, "latents of 4 channels, and was given one of 3"),
        ):
            with pytest.raises(EaselError, match=why) as fault:
                runner.run([replace(call, **given)])
            assert "damaged" not in str(fault.value)
