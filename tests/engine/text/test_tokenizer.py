"""The shipped CLIP vocabulary against published token numbers, and a model's own against transformers."""

import subprocess
import sys

import pytest

from tests.networks import tiny_tokenizer
from webui.engine.text.tokenizer import SHIPPED_SIZE, read, shipped
from webui.errors import ModelFileError
from webui.settings import ROOT


@pytest.fixture(scope="module")
def clip():
    return shipped()


def test_shipped_vocabulary_is_openai_clips(clip):
    """The size and the special tokens of openai/clip-vit-large-patch14's published configuration."""
    assert clip.size == SHIPPED_SIZE == 49408
    assert (clip.start, clip.end, clip.pad) == (49406, 49407, 49407)
    assert clip.comma == 267


def test_shipped_tokens_are_the_published_ones(clip):
    """The example of transformers' CLIP documentation."""
    assert clip.tokens("a photo of a cat") == [320, 1125, 539, 320, 2368]
    assert clip.tokens("A  PHOTO\nof a Cat") == [320, 1125, 539, 320, 2368]


def test_any_text_has_tokens(clip):
    assert clip.tokens("") == []
    assert all(0 <= token < 49406 for token in clip.tokens("Ünïcode 日本 don't 1234 🎨 \x00"))


def test_models_own_tokenizer_is_preferred(tmp_path):
    theirs = tiny_tokenizer()
    theirs.save_pretrained(tmp_path)
    ours = read(tmp_path)
    text = "a red cat, zebra on the grass"
    assert ours.tokens(text) == theirs(text, add_special_tokens=False).input_ids
    assert (ours.start, ours.end, ours.pad) == (
        theirs.bos_token_id, theirs.eos_token_id, theirs.pad_token_id)  # fmt: skip


def test_limits_that_were_saved_with_a_tokenizer_do_not_hold(tmp_path):
    theirs = tiny_tokenizer()
    theirs("cat", padding="max_length", truncation=True, max_length=77)  # as pipelines call it
    theirs.save_pretrained(tmp_path)
    ours = read(tmp_path)
    assert len(ours.tokens("cat")) == 1
    assert len(ours.tokens("cat " * 100)) == 100


def test_folder_without_files_means_the_shipped_one(tmp_path):
    assert read(tmp_path).size == SHIPPED_SIZE


@pytest.mark.parametrize("damage", ["{", "[]", '{"model": 3}'])
def test_damaged_files_are_named(tmp_path, damage):
    tiny_tokenizer().save_pretrained(tmp_path)
    (tmp_path / "tokenizer.json").write_text(damage, encoding="utf-8")
    with pytest.raises(ModelFileError, match="damaged"):
        read(tmp_path)


def test_several_threads_may_be_the_first_to_ask() -> None:
    """In a fresh process, while another thread imports the models: transformers fills its modules in lazily."""
    code = (
        "import threading\n"
        "from webui.engine.text.tokenizer import shipped\n"
        "from webui.engine.loading import BUILD\n"
        "faults = []\n"
        "def ask(what):\n"
        "    try:\n"
        "        what()\n"
        "    except ImportError as fault:\n"
        "        faults.append(fault)\n"
        "    except Exception:\n"
        "        pass  # an empty config is no network\n"
        "asked = [lambda: shipped().tokens('a cat')] * 3 + [lambda b=b: b({}) for b in BUILD.values()]\n"
        "threads = [threading.Thread(target=ask, args=(one,)) for one in asked]\n"
        "[one.start() for one in threads]; [one.join() for one in threads]\n"
        "assert not faults, faults\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120, cwd=ROOT)
