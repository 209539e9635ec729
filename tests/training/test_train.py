"""All stages, one after another, on networks of a few hundred weights; and what the report makes of them."""

import json

import pytest
from PIL import Image

from webui.training.autoencoder import AutoencoderPreset
from webui.training.classifier import ClassifierPreset
from webui.training.diffusion import DiffusionPreset
from webui.training.presets import PRESETS, Preset
from webui.training.report import curve, read_figures, write_report
from webui.training.train import STAGES, Trainer, main

WIDTHS = (8, 8, 8, 8)
MICRO = Preset(
    features=ClassifierPreset((4, 4, 4, 4, 4), steps=1, batch=2),
    autoencoder=AutoencoderPreset(
        WIDTHS,
        latent_channels=4,
        shown=2,
        steps=2,
        batch=2,
        crop=32,
        features_from=0,
        adversary_from=0.5,
    ),
    diffusion=DiffusionPreset(
        (16, 32), text_width=32, text_layers=1, latent_channels=4, scenes=4, steps=2, batch=2
    ),
    decoder=AutoencoderPreset(
        WIDTHS, latent_channels=4, shown=2, steps=1, batch=2, crop=32, latent_noise=0.1
    ),
    judge=ClassifierPreset((4, 4, 4, 4), fine=False, steps=1, batch=2),
    whitened=16,
    captions=50,
    judged=8,
    prompts={"one": 2, "words": 2, "two": 2, "colour": 2},
)


@pytest.fixture(scope="module")
def run(tmp_path_factory, font):
    folder = tmp_path_factory.mktemp("run")
    trainer = Trainer(MICRO, folder / "model", folder / "work", str(font), "cpu", float("inf"))
    for stage in STAGES:
        getattr(trainer, stage)()
    return folder


def test_every_stage_leaves_its_figures_and_the_model_its_folder(run):
    for stage in ("features", "autoencoder", "diffusion", "decoder", "judge"):
        assert read_figures(run / "work" / stage / "report.jsonl"), stage
    assert (run / "model" / "unet" / "config.json").is_file()
    figures = json.loads((run / "work" / "evaluation" / "figures.json").read_text())
    assert figures["one"]["prompts"] == 2 and 0 <= figures["two"]["both"] <= 1
    assert {"plain_psnr", "plain_detail", "all_psnr"} <= figures["autoencoder"].keys()
    defaults = json.loads((run / "model" / "easel.json").read_text())["defaults"]
    assert (defaults["steps"], defaults["scheduler"]) == (6, "sgm_uniform")


def test_the_report_shows_every_stages_curves_and_sheets(run):
    page = (run / "work" / "report.html").read_text()
    for stage in ("features", "autoencoder", "diffusion", "decoder", "evaluation"):
        assert f"<h2>{stage}</h2>" in page
    assert page.count("<svg") > 10
    for picture in ("autoencoder/reconstructions.png", "evaluation/two.png", "scenes/scenes.png"):
        assert f'src="{picture}"' in page and (run / "work" / picture).is_file()


def test_a_report_takes_the_later_of_two_lines_and_passes_over_a_torn_one(tmp_path):
    lines = ['{"step": 1, "loss": 3}', '{"step": 2, "loss": 2}', '{"step": 2, "loss": 1}', '{"st']
    (tmp_path / "autoencoder").mkdir()
    (tmp_path / "autoencoder" / "report.jsonl").write_text("\n".join(lines))
    figures = read_figures(tmp_path / "autoencoder" / "report.jsonl")
    assert figures == {"loss": [(1, 3), (2, 1)]}
    assert 'points="0.0,0.0 360.0,120.0"' in curve(figures["loss"])
    assert "loss: 1 at step 2" in write_report(tmp_path).read_text()


def test_presets_fit_together():
    for make in PRESETS.values():
        preset = make()
        assert preset.autoencoder.latent_channels == preset.diffusion.latent_channels
        assert preset.decoder.widths == preset.autoencoder.widths
        assert preset.decoder.latent_channels == preset.autoencoder.latent_channels


def test_a_stage_that_lacks_the_one_before_says_so(tmp_path, font, capsys):
    how = ["--preset", "tiny", "--work-dir", str(tmp_path), "--out", str(tmp_path / "m")]
    assert main([*how, "--font", str(font), "--stage", "latents"]) == 1
    assert "run --stage autoencoder first" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("part", "where"),
    [
        ("lora", "Lora/easel-thermal"),
        ("distil", "Lora/easel-fast"),
        ("embedding", "embeddings/easel-hedgehog"),
    ],
)
def test_small_parts_are_written_where_they_are_looked_for(run, tmp_path, font, part, where):
    how = ["--model", str(run / "model"), "--out", str(tmp_path), "--work-dir", str(tmp_path / "w")]
    assert main([part, *how, "--font", str(font), "--steps", "1", "--renders", "4"]) == 0
    assert (tmp_path / f"{where}.safetensors").is_file()
    name = where.split("/")[1]
    figures = json.loads((tmp_path / "w" / name / "figures.json").read_text())
    assert figures["bytes"] == (tmp_path / f"{where}.safetensors").stat().st_size
    assert figures["error_relative"] > 0 and (tmp_path / "w" / name / "sheet.png").is_file()


def test_own_pictures_make_a_file_with_a_name_of_ones_own(run, tmp_path, font, capsys):
    picture = tmp_path / "mine" / "a.png"
    picture.parent.mkdir()
    Image.new("RGB", (64, 64), "red").save(picture)
    how = ["lora", str(picture.parent), "--model", str(run / "model"), "--out", str(tmp_path)]
    assert main(how) == 1
    assert "--name" in capsys.readouterr().err
    how += ["--name", "mine", "--word", "brick", "--steps", "1", "--work-dir", str(tmp_path / "w")]
    assert main(how) == 0
    assert (tmp_path / "Lora" / "mine.safetensors").is_file()
