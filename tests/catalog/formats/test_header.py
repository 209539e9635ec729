"""Headers of safetensors files: sound ones are read as the library reads them, hostile ones are one sentence each."""

from __future__ import annotations

import io
import json
import os
import pickle
import socket
import sys
import tarfile
import zipfile

import numpy as np
import pytest
from safetensors import safe_open

from tests.catalog.formats.files import checkpoint, raw, write
from webui.catalog.formats import header as headers
from webui.catalog.formats.header import read_header
from webui.errors import ModelFileError

F32 = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
EIGHT = b"\0" * 8


def zipped() -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({}))
    return made.getvalue()


def tarred() -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("pickle"), io.BytesIO())
    return made.getvalue()


def entry(**changes):
    return raw({"a": {**F32, **changes}}, EIGHT)


HOSTILE = {
    "empty": (b"", "is empty"),
    "a few bytes": (b"12345", "5 bytes are no safetensors file"),
    "zeros": (b"\0" * 4096, "begins with zeros"),
    "noise": (bytes(range(1, 256)), "is not a safetensors file"),
    "pickle": (pickle.dumps({"state_dict": {}}), "a pickle named .safetensors"),
    "old pickle": (pickle.dumps({"state_dict": {}}, protocol=0), "is not a safetensors file"),
    "zip of a pickle": (zipped(), "a pickle named .safetensors"),
    "tar": (tarred(), "a pickle named .safetensors"),
    "gzip": (b"\x1f\x8b" + b"x" * 90, "an archive"),
    "gguf": (b"GGUF" + b"\3\0\0\0" * 4, "GGUF"),
    "web page": (b"\n<!DOCTYPE html><html>" + b"x" * 90, "a web page"),
    "error of a web service": (b'{"error": "Repository not found"}', "a message in JSON"),
    "git lfs pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:00", "git lfs pull"),
    "header bomb": (raw(b"{" + b" " * 90, length=1 << 62), "header has 4611686018427387904 bytes"),
    "header of 100 MB": (raw(b"{" + b" " * 90, length=100_000_000), "more than 16777216 are refused"),
    "file ends in the header": (raw(b'{"a": {', length=900), "ends inside its header"),
    "no json": (raw(b'{"a": }'), "is not JSON"),
    "no utf-8": (raw(b'{"\xff": 1}'), "is not JSON"),
    "number of 10,000 digits": (raw(b'{"a": ' + b"9" * 10_000 + b"}"), "is not"),
    "nested too deep": (raw(b'{"a":' + b"[" * 200_000 + b"]" * 200_000 + b"}"), "nested too deep"),
    "same name twice": (raw(b'{"a": 1, "a": 2}'), "has 'a' twice"),
    "metadata of numbers": (raw({"__metadata__": {"steps": 3}}), "__metadata__"),
    "metadata is a list": (raw({"__metadata__": []}), "__metadata__"),
    "tensor is a list": (raw({"a": [1]}), "not described"),
    "unknown dtype": (entry(dtype="F128"), "unknown dtype 'F128'"),
    "dtype is a list": (entry(dtype=[]), "unknown dtype"),
    "negative shape": (entry(shape=[-2]), "no proper shape"),
    "shape with a fraction": (entry(shape=[2.0]), "no proper shape"),
    "shape with true": (entry(shape=[True, 2]), "no proper shape"),
    "many dimensions": (entry(shape=[1] * 90), "90 dimensions"),
    "shape too large for its bytes": (entry(shape=[1 << 62, 1 << 62]), "cannot have 8 bytes"),
    "wrong number of bytes": (entry(shape=[3]), "cannot have 8 bytes"),
    "no offsets": (entry(data_offsets=None), "no proper place"),
    "three offsets": (entry(data_offsets=[0, 4, 8]), "no proper place"),
    "offsets backwards": (entry(data_offsets=[8, 0]), "which is nowhere"),
    "negative offset": (entry(data_offsets=[-8, 0]), "which is nowhere"),
    "overlap": (raw({"a": F32, "b": {**F32, "data_offsets": [4, 12]}}, b"\0" * 12), "overlaps another"),
    "the same bytes twice": (raw({"a": F32, "b": F32}, EIGHT), "overlaps another"),
    "hole": (raw({"a": {**F32, "data_offsets": [8, 16]}}, EIGHT * 2), "after a hole"),
    "truncated": (raw({"a": F32}, EIGHT[:5]), "is cut short"),
    "more than it should be": (raw({"a": F32}, EIGHT * 2), "8 bytes follow"),
}  # fmt: skip


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_file_is_one_sentence_that_names_it(tmp_path, what):
    content, said = HOSTILE[what]
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(ModelFileError) as caught:
        read_header(tmp_path / "model.safetensors")
    sentence = str(caught.value)
    assert sentence.startswith("model.safetensors: ") and said in sentence
    assert len(sentence) < 250 and "\n" not in sentence


def test_a_name_of_a_megabyte_is_not_shown(tmp_path):
    (tmp_path / "a.safetensors").write_bytes(raw({"n" * 1_000_000: 3}))
    with pytest.raises(ModelFileError) as caught:
        read_header(tmp_path / "a.safetensors")
    assert len(str(caught.value)) < 200


class TestWhatIsNoFile:
    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
    def test_a_named_pipe_is_not_opened(self, tmp_path):
        os.mkfifo(tmp_path / "pipe.safetensors")  # opening it would wait for ever
        with pytest.raises(ModelFileError, match="a named pipe"):
            read_header(tmp_path / "pipe.safetensors")

    def test_a_folder(self, tmp_path):
        with pytest.raises(ModelFileError, match="a folder"):
            read_header(tmp_path)

    @pytest.mark.skipif(sys.platform == "win32", reason="no such sockets")
    def test_a_socket(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)  # a socket's path must be short
        with socket.socket(socket.AF_UNIX) as made:
            made.bind("s.safetensors")
            with pytest.raises(ModelFileError, match="a socket"):
                read_header(tmp_path / "s.safetensors")

    @pytest.mark.skipif(sys.platform == "win32", reason="no devices in files")
    def test_a_device(self, tmp_path):
        (tmp_path / "zero.safetensors").symlink_to("/dev/zero")
        with pytest.raises(ModelFileError, match="a device"):
            read_header(tmp_path / "zero.safetensors")

    def test_nothing_at_all(self, tmp_path):
        with pytest.raises(
            ModelFileError, match=r"gone.safetensors: cannot be read \(No such file"
        ):
            read_header(tmp_path / "gone.safetensors")

    def test_an_unreadable_file(self, tmp_path, monkeypatch):
        path = checkpoint(tmp_path / "a.safetensors")

        def refuse(*_: object) -> int:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(headers.os, "open", refuse)  # the tests may run as root, who reads all
        with pytest.raises(ModelFileError, match=r"a.safetensors: cannot be read \(Permission"):
            read_header(path)


def test_a_sound_header_is_what_the_library_reads(tmp_path):
    path = checkpoint(tmp_path / "a.safetensors", metadata={"format": "pt"})
    found = read_header(path)
    with safe_open(path, "np") as file:
        assert set(found.tensors) == set(file.keys())
        assert dict(found.metadata) == file.metadata()
        for name, info in found.tensors.items():
            tensor = file.get_tensor(name)
            assert info.shape == tensor.shape and info.dtype == "F16"
            assert path.read_bytes()[info.start : info.end] == tensor.tobytes()
    assert found.size == path.stat().st_size


def test_an_empty_tensor_has_no_bytes_and_is_allowed(tmp_path):
    path = write(tmp_path / "a.safetensors", {"v_pred": np.zeros(0, np.float32), "b": np.ones(2)})
    assert read_header(path).shape("v_pred") == (0,)


@pytest.mark.parametrize("mark", [b"\x80\x02", b"\x1f\x8b", b'{"'])
def test_a_length_that_looks_like_another_kind_of_file_misleads_nobody(tmp_path, mark):
    length = int.from_bytes(mark, "little")
    text = json.dumps({"a": F32}).encode()
    path = tmp_path / "a.safetensors"
    path.write_bytes(raw(text + b" " * (length - len(text)), EIGHT))
    assert path.read_bytes().startswith(mark) and read_header(path).shape("a") == (2,)


def test_the_fingerprint_stays_with_the_content(tmp_path):
    one = np.arange(100_000, dtype=np.float32)
    first = read_header(write(tmp_path / "a.safetensors", {"w": one})).fingerprint
    assert read_header(write(tmp_path / "b.safetensors", {"w": one})).fingerprint == first
    # the same header and size, other weights: as with Stable Diffusion 2.0-base and 2.1
    assert read_header(write(tmp_path / "c.safetensors", {"w": one * 2})).fingerprint != first
