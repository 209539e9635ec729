"""What people type into the search box as a full-text query, and prompts as the words that it finds.

FTS5's `unicode61` cuts words at everything but letters and digits. Scripts without spaces are taken apart into
single signs, in prompts and in queries alike: several signs in a row are then found anywhere in a sentence.
"""

from __future__ import annotations

import re
import unicodedata

__all__ = ["indexed", "query"]

# Kana, Han (with its extensions), Thai, Lao, Myanmar, Khmer.
UNSPACED = re.compile(
    "([぀-ヿ㐀-䶿一-鿿豈-﫿\U00020000-\U000323af\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff])"
)


def indexed(text: str) -> str:
    """`text` as the index keeps it."""
    return UNSPACED.sub(r" \1 ", unicodedata.normalize("NFKC", text))


def query(words: str) -> tuple[str, list[str]]:
    """`words` as an FTS5 query in which each one is the beginning of a word and all must be found ("" for none);
    and those without a letter or digit, which no such query finds."""
    phrases, others = [], []
    words = words.replace("\0", "").encode("utf-8", "replace").decode("utf-8")
    for word in words.split():
        spaced = " ".join(indexed(word).split())
        if not any(sign.isalnum() for sign in spaced):
            others.append(word)
            continue
        quoted = '"' + spaced.replace('"', '""') + '"'
        phrases.append(quoted if UNSPACED.match(spaced[-1]) else quoted + "*")
    return " ".join(phrases), others
