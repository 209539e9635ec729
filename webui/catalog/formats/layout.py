"""The JSON text of a safetensors header: what it says of the file, and where its tensors lie, all of it checked.

Thousands of checkpoints share a few layouts: one tool wrote them, and they differ in their metadata alone. What was
checked once for `Layouts` is not read again, which takes a tenth of the time. Knows texts; opens no file.
"""

from __future__ import annotations

import json
import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from threading import Lock
from typing import Any, NamedTuple

from webui.catalog.formats.tensor_names import Names
from webui.errors import Sentence

__all__ = ["BITS", "Layout", "Layouts", "TensorInfo", "placed", "read_layout"]

BITS = {  # of one number
    **dict.fromkeys(("F4",), 4),
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2", "F8_E8M0"), 8),
    **dict.fromkeys(("F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("I16", "U16", "F16", "BF16"), 16),
    **dict.fromkeys(("I32", "U32", "F32"), 32),
    **dict.fromkeys(("I64", "U64", "F64", "C64"), 64),
}
MOST = 50_000  # tensors; real models have up to some thousands
METADATA = "__metadata__"
FIRST = re.compile(r'\{\s*"__metadata__"\s*:\s*')  # how the text begins that the usual tools write


class TensorInfo(NamedTuple):  # made a thousand times a file: three times as quick as a dataclass
    """Where a tensor lies: `start` and `end` are bytes of the whole file, in a `Layout` from the first tensor on."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


class Layout(NamedTuple):
    """The tensors of a file by name, in the header's order; every one begins where another ends. `size` is that of
    all of them."""

    tensors: Mapping[str, TensorInfo]
    size: int
    names: Names


class Layouts:
    """The layouts that were read last. Any thread may ask."""

    def __init__(self, kept: int = 32) -> None:
        self._kept = kept
        self._known: OrderedDict[str, Layout] = OrderedDict()
        self._lock = Lock()

    def get(self, text: str) -> Layout | None:
        with self._lock:
            if (found := self._known.get(text)) is not None:
                self._known.move_to_end(text)
            return found

    def keep(self, text: str, layout: Layout) -> None:
        with self._lock:
            self._known[text] = layout
            while len(self._known) > self._kept:
                self._known.popitem(last=False)


def read_layout(text: bytes, known: Layouts | None = None) -> tuple[Mapping[str, str], Layout]:
    """The header's metadata and layout. `ValueError` with what is wrong, as it follows a file's name."""
    try:
        metadata, rest = _split(text.decode("utf-8"))
        if known is not None and (found := known.get(rest)):
            return _metadata({} if metadata is None else metadata), found
        if rest.count("{") > MOST:
            raise _TooMany
        header = json.loads(rest, object_pairs_hook=_unique)
    except _TooMany:
        raise ValueError(f"the header has more than {MOST} entries, which no model needs") from None
    except RecursionError as fault:
        raise ValueError("the header is nested too deep") from fault
    except _Twice as fault:
        raise ValueError(f"the header has {_short(fault.args[0])} twice") from fault
    except ValueError as fault:
        raise ValueError(f"the header is not JSON ({fault})") from fault
    if not isinstance(header, dict):
        raise ValueError("the header is not a JSON object")
    if metadata is not None and METADATA in header:
        raise ValueError(f"the header has {METADATA!r} twice")
    shared = METADATA not in header
    said = _metadata(header.pop(METADATA, None) if metadata is None else metadata)
    layout = _layout(header)
    if known is not None and shared:
        known.keep(rest, layout)
    return said, layout


def placed(layout: Layout, body: int) -> Mapping[str, TensorInfo]:
    """The tensors of a file whose first one begins at the byte `body`."""
    return _Placed(layout.tensors, body)


class _Placed(Mapping[str, TensorInfo]):
    """The tensors of a layout by bytes of the file, told when they are asked for: a list asks for few."""

    __slots__ = ("_body", "_tensors")

    def __init__(self, tensors: Mapping[str, TensorInfo], body: int) -> None:
        self._tensors, self._body = tensors, body

    def __getitem__(self, name: str) -> TensorInfo:
        dtype, shape, start, end = self._tensors[name]
        return TensorInfo(dtype, shape, start + self._body, end + self._body)

    def __contains__(self, name: object) -> bool:
        return name in self._tensors

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)


# --- The text -------------------------------------------------------------------------------------


class _TooMany(Exception):
    """Reading all of it would take seconds."""


class _Twice(Exception):
    """A JSON object has a key twice, so that two readers may see two files."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        seen: set[str] = set()
        raise _Twice(next(key for key, _ in pairs if key in seen or seen.add(key)))  # type: ignore[func-returns-value]
    return made


DECODER = json.JSONDecoder(object_pairs_hook=_unique)


def _split(text: str) -> tuple[Any, str]:
    """The metadata where they stand first, and a JSON object of all else; None and the text where they do not."""
    if begin := FIRST.match(text):
        metadata, end = DECODER.raw_decode(text, begin.end())
        rest = text[end:].lstrip(" \n\r\t")
        if metadata is None:
            return None, text
        if rest.startswith("}"):
            return metadata, "{" + rest
        if rest.startswith(",") and rest[1:].lstrip(" \n\r\t").startswith('"'):
            return metadata, "{" + rest[1:]
    return None, text


def _metadata(found: Any) -> dict[str, str]:
    if found is None:  # which safetensors takes for none
        return {}
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise ValueError(f"the header's {METADATA} is not texts by name")
    return found


def _layout(header: dict[str, Any]) -> Layout:
    tensors: dict[str, TensorInfo] = {}
    there, in_order = 0, True
    for name, entry in header.items():
        try:
            tensors[name] = info = _tensor(entry)
        except ValueError as fault:
            raise ValueError(f"{_short(name)} {fault}") from None
        in_order = in_order and info.start == there
        there = info.end
    return Layout(tensors, there if in_order else _end(tensors), Names(tensors))


def _end(tensors: Mapping[str, TensorInfo]) -> int:
    """Where the last tensor ends, once there is neither a hole between two nor one in another."""
    there = 0
    for name, info in sorted(tensors.items(), key=lambda item: item[1][2:]):
        if info.start != there:
            what = (
                Sentence("overlaps another tensor")
                if info.start < there
                else Sentence("comes after a hole")
            )
            raise ValueError(f"{_short(name)} {what}; the header is wrong")
        there = info.end
    return there


def _tensor(entry: Any) -> TensorInfo:
    """What `entry` says. Types are compared, not asked: this runs a thousand times a file."""
    if type(entry) is not dict:
        raise ValueError("is not described by a JSON object")
    dtype, shape, span = entry.get("dtype"), entry.get("shape"), entry.get("data_offsets")
    bits = BITS.get(dtype) if type(dtype) is str else None
    if bits is None:
        raise ValueError(f"has the unknown dtype {_short(dtype)}")
    if type(shape) is not list:
        raise ValueError("has no proper shape")
    if len(shape) > 8:
        raise ValueError(f"has {len(shape)} dimensions")
    for n in shape:
        if type(n) is not int or n < 0:
            raise ValueError("has no proper shape")
        bits *= n
    if type(span) is not list or len(span) != 2:
        raise ValueError("has no proper place in the file")
    start, end = span
    if type(start) is not int or type(end) is not int:
        raise ValueError("has no proper place in the file")
    if not 0 <= start <= end < 1 << 63:
        raise ValueError(f"lies at bytes {start} to {end}, which is nowhere")
    if bits != (end - start) * 8:
        raise ValueError(f"of shape {tuple(shape)} and {dtype} cannot have {end - start} bytes")
    return TensorInfo(str(dtype), tuple(shape), start, end)


def _short(value: object) -> str:
    """A name out of the file as it is shown: one line, never long."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:78]}…{text[0]}"
