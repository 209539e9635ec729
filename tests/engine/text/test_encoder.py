"""The text encoder against diffusers' `encode_prompt`, and long prompts against transformers by hand."""

from contextlib import contextmanager

import pytest
import torch
from diffusers import StableDiffusionPipeline
from transformers import CLIPTextConfig, CLIPTextModel

from tests.engine.families import CASES
from tests.engine.families import pipeline as pipeline_of
from tests.networks import tiny_folder, tiny_tokenizer
from webui.engine.text.clip_text_model import ClipTextModel
from webui.engine.text.encoder import TextEncoder
from webui.engine.text.tokenizer import Tokenizer, shipped
from webui.errors import RequestError
from webui.testing.families import FAMILIES, build


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    folder = tiny_folder(tmp_path_factory.mktemp("model"))
    return StableDiffusionPipeline.from_pretrained(
        folder, local_files_only=True, low_cpu_mem_usage=False
    )


@pytest.fixture(scope="module")
def encoder(pipeline):
    return encoder_of(pipeline.text_encoder)


def encoder_of(model, **how):
    tokenizer = Tokenizer(tiny_tokenizer())
    return TextEncoder(ClipTextModel(tokenizer, model, tokenizer.pad, **how))


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
    condition = encoder_of(model).encode("cat", "")
    assert condition.cond.dtype == condition.uncond.dtype == torch.bfloat16


# --- clip skip ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def deep():
    """A text encoder of four layers."""
    torch.manual_seed(0)
    config = CLIPTextConfig(
        vocab_size=len(tiny_tokenizer()), hidden_size=32, intermediate_size=64, num_hidden_layers=4,
        num_attention_heads=4, bos_token_id=tiny_tokenizer().bos_token_id,
        eos_token_id=tiny_tokenizer().eos_token_id)  # fmt: skip
    return CLIPTextModel(config).eval().requires_grad_(False)


@pytest.mark.parametrize("skip", [1, 2, 3])
def test_clip_skip_is_an_encoder_without_its_last_layers(deep, skip):
    """1 is all of them, 2 is one less, as A1111 counts; the final layer norm stays."""
    config = CLIPTextConfig(**{**deep.config.to_dict(), "num_hidden_layers": 4 - (skip - 1)})
    shorter = CLIPTextModel(config).eval()
    shorter.load_state_dict(deep.state_dict(), strict=False)
    ours = encoder_of(deep).encode("a red cat", "dog", skip)
    theirs = encoder_of(shorter).encode("a red cat", "dog")
    torch.testing.assert_close(ours.cond, theirs.cond, atol=2e-6, rtol=0)
    torch.testing.assert_close(ours.uncond, theirs.uncond, atol=2e-6, rtol=0)


def test_more_layers_skipped_than_there_are_reads_the_first(deep):
    encoder = encoder_of(deep)
    assert torch.equal(encoder.encode("cat", "", 9).cond, encoder.encode("cat", "", 4).cond)


def test_a_published_encoder_without_its_last_layer_counts_it_nevertheless(deep):
    """Stable Diffusion 2: 1 and 2 both read the last of the layers that are there."""
    plain, lacking = encoder_of(deep), encoder_of(deep, missing_layers=1)
    for skip, same in ((1, 1), (2, 1), (3, 2)):
        assert torch.equal(lacking.encode("cat", "", skip).cond, plain.encode("cat", "", same).cond)


# --- emphasis -------------------------------------------------------------------------------------


def test_weights_multiply_tokens_and_the_mean_stays(encoder):
    plain, weighed = encoder.encode("cat dog", "").cond, encoder.encode("cat (dog:1.5)", "").cond
    expected = plain.clone()
    expected[2] *= 1.5  # after the start token and "cat"
    expected *= plain.mean() / expected.mean()
    torch.testing.assert_close(weighed, expected, atol=2e-6, rtol=1e-5)


def test_weights_of_one_chunk_leave_the_others_alone(encoder):
    plain = encoder.encode("cat BREAK dog", "").cond
    weighed = encoder.encode("cat BREAK (dog:1.5)", "").cond
    assert torch.equal(plain[:77], weighed[:77])
    assert not torch.equal(plain[77:], weighed[77:])


def test_weights_that_leave_no_number_are_told_as_what_they_are(encoder):
    """Not the file's fault, as it was told to be: from a task of an extension, or a job of an older Easel."""
    with pytest.raises(RequestError, match=r"^prompt: its weights are too large"):
        encoder.encode(f"(cat:{'9' * 47})", "")
    with pytest.raises(RequestError, match=r"^prompt: its weights are too large"):
        encoder.encode("a dog", f"(cat:{'9' * 400})")


def test_a_weight_of_one_changes_no_bit(encoder):
    assert torch.equal(encoder.encode("(cat:1.0) dog", "").cond, encoder.encode("cat dog", "").cond)


# --- several encoders -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def xl():
    networks = build(FAMILIES["sdxl"], seed=1)
    return pipeline_of(CASES["sdxl"], networks), towers(networks)


def towers(networks):
    return TextEncoder(
        ClipTextModel(
            shipped(), networks["text_encoder"], shipped().end, skip_layers=1, final_norm=False
        ),
        ClipTextModel(shipped(), networks["text_encoder_2"], 0, skip_layers=1, final_norm=False),
        zeros=True,
    )


@pytest.mark.parametrize("negative", ["dog", ""])
def test_xl_is_diffusers_pooled_texts_too(xl, negative):
    """An empty negative prompt counts as zeros; diffusers has that for none at all."""
    pipe, encoder = xl
    cond, uncond, pooled, pooled_uncond = pipe.encode_prompt(
        "a red cat on the grass", negative_prompt=negative or None, do_classifier_free_guidance=True
    )
    ours = encoder.encode("a red cat on the grass", negative)
    pairs = ((ours.cond, cond), (ours.uncond, uncond), (ours.pooled_cond, pooled),
             (ours.pooled_uncond, pooled_uncond))  # fmt: skip
    for mine, other in pairs:
        torch.testing.assert_close(mine, other[0], atol=5e-6, rtol=0)


def test_xl_reads_the_layer_before_the_last_whatever_is_skipped_less(xl):
    pipe, encoder = xl
    usual = encoder.encode("a red cat", "dog", 1)
    assert torch.equal(encoder.encode("a red cat", "dog", 2).cond, usual.cond)
    deeper = encoder.encode("a red cat", "dog", 3)
    theirs = pipe.encode_prompt("a red cat", clip_skip=1, do_classifier_free_guidance=False)
    torch.testing.assert_close(deeper.cond, theirs[0][0], atol=5e-6, rtol=0)
    assert torch.equal(deeper.pooled_cond, usual.pooled_cond)


def test_the_pooled_text_of_a_long_prompt_is_its_first_chunks(xl):
    _, encoder = xl
    long = encoder.encode("a red cat BREAK a dog", "").pooled_cond
    torch.testing.assert_close(long, encoder.encode("a red cat", "").pooled_cond, atol=2e-6, rtol=0)


# --- long texts, a slice at a time ----------------------------------------------------------------

LONG = " BREAK ".join(f"a (red:1.{n}) {words(7 * n)} [dog]" for n in range(1, 14))


@pytest.mark.parametrize(
    ("prompt", "negative"), [(LONG, "dog"), ("", LONG), (LONG, LONG + " BREAK cat")]
)
def test_a_long_text_in_slices_is_the_text_encoded_at_once(
    encoder, xl, monkeypatch, prompt, negative
):
    for one in (encoder, xl[1]):
        run, pauses = one.encoding(prompt, negative), 0
        with pytest.raises(StopIteration) as ended, torch.inference_mode():
            while True:
                next(run)
                pauses += 1
        sliced = ended.value.value
        assert pauses >= 1
        monkeypatch.setattr("webui.engine.text.encoder.SLICE", 1000)
        whole = one.encode(prompt, negative)
        monkeypatch.undo()
        for name in ("cond", "uncond", "pooled_cond", "pooled_uncond"):
            mine, other = getattr(sliced, name), getattr(whole, name)
            if other is None:
                assert mine is None and one is encoder
            else:
                torch.testing.assert_close(mine, other, atol=1e-5, rtol=1e-5)


def test_what_a_text_wears_is_worn_for_each_slice_and_not_between(encoder):
    worn = []

    @contextmanager
    def wear():
        worn.append("on")
        yield
        worn.append("off")

    run = encoder.encoding(LONG, "", worn=wear)
    for slices in (1, 2):
        next(run)
        assert worn == ["on", "off"] * slices


def test_a_text_of_a_few_chunks_makes_no_pause(encoder):
    with pytest.raises(StopIteration), torch.inference_mode():
        next(encoder.encoding(words(300), words(300)))


@pytest.mark.parametrize("prompt", ["(" * 9_990 + "cat" + ")" * 9_990, "[" * 19_990 + "cat"])
def test_a_word_in_as_many_brackets_as_fit_is_encoded(encoder, prompt):
    """Only the outer 64 weigh, and nothing calls itself."""
    sign = prompt[0]
    assert torch.equal(encoder.encode(prompt, "").cond, encoder.encode(sign * 64 + "cat", "").cond)
