"""The text encoder against diffusers' `encode_prompt`, and long prompts against transformers by hand."""

import pytest
import torch
from diffusers import StableDiffusionPipeline

from tests.networks import tiny_folder, tiny_tokenizer
from webui.engine.text.encoder import TextEncoder
from webui.engine.text.tokenizer import Tokenizer


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    folder = tiny_folder(tmp_path_factory.mktemp("model"))
    return StableDiffusionPipeline.from_pretrained(
        folder, local_files_only=True, low_cpu_mem_usage=False
    )


@pytest.fixture(scope="module")
def encoder(pipeline):
    return TextEncoder(Tokenizer(tiny_tokenizer()), pipeline.text_encoder)


def words(count):
    """A prompt of `count` tokens."""
    return " ".join((["cat", "dog", "red"] * count)[:count])


@pytest.mark.parametrize("prompt", ["", "a red cat on the grass, zebra", words(75)])
def test_equals_diffusers_up_to_75_tokens(pipeline, encoder, prompt):
    theirs = pipeline.encode_prompt(prompt, "cpu", 1, True, "dog")
    ours = encoder.encode(prompt, "dog")
    for mine, other in zip((ours.cond, ours.uncond), theirs, strict=True):
        torch.testing.assert_close(mine, other[0], atol=2e-6, rtol=0)


def test_longer_prompts_are_chunks_side_by_side_each_with_start_and_end(pipeline, encoder):
    prompt = words(100)
    assert encoder.count(prompt) == 100
    ids = pipeline.tokenizer(prompt, add_special_tokens=False).input_ids
    start, end = pipeline.tokenizer.bos_token_id, pipeline.tokenizer.eos_token_id
    rows = [[start, *ids[:75], end], [start, *ids[75:], end, *[end] * 50]]
    expected = pipeline.text_encoder(torch.tensor(rows)).last_hidden_state.flatten(0, 1)
    condition = encoder.encode(prompt, "dog")
    assert condition.cond.shape == condition.uncond.shape == (2 * 77, 32)
    torch.testing.assert_close(condition.cond, expected, atol=2e-6, rtol=0)


def test_shorter_text_is_filled_up_with_the_empty_prompt(encoder):
    short = encoder.encode("dog", "")
    condition = encoder.encode(words(100), "dog")
    torch.testing.assert_close(condition.uncond[:77], short.cond, atol=2e-6, rtol=0)
    torch.testing.assert_close(condition.uncond[77:], short.uncond, atol=2e-6, rtol=0)


def test_text_is_in_the_models_dtype(pipeline):
    model = type(pipeline.text_encoder)(pipeline.text_encoder.config).to(torch.bfloat16)
    condition = TextEncoder(Tokenizer(tiny_tokenizer()), model).encode("cat", "")
    assert condition.cond.dtype == condition.uncond.dtype == torch.bfloat16
