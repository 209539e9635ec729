"""Cutting tokens into chunks, on plain numbers."""

from webui.engine.text.chunks import cut, framed

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
    assert framed([5, 6], 4, start=1, end=2, pad=3) == [1, 5, 6, 2, 3, 3]
    assert framed([5, 6, 7, 8], 4, start=1, end=2, pad=3) == [1, 5, 6, 7, 8, 2]
