"""What people type into the search box as a full-text query, and prompts as the words that it finds.

FTS5's `unicode61` cuts words at everything but letters and digits. Scripts without spaces are taken apart into
single signs, in prompts and in queries alike: several signs in a row are then found anywhere in a sentence. What else a
search may ask for is a word that nobody can type (`mark`): it begins with a sign of Unicode's private use, which
is a letter to `unicode61`.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata

__all__ = ["indexed", "mark", "query", "signs"]

# Kana, Han (with its extensions), Thai, Lao, Myanmar, Khmer.
UNSPACED = re.compile(
    "([぀-ヿ㐀-䶿一-鿿豈-﫿\U00020000-\U000323af\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff])"
)
MARK, SIGNS = "\ue000", "\ue001"
OURS = dict.fromkeys(map(ord, MARK + SIGNS))
SIGN_RUN = re.compile(r"(?:[^\w\s]|_)+")
RUN_MAX = 12  # signs in a row that are told apart
RUNS_MAX = 200  # of one picture


def indexed(text: str) -> str:
    """`text` as the index keeps it."""
    return UNSPACED.sub(r" \1 ", _plain(text))


def mark(kind: str, value: str) -> str:
    """The word by which pictures with this value of a kind are found."""
    return (
        MARK
        + hashlib.blake2b(f"{kind} {value}".encode("utf-8", "replace"), digest_size=6).hexdigest()
    )


def signs(*texts: str) -> list[str]:
    """Words for what stands in texts beside letters and digits: "((" is found by "((" and by "("."""
    runs = {run for text in texts for run in SIGN_RUN.findall(_plain(text))}
    ends = {run[at : at + RUN_MAX] for run in runs for at in range(min(len(run), RUNS_MAX))}
    return [_sign(end) for end in sorted(ends)[:RUNS_MAX]]


def query(words: str) -> list[str]:
    """`words` as FTS5 phrases that must all be found: each one the beginning of a word, or signs in a row."""
    phrases = []
    words = words.replace("\0", "").encode("utf-8", "replace").decode("utf-8").translate(OURS)
    for word in words.split():
        spaced = " ".join(indexed(word).split())
        if not spaced:
            continue
        if not any(sign.isalnum() for sign in spaced):
            phrases.append(f'"{_sign(spaced.replace(" ", "")[:RUN_MAX])}"*')
            continue
        quoted = '"' + spaced.replace('"', '""') + '"'
        phrases.append(quoted if UNSPACED.match(spaced[-1]) else quoted + "*")
    return list(dict.fromkeys(phrases))


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text.translate(OURS))


def _sign(run: str) -> str:
    return SIGNS + run.encode("utf-8", "replace").hex()
