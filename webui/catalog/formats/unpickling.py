"""A program of its own that says which tensors a pickled checkpoint holds, without ever letting the pickle do anything.

    python -I unpickling.py FILE

Run in a process of its own with nothing but the standard library; it prints one JSON object. Names in the pickle are
looked up in the short list below and nowhere else: nothing is imported for them. Before the file is read the process
gives up the network, other programs, writing, and most memory and time (whatever of these the system lets it give up),
and every audited action of Python's ends it once the pickle is read. The weights are not read at all: the answer says
where in the file they lie, and the caller checks that.
"""

from __future__ import annotations

import codecs
import collections
import io
import json
import os
import pickle
import sys
import zipfile
from typing import Any, NoReturn

MEMORY, SECONDS = 4 << 30, 60
LONGEST = 64 << 20  # of the pickle inside: a checkpoint's has below 1 MB
STORAGES = {
    "DoubleStorage": "F64",
    "FloatStorage": "F32",
    "HalfStorage": "F16",
    "BFloat16Storage": "BF16",
    "LongStorage": "I64",
    "IntStorage": "I32",
    "ShortStorage": "I16",
    "CharStorage": "I8",
    "ByteStorage": "U8",
    "BoolStorage": "BOOL",
}
# Left out wherever they stand: what trainers keep beside the weights. They are never imported.
LEFT_OUT = (
    "pytorch_lightning.",
    "lightning.",
    "lightning_fabric.",
    "omegaconf.",
    "numpy.",
    "torch.optim.",
)


class Refused(Exception):
    """The pickle asks for what a checkpoint does not need."""


class LeftOut:
    """Stands for an object that is left out. Whatever the pickle does to it has no effect."""

    def __new__(cls, *_: object, **__: object) -> LeftOut:
        return object.__new__(cls)

    def __call__(self, *_: object, **__: object) -> LeftOut:
        return self

    def __setstate__(self, state: object) -> None: ...
    def __setitem__(self, key: object, value: object) -> None: ...
    def append(self, item: object) -> None: ...
    def extend(self, items: object) -> None: ...


class Storage:
    __slots__ = ("dtype", "key", "numbers")

    def __init__(self, dtype: str, key: str, numbers: int) -> None:
        self.dtype, self.key, self.numbers = dtype, key, numbers

    def __setstate__(self, state: object) -> NoReturn:
        raise Refused("it changes a storage")


class Tensor:
    __slots__ = ("offset", "shape", "storage", "stride")

    def __init__(self, storage: object, offset: object, shape: object, stride: object) -> None:
        if not isinstance(storage, Storage) or not _whole(offset) or not _wholes(shape, stride):
            raise Refused("a tensor in it is malformed")
        self.storage, self.offset, self.shape, self.stride = storage, offset, shape, stride

    def __setstate__(self, state: object) -> None: ...


class Dtype:
    """The name of a storage's kind or of a number format; no class, so that nothing can be made of it."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __setstate__(self, state: object) -> NoReturn:
        raise Refused("it changes a number format")


class Make:
    """One of the few calls that a checkpoint's pickle makes."""

    __slots__ = ("_make",)

    def __init__(self, make: Any) -> None:
        self._make = make

    def __call__(self, *values: Any) -> Any:
        return self._make(*values)

    def __setstate__(self, state: object) -> NoReturn:
        raise Refused("it changes a function")


def _tensor(storage: object, offset: object, shape: object, stride: object, *_: object) -> Tensor:
    return Tensor(storage, offset, shape, stride)


def _parameter(data: object, *_: object) -> object:
    return data


class ParameterDict(dict[object, object]):
    """torch's `nn.ParameterDict`, which old textual inversions are in. Its state has the tensors in `_parameters`, or
    since PyTorch 1.12 as attributes beside the names in `_keys`."""

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, dict):
            raise Refused("a ParameterDict in it is malformed")
        inner = state.get("_parameters")
        found = {**state, **inner} if isinstance(inner, dict) else state
        self.update({k: v for k, v in found.items() if isinstance(v, Tensor)})


def _size(*values: object) -> tuple[object, ...]:
    return tuple(values[0]) if len(values) == 1 and isinstance(values[0], (list, tuple)) else ()


def _scalar(*_: object) -> None:
    return None


KNOWN: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("torch.nn.modules.container", "ParameterDict"): ParameterDict,
    ("__builtin__", "set"): Make(_scalar),  # inside of a ParameterDict, always empty
    ("builtins", "set"): Make(_scalar),
    ("torch.nn.parameter", "Parameter"): Make(_parameter),
    ("torch._utils", "_rebuild_tensor"): Make(_tensor),
    ("torch._utils", "_rebuild_tensor_v2"): Make(_tensor),
    ("torch._utils", "_rebuild_parameter"): Make(_parameter),
    ("torch", "Size"): Make(_size),
    ("torch", "device"): Make(_scalar),
    ("_codecs", "encode"): Make(_scalar),  # bytes in old pickles of NumPy numbers
    **{("torch", name): Dtype(dtype) for name, dtype in STORAGES.items()},
    **{
        ("torch", name): Dtype("")
        for name in ("float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8")
    },
}


class Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        known = KNOWN.get((module, name))
        if known is not None:
            return known
        if f"{module}.".startswith(LEFT_OUT):
            return LeftOut
        raise Refused(f"it asks for {module}.{name}, which no checkpoint needs")

    def persistent_load(self, pid: Any) -> Storage:
        if not (isinstance(pid, tuple) and len(pid) == 5 and pid[0] == "storage"):
            raise Refused("it refers to something that is no storage")
        _, kind, key, _, numbers = pid
        if not isinstance(kind, Dtype) or not kind.name:
            raise Refused("a storage in it has an unknown kind of numbers")
        if not isinstance(key, str) or not _whole(numbers):
            raise Refused("a storage in it is malformed")
        return Storage(kind.name, key, numbers)


def _whole(value: object) -> bool:
    return type(value) is int and 0 <= value < 1 << 62


def _wholes(shape: object, stride: object) -> bool:
    if not isinstance(shape, tuple) or not isinstance(stride, tuple) or len(shape) != len(stride):
        return False
    return len(shape) <= 8 and all(map(_whole, (*shape, *stride)))


# --- What the process gives up --------------------------------------------------------------------


def give_up() -> None:
    """Limits this process, as far as the system lets it. The audit hook works everywhere."""
    try:
        import ctypes

        ctypes.CDLL(None).unshare(0x10000000 | 0x40000000)  # Linux: a user and a network of its own
    except (ImportError, OSError, AttributeError, TypeError):
        pass  # no such call here: the audit hook refuses sockets
    try:
        import resource

        for what, most in (
            ("AS", MEMORY),
            ("CPU", SECONDS),
            ("FSIZE", 0),
            ("NPROC", 0),
            ("CORE", 0),
        ):
            limit = getattr(resource, f"RLIMIT_{what}", None)
            if limit is not None:
                resource.setrlimit(limit, (most, most))
    except (ImportError, OSError, ValueError):
        pass  # Windows, or a limit that is lower already


def watch(event: str, args: tuple[Any, ...]) -> None:
    """Ends the process at anything that reading does not need."""
    if event not in ("object.__getattr__", "pickle.find_class", "sys._getframe", "gc.collect"):
        os.write(1, json.dumps({"refused": f"it tried to do something ({event})"}).encode())
        os._exit(3)


# --- Reading --------------------------------------------------------------------------------------


def told(path: str) -> dict[str, Any]:
    """What the file holds, as JSON."""
    with open(path, "rb") as file:
        try:
            archive = zipfile.ZipFile(file)
        except (zipfile.BadZipFile, NotImplementedError, ValueError):
            raise Refused("it is not one of PyTorch's zip files (1.6 or later)") from None
        records = {info.filename: info for info in archive.infolist()}
        inner = [name for name in records if name.count("/") == 1 and name.endswith("/data.pkl")]
        if len(inner) != 1:
            raise Refused("it is a zip file, but none of PyTorch's")
        top = inner[0].removesuffix("data.pkl")
        if records[inner[0]].file_size > LONGEST:
            raise Refused("its pickle is larger than any checkpoint's")
        text = _record(archive, records[inner[0]])
        order = records.get(top + "byteorder")
        if order is not None and order.file_size < 100 and _record(archive, order) != b"little":
            raise Refused("its numbers have the bytes in the other order")
        places = {name: _place(file, info) for name, info in records.items()}
        codecs.lookup("latin-1")  # which imports it: the last thing that is
        sys.addaudithook(watch)
        found = Reader(io.BytesIO(text), encoding="latin-1").load()
    values: dict[str, Any] | None = None
    if (parts := _hypernetwork(found)) is not None:
        tensors, dropped, values = parts
    else:
        tensors, dropped = _tensors(found)
    return {
        "tensors": {name: _described(tensor, top, places) for name, tensor in tensors.items()},
        "dropped": dropped,
        "hypernetwork": values,
    }


def _record(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
        raise Refused("its records are compressed or encrypted, which PyTorch does not do")
    return archive.read(info)


def _place(file: Any, info: zipfile.ZipInfo) -> tuple[int, int] | None:
    """Where the bytes of a stored record begin in the file, and how many there are."""
    if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size:
        return None
    file.seek(info.header_offset)
    local = file.read(30)
    if len(local) < 30 or local[:4] != b"PK\x03\x04":
        return None
    name, extra = int.from_bytes(local[26:28], "little"), int.from_bytes(local[28:30], "little")
    return info.header_offset + 30 + name + extra, info.file_size


def _tensors(found: object) -> tuple[dict[str, Tensor], list[str]]:
    """The tensors by name, and the names of what else there is."""
    dropped: list[str] = []
    for _ in range(3):  # {"state_dict": {...}} and the like
        if not isinstance(found, dict):
            raise Refused("it holds no weights by name")
        if any(isinstance(value, Tensor) for value in found.values()):
            break
        inside = [
            key
            for key, value in found.items()
            if isinstance(value, dict)
            and any(isinstance(v, (Tensor, dict)) for v in value.values())
        ]
        key = next(
            (
                k
                for k in ("state_dict", "model", "params_ema", "params", "string_to_param")
                if k in inside
            ),
            None,
        )
        if key is None and len(inside) != 1:
            raise Refused("it holds no weights by name")
        key = inside[0] if key is None else key
        dropped += [str(other)[:100] for other in found if other != key]
        found = found[key]
    assert isinstance(found, dict)
    tensors = {k: v for k, v in found.items() if isinstance(k, str) and isinstance(v, Tensor)}
    if not tensors:
        raise Refused("it holds no weights by name")
    return tensors, dropped + [str(k)[:100] for k in found if k not in tensors]


def _hypernetwork(found: object) -> tuple[dict[str, Tensor], list[str], dict[str, Any]] | None:
    """A hypernetwork's tensors by width, side and name, what is left out, and the plain values beside them; None for
    anything else. It has widths for keys, and for each the weights of two networks."""
    if not isinstance(found, dict):
        return None
    sides = {
        width: pair
        for width, pair in found.items()
        if _whole(width)
        and isinstance(pair, (list, tuple))
        and len(pair) == 2
        and all(isinstance(side, dict) for side in pair)
    }
    if not sides:
        return None
    tensors = {
        f"{width}.{number}.{name}": tensor
        for width, pair in sides.items()
        for number, side in enumerate(pair)
        for name, tensor in side.items()
        if isinstance(name, str) and isinstance(tensor, Tensor)
    }
    values = {
        key: value
        for key, value in found.items()
        if isinstance(key, str) and len(key) <= 100 and _plain(value)
    }
    dropped = [str(key)[:100] for key in found if key not in sides and key not in values]
    return tensors, dropped, values


def _plain(value: object) -> bool:
    if isinstance(value, (list, tuple)):
        return len(value) <= 100 and all(type(one) in (int, float) for one in value)
    if isinstance(value, str):
        return len(value) <= 1000
    return value is None or type(value) in (bool, int, float)


def _described(tensor: Tensor, top: str, places: dict[str, tuple[int, int] | None]) -> list[Any]:
    place = places.get(f"{top}data/{tensor.storage.key}")
    if place is None:
        raise Refused(f"its weights {tensor.storage.key!r} are not there")
    return [tensor.storage.dtype, tensor.shape, tensor.stride, tensor.offset, *place]


def main() -> int:
    give_up()
    try:
        answer = told(sys.argv[1])
    except Refused as refusal:
        answer = {"refused": str(refusal)}
    except MemoryError:
        answer = {"refused": "it needs more memory than any checkpoint"}
    except Exception as fault:  # a damaged pickle raises whatever its codes lead to
        answer = {"refused": f"it is damaged ({type(fault).__name__}: {str(fault)[:100]})"}
    sys.stdout.write(json.dumps(answer))
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
