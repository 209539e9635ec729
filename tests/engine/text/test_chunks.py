"""Cutting tokens into chunks, on plain numbers."""

from webui.engine.text import chunks
from webui.engine.text.chunks import Chunk, cut, with_special_tokens
from webui.prompt import parse

COMMA = 0


def test_empty_prompt_is_one_empty_chunk():
    assert cut([], 75) == [[]]


def test_full_chunk_has_no_empty_one_behind_it():
    assert cut(list(range(1, 76)), 75, COMMA) == [list(range(1, 76))]


def test_without_commas_chunks_are_filled():
    assert [len(piece) for piece in cut(range(1, 161), 75, COMMA)] == [75, 75, 10]


def test_every_token_stays_once_and_in_order():
    tokens = [COMMA if n % 7 == 0 else n for n in range(1, 400)]
    pieces = cut(tokens, 75, COMMA)
    assert [token for piece in pieces for token in piece] == tokens
    assert all(0 < len(piece) <= 75 for piece in pieces)


def test_phrase_after_a_near_comma_moves_whole():
    tokens = [1] * 60 + [COMMA] + [2] * 20
    assert cut(tokens, 75, COMMA) == [[1] * 60 + [COMMA], [2] * 20]


def test_comma_more_than_twenty_tokens_back_is_too_far():
    near, far = [1] * 55 + [COMMA] + [2] * 25, [1] * 54 + [COMMA] + [2] * 25
    assert [len(piece) for piece in cut(near, 75, COMMA)] == [56, 25]
    assert [len(piece) for piece in cut(far, 75, COMMA)] == [75, 5]


def test_phrase_that_just_fits_is_not_moved():
    tokens = [1] * 60 + [COMMA] + [2] * 14 + [COMMA, 3]
    assert [len(piece) for piece in cut(tokens, 75, COMMA)] == [75, 2]


def test_framed_is_always_as_long():
    assert with_special_tokens([5, 6], 4, start=1, end=2, pad=3) == [1, 5, 6, 2, 3, 3]
    assert with_special_tokens([5, 6, 7, 8], 4, start=1, end=2, pad=3) == [1, 5, 6, 7, 8, 2]


class Words:
    """A tokenizer whose tokens are words, the comma among them."""

    comma = COMMA

    def tokens(self, text: str, name: str = "") -> list[int]:
        return [COMMA if word == "," else len(word) for word in text.replace(",", " , ").split()]


def weighted(text: str) -> list[Chunk]:
    return chunks.weighted(Words(), parse(text).pieces(), 75)  # type: ignore[arg-type]


def count(text: str) -> int:
    return chunks.count(Words(), parse(text).pieces(), 75)  # type: ignore[arg-type]


def test_every_token_has_the_weight_of_its_brackets() -> None:
    (chunk,) = weighted("a (big red:1.5) cat")
    assert chunk.ids == [1, 3, 3, 3] and chunk.weights == [1, 1.5, 1.5, 1]
    assert not chunk.plain and weighted("a cat")[0].plain


def test_break_begins_a_chunk_and_weights_stay_with_their_tokens_when_a_prompt_is_cut() -> None:
    parts = weighted("aa BREAK (bbb:2) BREAK")
    assert [(part.ids, part.weights) for part in parts] == [([2], [1]), ([3], [2.0]), ([], [])]
    long = weighted("a " * 80 + "(bb:3) " * 80)
    assert [len(part.ids) for part in long] == [75, 75, 10]
    assert all(
        (t == 2) == (w == 3) for part in long for t, w in zip(part.ids, part.weights, strict=True)
    )


def test_a_break_counts_as_the_places_that_it_leaves_empty() -> None:
    assert count("a (b:1.2), c") == 4
    assert count("a BREAK b") == 76
