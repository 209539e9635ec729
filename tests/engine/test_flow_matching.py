"""A transformer of flow matching through the engine: the seam that a family of another kind goes through.

A tiny random Stable Diffusion 3 in a diffusers folder, sampled by our Euler, against diffusers' own pipeline with the
same times, noise and texts. The family is not offered, so the catalogue refuses the folder in a sentence; a card made
by hand names it by its key.
"""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
from diffusers import (
    AutoencoderKL,
    FlowMatchEulerDiscreteScheduler,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
)
from safetensors.torch import load_file, save_file

from webui.catalog.checkpoints import list_models
from webui.diffusion.flow import flow_sigmas
from webui.engine.engine import Engine, EngineOptions
from webui.engine.latents import LatentGeometry
from webui.engine.loading import opened
from webui.engine.placement import place
from webui.engine.runner import Runner, run_alone
from webui.engine.samplers import SAMPLERS
from webui.engine.schedules import SCHEDULES
from webui.engine.studio import PictureStudio
from webui.engine.text.encoder import EncodedTexts
from webui.errors import EaselError, ModelFileError
from webui.types import (
    Decode,
    Denoise,
    Encode,
    EncodeText,
    GenerationRequest,
    LoadModel,
    ModelCard,
    Parts,
    Row,
    SavedPicture,
    Task,
)

WIDTH, HEIGHT, SEED, SCALE = 96, 64, 5, 4.0
TIMES = (0.96, 0.9, 0.8, 0.66, 0.5, 0.31, 0.12)
# Of the largest value; float32 starts at 24 times the noise. Measured: 2e-6.
TOLERANCE = 2e-5


@pytest.fixture(scope="module")
def networks():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(11)
        transformer = SD3Transformer2DModel(
            sample_size=16, patch_size=2, in_channels=16, out_channels=16, num_layers=2, attention_head_dim=8,
            num_attention_heads=4, joint_attention_dim=24, caption_projection_dim=32, pooled_projection_dim=20,
            pos_embed_max_size=16)  # fmt: skip
        vae = AutoencoderKL(
            block_out_channels=(8, 8, 16, 16), down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4, layers_per_block=1, norm_num_groups=4, latent_channels=16,
            use_quant_conv=False, use_post_quant_conv=False, scaling_factor=1.5305, shift_factor=0.0609)  # fmt: skip
    return transformer.requires_grad_(False).eval(), vae.requires_grad_(False).eval()


@pytest.fixture(scope="module")
def texts():
    """Texts as they are: rows of 24 numbers, and 20 for the whole."""
    dice = torch.Generator().manual_seed(3)
    cond, uncond = torch.randn(2, 11, 24, generator=dice)
    return EncodedTexts(cond, uncond, *torch.randn(2, 20, generator=dice))


@pytest.fixture(scope="module")
def folder(tmp_path_factory, networks):
    models = tmp_path_factory.mktemp("models")
    folder = models / "Stable-diffusion" / "three"
    networks[0].save_pretrained(folder / "transformer")
    networks[1].save_pretrained(folder / "vae")
    FlowMatchEulerDiscreteScheduler(shift=3.0).save_pretrained(folder / "scheduler")
    index = {"_class_name": "StableDiffusion3Pipeline"}
    (folder / "model_index.json").write_text(json.dumps(index), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def runner(folder):
    card = ModelCard("three", folder, kind="sd3", latent_channels=16)
    return Runner(lambda: [card], place("cpu", "float32", "sdpa"))


@pytest.fixture(scope="module")
def model(runner):
    return run_alone(iter_of(LoadModel("three")), runner)


def iter_of(call):
    return (yield call)


def theirs(networks, texts, output_type):
    """diffusers' pipeline at our times. Its scheduler moves the times that it is given, so ours does not."""
    pipe = StableDiffusion3Pipeline(
        transformer=networks[0], vae=networks[1], scheduler=FlowMatchEulerDiscreteScheduler(shift=1.0),
        text_encoder=None, tokenizer=None, text_encoder_2=None, tokenizer_2=None, text_encoder_3=None,
        tokenizer_3=None)  # fmt: skip
    pipe.set_progress_bar_config(disable=True)
    noise = first_noise()
    start = TIMES[0]  # of a picture of nothing, noised to the first time
    return pipe(
        prompt_embeds=texts.cond[None], negative_prompt_embeds=texts.uncond[None],
        pooled_prompt_embeds=texts.pooled_cond[None],
        negative_pooled_prompt_embeds=texts.pooled_uncond[None], width=WIDTH, height=HEIGHT,
        sigmas=list(TIMES), num_inference_steps=None, guidance_scale=SCALE, latents=noise[None] * start,
        output_type=output_type).images[0]  # fmt: skip


def first_noise():
    shape = (16, HEIGHT // 8, WIDTH // 8)
    return torch.randn(shape, generator=torch.Generator("cpu").manual_seed(SEED))


def request(**values):
    return GenerationRequest(
        task="flow",
        model="three",
        sampler_name="Euler",
        seed=SEED,
        steps=len(TIMES),
        width=WIDTH,
        height=HEIGHT,
        cfg_scale=SCALE,
        **values,
    )


def ours(runner, model, texts):
    """The final latent of our Euler, and the picture that the engine makes of it."""
    parts = Parts({}, SAMPLERS, SCHEDULES)
    studio = PictureStudio(request(), 0, parts, torch.device("cpu"))
    sigmas = [*(t / (1 - t) for t in TIMES), 0.0]

    def task():
        x = studio.noise(SEED, model.latent_shape(WIDTH, HEIGHT)) * sigmas[0]
        cond = texts.condition(EncodeText(model, "", ""))
        latent = yield from studio.sample(studio.sampling(cond, sigmas=sigmas), x)
        return latent, (yield Decode(model, latent))

    return run_alone(task(), runner)


def test_our_euler_is_diffusers_pipeline(runner, model, networks, texts):
    latent, picture = ours(runner, model, texts)
    expected = theirs(networks, texts, "latent")
    allowed = TOLERANCE * float(expected.abs().max())
    torch.testing.assert_close(latent, expected, atol=allowed, rtol=0)
    pixels = torch.from_numpy(theirs(networks, texts, "np") * 255)
    assert (picture - pixels).abs().max() <= 0.51  # half a level is the rounding


def test_its_pictures_share_calls_in_a_job_of_the_engine(folder, networks, texts):
    """A task hands the texts in; loading, batching, the VAE and the preview's colours are the engine's own."""
    card = ModelCard("three", folder, kind="sd3", latent_channels=16)
    finished = []

    def task(request, studio):
        model = yield LoadModel(request.model)
        cond = texts.condition(EncodeText(model, "", ""))
        sigmas = [*(t / (1 - t) for t in TIMES), 0.0]
        x = studio.noise(SEED, model.latent_shape(request.width, request.height)) * sigmas[0]
        latent = yield from studio.sample(studio.sampling(cond, sigmas=sigmas), x)
        return (yield Decode(model, latent))

    def save(picture):
        finished.append(np.asarray(picture.picture, dtype=np.float32))
        return SavedPicture(folder / "unused.png", picture.seed, WIDTH, HEIGHT, "")

    parts = Parts({"flow": Task("flow", "Flow", task)}, SAMPLERS, SCHEDULES)
    engine = Engine(lambda: [card], parts, save, EngineOptions(device="cpu", dtype="float32"))
    engine.start()
    try:
        job = engine.submit(request(batch_size=2))
        status = engine.status(job)
        while not status.ended:
            status = engine.wait(job, status.version, 60)
    finally:
        engine.stop()
    assert (status.state, status.error, len(finished)) == ("done", None, 2)
    pixels = theirs(networks, texts, "np") * 255
    assert max(np.abs(picture - pixels).max() for picture in finished) <= 0.51


def test_calls_of_several_pictures_are_the_calls_alone(runner, model, texts):
    def denoise(seed, sigma, rows):
        x = torch.randn(16, 8, 12, generator=torch.Generator().manual_seed(seed)) * (1 + sigma)
        return Denoise(model, x, sigma, rows)

    cond = Row(texts.cond, 3.0, pooled=texts.pooled_cond)
    uncond = Row(texts.uncond, -2.0, "uncond", pooled=texts.pooled_uncond)
    calls = [
        denoise(1, 9.0, (cond, uncond)),
        denoise(2, 0.3, (Row(texts.cond, 1.0, pooled=texts.pooled_cond),)),
    ]
    with torch.inference_mode():
        together = runner.run(calls)
        alone = [runner.run([call])[0] for call in calls]
    for a, b in zip(alone, together, strict=True):
        torch.testing.assert_close(a.denoised, b.denoised, rtol=1e-4, atol=1e-4)


def test_the_model_is_what_its_folder_says(runner, model):
    assert (model.kind, model.prediction, model.inpainting) == ("sd3", "flow", False)
    assert (model.context_dim, model.pooled_dim, model.latent_shape(96, 64)) == (
        24,
        20,
        (16, 8, 12),
    )
    assert model.sigmas == flow_sigmas(1000, 3.0)
    assert runner.networks(model).latents == LatentGeometry(16, 8, 1.5305, 0.0609)


def test_its_noise_levels_are_diffusers():
    scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0)
    times = scheduler.sigmas.flip(0).double()  # ascending; their last is 1
    ours = torch.tensor(flow_sigmas(1000, 3.0), dtype=torch.float64)
    torch.testing.assert_close(ours / (1 + ours), times.clamp(max=4096 / 4097), atol=1e-6, rtol=0)
    assert ours[-1] == 4096


def test_latents_are_shifted_and_scaled_both_ways(runner, model, networks):
    pixels = torch.rand(3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(1)) * 2 - 1
    latent = run_alone(iter_of(Encode(model, pixels)), runner)
    mean = networks[1].encode(pixels[None]).latent_dist.mean[0]
    torch.testing.assert_close(latent, (mean - 0.0609) * 1.5305, atol=1e-5, rtol=1e-5)


def test_a_text_is_refused_in_a_sentence(runner, model):
    with pytest.raises(EaselError, match="its texts are handed in as they are"):
        run_alone(iter_of(EncodeText(model, "a cat", "")), runner)


def test_the_catalogue_lists_it_with_the_reason_why_it_is_not_offered(folder):
    (card,) = list_models([folder.parent.parent])
    assert "only Stable Diffusion 1, 2 and XL load" in (card.problem or "")


@pytest.mark.parametrize(
    "told",
    [
        {"num_train_timesteps": 500},
        {"use_dynamic_shifting": True},
        {"shift": "much"},
        {"shift": -1.0},
    ],
)
def test_noise_levels_that_cannot_be_computed_are_refused_by_name(tmp_path, folder, told):
    shutil.copytree(folder, tmp_path / "odd")
    path = tmp_path / "odd" / "scheduler" / "scheduler_config.json"
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | told), encoding="utf-8")
    card = ModelCard("odd", tmp_path / "odd", kind="sd3")
    with pytest.raises(ModelFileError, match=r"scheduler_config\.json"):
        opened(card, place("cpu", "float32", "sdpa"))


def test_a_missing_tensor_names_the_transformers_file(tmp_path, folder):
    shutil.copytree(folder, tmp_path / "broken")
    path = tmp_path / "broken" / "transformer" / "diffusion_pytorch_model.safetensors"
    weights = load_file(path)
    del weights["proj_out.weight"]
    save_file(weights, path)
    card = ModelCard("broken", tmp_path / "broken", kind="sd3")
    with pytest.raises(ModelFileError, match=r"transformer.*proj_out\.weight"):
        Runner(lambda: [card], place("cpu", "float32", "sdpa")).load(LoadModel("broken"))
