"""Pickled checkpoints become safetensors with the same numbers; hostile ones do nothing and are one sentence each."""

from __future__ import annotations

import io
import os
import pickle
import struct
import zipfile

import pytest
import torch
from safetensors.torch import load_file

from webui.catalog.formats.pickles import convert
from webui.errors import ModelFileError


@pytest.fixture
def witness(tmp_path):
    """A file that exists only if something of a pickle was run."""
    path = tmp_path / "witness"
    yield path
    assert not path.exists()


def tensors() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return {
        "plain": torch.randn(3, 4),
        "half, transposed": torch.randn(5, 6).half().t(),
        "part of another": torch.randn(10, 10)[2:4, 3:5],
        "whole numbers": torch.arange(5),
        "bytes": torch.arange(9, dtype=torch.uint8),
        "truth": torch.tensor([True, False]),
        "bfloat": torch.randn(4).bfloat16(),
        "one number": torch.tensor(1.5),
        "parameter": torch.nn.Parameter(torch.randn(2)),
        "nothing": torch.zeros(0, 3),
    }


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize(
    "wrap", [dict, lambda d: {"state_dict": d}, lambda d: {"model": d, "epoch": 1}]
)
def test_every_tensor_comes_out_as_it_went_in(tmp_path, wrap, protocol):
    shared = tensors()
    shared["the same again"] = shared["plain"]
    torch.save(wrap(shared), tmp_path / "a.ckpt", pickle_protocol=protocol)
    done = convert(tmp_path / "a.ckpt", tmp_path / "a.safetensors")
    got = load_file(done.path)
    assert set(got) == set(shared) and done.tensors == len(shared)
    for name, tensor in shared.items():
        assert got[name].dtype == tensor.dtype and torch.equal(got[name], tensor), name


def test_what_trainers_keep_beside_the_weights_is_left_out_by_name(tmp_path):
    import numpy

    found = {
        "state_dict": {**tensors(), "note": "a text"},
        "global_step": 3,
        "best": numpy.float64(2),
    }
    torch.save(found, tmp_path / "a.ckpt")
    done = convert(tmp_path / "a.ckpt", tmp_path / "a.safetensors")
    assert sorted(done.dropped) == ["best", "global_step", "note"]


class Call:
    """Pickles as a call of `function(*arguments)`."""

    def __init__(self, function, *arguments):
        self.told = function, arguments

    def __reduce__(self):
        return self.told


def with_pickle(text: bytes, path) -> None:
    """A checkpoint of PyTorch's form with any pickle in it."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", text)
        archive.writestr("archive/data/0", b"\0" * 64)
        archive.writestr("archive/version", b"3\n")


def short(text: str) -> bytes:
    return b"\x8c" + bytes([len(text)]) + text.encode()


HOSTILE = {
    "os.system": lambda w: pickle.dumps({"state_dict": {"a": Call(os.system, f"touch {w}")}}),
    "eval": lambda w: pickle.dumps({"a": Call(eval, f"open({str(w)!r}, 'w')")}),
    "exec": lambda w: pickle.dumps(Call(exec, f"open({str(w)!r}, 'w')")),
    "open": lambda w: pickle.dumps(Call(open, str(w), "w")),
    "getattr": lambda w: b"cbuiltins\ngetattr\n.",
    "import": lambda w: pickle.dumps(Call(__import__, "os")),
    "runpy": lambda w: b"crunpy\nrun_path\n(S'/etc/passwd'\ntR.",
    "subprocess": lambda w: f"csubprocess\nPopen\n((S'touch'\nS'{w}'\nltR.".encode(),
    "old pickle's instance": lambda w: f"(S'touch {w}'\nios\nsystem\n.".encode(),
    "stack global": lambda w: b"\x80\x04" + short("posix") + short("system") + b"\x93"
    + short(f"touch {w}"[:250]) + b"\x85R.",
    "stack global with dots": lambda w: b"\x80\x04" + short("torch._utils")
    + short("_rebuild_tensor_v2.__globals__") + b"\x93.",
    "torch.load in torch": lambda w: b"ctorch.storage\n_load_from_bytes\n(S'x'\ntR.",
    "torch.hub": lambda w: b"ctorch.hub\nload\n(S'x'\ntR.",
    "numpy's loader": lambda w: b"cnumpy\nload\n(S'x'\ntR.",  # left out, not called: no weights are left
    "registry of extensions": lambda w: b"\x80\x02\x82\x01.",
    "state of a function": lambda w: b"ctorch._utils\n_rebuild_tensor_v2\n}S'make'\nI1\nsb.",
    "state of a class": lambda w: b"ccollections\nOrderedDict\n}S'__init__'\nI1\nsb.",
    "storage that is none": lambda w: b"\x80\x02(S'storage'\nS'x'\nS'0'\nS'cpu'\nI4\ntQ.",
    "memory": lambda w: b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7f.",
    "memo bomb": lambda w: b"\x80\x02Nr\xff\xff\xff\x7f.",
    "nested very deep": lambda w: b"\x80\x02" + b"(" * 1_000_000 + b"t" * 1_000_000 + b".",
    "cut short": lambda w: pickle.dumps({"a": [1, 2, 3]})[:-5],
    "a list": lambda w: pickle.dumps([1, 2]),
    "no weights": lambda w: pickle.dumps({"state_dict": {"a": 3}}),
}  # fmt: skip


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_pickle_does_nothing_and_is_one_sentence(tmp_path, witness, what):
    with_pickle(HOSTILE[what](witness), tmp_path / "evil.ckpt")
    with pytest.raises(ModelFileError) as caught:
        convert(tmp_path / "evil.ckpt", tmp_path / "evil.safetensors")
    sentence = str(caught.value)
    assert sentence.startswith("evil.ckpt: refused, ") and "\n" not in sentence
    assert not (tmp_path / "evil.safetensors").exists()


def test_the_same_pickle_would_have_acted(tmp_path):
    """The witness is a real one: Python's own loader runs what we refuse."""
    path = tmp_path / "acted"
    pickle.loads(HOSTILE["os.system"](path))
    assert path.exists()


HERE = object()  # stands for the storage


def tensor_at(offset: int, shape: tuple[int, ...], stride: tuple[int, ...]) -> bytes:
    """A pickle of one tensor, described as the arguments say."""
    made = io.BytesIO()

    class Pickler(pickle.Pickler):
        def persistent_id(self, found):
            return ("storage", torch.FloatStorage, "0", "cpu", 16) if found is HERE else None

    tensor = Call(torch._utils._rebuild_tensor_v2, HERE, offset, shape, stride, False, {})
    Pickler(made, 2).dump({"a": tensor})
    return made.getvalue()


@pytest.mark.parametrize(
    ("offset", "shape", "stride"),
    [
        (0, (17,), (1,)),
        (16, (1,), (1,)),
        (0, (4, 4), (5, 1)),
        (0, (1 << 40,), (0,)),
        (1 << 60, (1,), (1,)),
        (0, (2,), (1 << 60,)),
        (-1, (1,), (1,)),
        (0, (-1,), (1,)),
        (0, (2, 2), (1,)),
    ],
)
def test_a_tensor_outside_of_its_bytes_is_refused(tmp_path, offset, shape, stride):
    with_pickle(tensor_at(offset, shape, stride), tmp_path / "a.ckpt")
    with pytest.raises(ModelFileError, match=r"inside the file|malformed"):
        convert(tmp_path / "a.ckpt", tmp_path / "a.safetensors")


def test_a_tensor_inside_of_its_bytes_is_not(tmp_path):
    with_pickle(tensor_at(0, (4, 4), (4, 1)), tmp_path / "a.ckpt")
    assert convert(tmp_path / "a.ckpt", tmp_path / "a.safetensors").tensors == 1


def test_many_names_for_the_same_bytes_are_refused(tmp_path):
    one = torch.zeros(100_000)
    torch.save({f"{n}": one for n in range(50)}, tmp_path / "a.ckpt")
    with pytest.raises(ModelFileError, match="more weights than it has bytes"):
        convert(tmp_path / "a.ckpt", tmp_path / "a.safetensors")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not a checkpoint of PyTorch 1.6"),
        (pickle.dumps({}), "not a checkpoint of PyTorch 1.6"),
        (b"PK\x03\x04" + b"x" * 50, "none of PyTorch's|one of PyTorch's zip files"),
    ],
)
def test_what_is_no_zip_of_pytorch_is_refused(tmp_path, content, said):
    (tmp_path / "a.ckpt").write_bytes(content)
    with pytest.raises(ModelFileError, match=said):
        convert(tmp_path / "a.ckpt", tmp_path / "a.safetensors")


def test_older_formats_and_compressed_records_are_refused(tmp_path):
    torch.save({"a": torch.ones(2)}, tmp_path / "old.ckpt", _use_new_zipfile_serialization=False)
    with zipfile.ZipFile(tmp_path / "bomb.ckpt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\0" * 50_000_000)
    for name, said in (("old", "PyTorch 1.6 or later"), ("bomb", "compressed")):
        with pytest.raises(ModelFileError, match=said):
            convert(tmp_path / f"{name}.ckpt", tmp_path / "a.safetensors")


def test_a_pickle_of_100_megabytes_is_not_read(tmp_path):
    path = tmp_path / "a.ckpt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"\0" * (65 << 20))
    with pytest.raises(ModelFileError, match="larger than any"):
        convert(path, tmp_path / "a.safetensors")


def test_weights_that_are_missing_are_told(tmp_path):
    with_pickle(tensor_at(0, (4,), (1,)), tmp_path / "a.ckpt")
    data = (tmp_path / "a.ckpt").read_bytes().replace(b"archive/data/0", b"archive/data/7")
    (tmp_path / "a.ckpt").write_bytes(data)
    with pytest.raises(ModelFileError, match="its weights '0' are not there"):
        convert(tmp_path / "a.ckpt", tmp_path / "a.safetensors")


def test_the_last_record_may_not_reach_beyond_the_file(tmp_path):
    with_pickle(tensor_at(0, (16,), (1,)), tmp_path / "a.ckpt")
    data = bytearray((tmp_path / "a.ckpt").read_bytes())
    at = data.rindex(b"archive/data/0") - 46  # its entry in the directory at the end
    data[at + 20 : at + 28] = struct.pack("<II", 1 << 30, 1 << 30)  # both sizes
    (tmp_path / "a.ckpt").write_bytes(data)
    with pytest.raises(ModelFileError, match=r"does not lie inside|damaged"):
        convert(tmp_path / "a.ckpt", tmp_path / "a.safetensors")


def test_callbacks_of_a_trainer_that_is_not_installed_are_left_out(tmp_path):
    """As Stable Diffusion 1.4's own checkpoint has them: a class of lightning's as a key."""
    weights = tensor_at(0, (4, 4), (4, 1))
    inner = weights[2:-1]  # without protocol and end
    callback = b"cpytorch_lightning.callbacks.model_checkpoint\nModelCheckpoint\n"
    text = b"\x80\x02}(U\x0astate_dict" + inner + b"U\x09callbacks}" + callback + b"}ssu."
    with_pickle(text, tmp_path / "a.ckpt")
    done = convert(tmp_path / "a.ckpt", tmp_path / "a.safetensors")
    assert (done.tensors, done.dropped) == (1, ("callbacks",))
