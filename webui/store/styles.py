"""Styles: words to merge into a prompt, in `styles.csv` of the data folder, in A1111's format (`style_tables`).

A line that cannot be read is told of (`Damaged`) and, when the file is next written, moved to `styles.damaged.csv`:
nothing is lost.
"""

from __future__ import annotations

import codecs
import os
import shutil
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from webui.errors import EaselError, RequestError, Sentence
from webui.store.style_tables import COLUMNS, Damaged, Style, Styles, bare, compose, parse

__all__ = ["DAMAGED", "FILE", "Damaged", "Style", "StyleBook", "Styles"]

FILE = "styles.csv"
DAMAGED = "styles.damaged.csv"
NAME_MAX, WORDS_MAX, STYLES_MAX = 200, 20_000, 10_000
BOMS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
TRIES = 5  # while another program keeps writing the file


class StyleBook:
    """The styles of a data folder. Every look reads the file: somebody may have edited it by hand."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / FILE
        self._damaged = data_dir / DAMAGED
        self._lock = threading.Lock()

    def read(self) -> Styles:
        """What the file says now; nothing where there is none. Raises `EaselError` where it cannot be read."""
        return parse(_text(self._content() or b""))

    def put(self, former: str, style: Style, place: int | None = None) -> Style:
        """Writes a style in the place of the one called `former`; a new one goes to the end, or to
        `place`. Raises `RequestError` for a name or words that cannot be kept."""
        style = replace(style, name=bare(style.name))
        _check(style)

        def changed(styles: Styles) -> Styles:
            nonlocal style
            names = [one.name for one in styles.found]
            if style.name != former and style.name in names:
                raise RequestError(
                    Sentence("there is a style called {style} already", style=repr(style.name)),
                    "name",
                )
            found = list(styles.found)
            if former in names:
                at = names.index(former)
                found[at] = style = replace(style, others=found[at].others)
            elif len(found) >= STYLES_MAX:
                raise RequestError(
                    Sentence(
                        "{file} holds {styles_max} styles; delete some",
                        file=FILE,
                        styles_max=STYLES_MAX,
                    ),
                    "name",
                )
            else:
                found.insert(len(found) if place is None else max(0, place), style)
            return replace(styles, found=tuple(found))

        self._change(changed)
        return style

    def delete(self, name: str) -> bool:
        """Deletes a style; False where there was none of that name."""
        return self._change(
            lambda styles: replace(
                styles, found=tuple(one for one in styles.found if one.name != name)
            )
        )

    def _change(self, change: Callable[[Styles], Styles]) -> bool:
        """Writes what `change` makes of the styles; False where that is the same. It is asked again where another
        program wrote the file meanwhile."""
        with self._lock:
            for _ in range(TRIES):
                content = self._content()
                styles = parse(_text(content or b""))
                changed = change(styles)
                if changed == styles:
                    return False
                if self._written(changed, content):
                    return True
        raise EaselError(
            Sentence("{file} is being written by another program; try again", file=FILE)
        )

    def _content(self) -> bytes | None:
        try:
            return self._path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise EaselError(
                Sentence("{file} cannot be read: {why}", file=FILE, why=error.strerror)
            ) from None

    def _written(self, styles: Styles, before: bytes | None) -> bool:
        """Replaces the file, wholly or not at all, unless it is no longer as it was `before`; what was damaged is put
        aside first."""
        start = codecs.BOM_UTF8 if before and before.startswith(BOMS) else b""
        content = start + compose(styles).encode("utf-8", "surrogateescape")
        path = self._path.resolve()  # a link to A1111's own file stays one
        part = path.with_name(f"{FILE}.{os.getpid()}.tmp")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with part.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            if before is not None:
                shutil.copymode(path, part)
            if self._content() != before:
                part.unlink()
                return False
            if styles.damaged:
                self._put_aside(styles.damaged)
            os.replace(part, path)
        except OSError as error:
            with suppress(OSError):
                part.unlink()
            raise EaselError(
                Sentence("{file} cannot be written: {why}", file=FILE, why=error.strerror)
            ) from None
        return True

    def _put_aside(self, damaged: Sequence[Damaged]) -> None:
        with self._damaged.open("ab") as aside:
            for line in damaged:
                text = line.text.rstrip("\r\n") + "\n"
                aside.write(text.encode("utf-8", "surrogateescape"))
            aside.flush()
            os.fsync(aside.fileno())


def _text(content: bytes) -> str:
    """The words of a file: UTF-8, or UTF-16 where a mark at its start or its zeros say so. Other bytes stay as
    surrogates."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        with suppress(UnicodeDecodeError):
            return content.decode("utf-16")
    for order, zeros in (("utf-16-le", content[1:16:2]), ("utf-16-be", content[:16:2])):
        if len(zeros) == 8 and not any(zeros):
            with suppress(UnicodeDecodeError):
                return content.decode(order)
    return content.removeprefix(codecs.BOM_UTF8).decode("utf-8", "surrogateescape")


def _check(style: Style) -> None:
    if not style.name:
        raise RequestError(Sentence("give the style a name"), "name")
    if len(style.name) > NAME_MAX:
        raise RequestError(
            Sentence("name: use at most {name_max} characters", name_max=NAME_MAX), "name"
        )
    for field in COLUMNS:
        words = getattr(style, field)
        if len(words) > WORDS_MAX:
            raise RequestError(
                Sentence(
                    "{field}: use at most {words_max} characters", field=field, words_max=WORDS_MAX
                ),
                field,
            )
        if any(
            (ord(c) < 32 and c not in "\t\n\v\f\r") or 0xD800 <= ord(c) <= 0xDFFF for c in words
        ):
            raise RequestError(
                Sentence("{field}: it holds a character that no text has", field=field), field
            )
