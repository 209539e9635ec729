import pytest

from webui.training.tokenizer import LENGTH, encode, learn_merges, load_tokenizer, write_tokenizer

CAPTIONS = ["a red apple on a blue background", "an octopus in the sea", "red apple, snow"] * 5


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    write_tokenizer(folder, CAPTIONS)
    return load_tokenizer(folder)


def test_each_word_of_the_captions_is_one_token(tokenizer):
    ids = tokenizer("a red apple on a blue background").input_ids
    assert len(ids) == 2 + 7
    assert ids[0] == tokenizer.bos_token_id and ids[-1] == tokenizer.eos_token_id


@pytest.mark.parametrize("text", ["red apple", "zebra quartz", "grün ist schön", "猫"])
def test_round_trip_of_known_and_unknown_words(tokenizer, text):
    assert tokenizer.decode(tokenizer(text).input_ids, skip_special_tokens=True).strip() == text


def test_padding_is_the_end_token(tokenizer):
    ids = encode(tokenizer, ["red apple", ""])
    assert ids.shape == (2, LENGTH)
    assert (ids[0, 3:] == tokenizer.eos_token_id).all()
    assert tokenizer.pad_token_id == tokenizer.eos_token_id == len(tokenizer) - 1


def test_merges_take_the_most_frequent_pair_first():
    assert learn_merges(["ab", "ab", "cb"], 1) == [("a", "b</w>")]
    assert learn_merges(["ab"], 10) == [("a", "b</w>")]
