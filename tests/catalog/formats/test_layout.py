"""A layout that was read before is told as if it were read again, and nothing else is."""

import json

import pytest

from tests.catalog.formats.files import raw
from tests.catalog.formats.test_header import HOSTILE
from webui.catalog.formats import layout
from webui.catalog.formats.header import read_header
from webui.catalog.formats.layout import MOST, Layouts, read_layout
from webui.errors import ModelFileError

F32 = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


def text(metadata, **tensors):
    return json.dumps({"__metadata__": metadata, **tensors}).encode()


def test_files_that_differ_in_metadata_alone_share_a_layout(tmp_path, monkeypatch):
    known, read = Layouts(), []
    real = layout._layout
    monkeypatch.setattr(layout, "_layout", lambda header: read.append(header) or real(header))
    for title in ("a", "a much longer one"):
        path = tmp_path / f"{title}.safetensors"
        path.write_bytes(raw({"__metadata__": {"title": title}, "w": F32}, bytes(8)))
        shared, alone = read_header(path, known), read_header(path)
        assert dict(shared.tensors) == dict(alone.tensors)
        assert shared.fingerprint == alone.fingerprint
        assert shared.metadata == {"title": title}
        assert (shared.tensors["w"].start, shared.tensors["w"].end) == (shared.body, shared.size)
    assert len(read) == 3  # once for both, and each alone


def test_a_shared_layout_is_held_against_the_size_of_each_file(tmp_path):
    known = Layouts()
    (tmp_path / "whole.safetensors").write_bytes(raw({"w": F32}, bytes(8)))
    (tmp_path / "cut.safetensors").write_bytes(raw({"w": F32}, bytes(7)))
    read_header(tmp_path / "whole.safetensors", known)
    with pytest.raises(ModelFileError, match="is cut short"):
        read_header(tmp_path / "cut.safetensors", known)


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_files_are_told_the_same_beside_good_ones(tmp_path, what):
    path, known = tmp_path / "model.safetensors", Layouts()
    path.write_bytes(raw({"__metadata__": {}, "a": F32}, bytes(8)))
    read_header(path, known)
    path.write_bytes(HOSTILE[what][0])
    for layouts in (None, known, known):
        with pytest.raises(ModelFileError, match=r"^model\.safetensors: ") as caught:
            read_header(path, layouts)
        assert HOSTILE[what][1] in str(caught.value)


def test_no_metadata_may_be_said_as_null():
    for text in (
        b'{"__metadata__":null}',
        b'{"__metadata__":null,"w":' + json.dumps(F32).encode() + b"}",
    ):
        metadata, layout = read_layout(text)
        assert metadata == {} and set(layout.tensors) <= {"w"}


@pytest.mark.parametrize(("text", "said"), [
    (b'{"__metadata__":{"a":"b"},"w":{},"__metadata__":{}}', "'__metadata__' twice"),
    (b'{"__metadata__":{"a":"b"},}', "is not JSON"),
    (b'{"__metadata__":{"a":"b"} "w":{}}', "is not JSON"),
    (b'{"__metadata__":{"a":"b","a":"c"}}', "'a' twice"),
    (b'{"__metadata__":3}', "not texts by name"),
    (b'{"__metadata__":{}', "is not JSON"),
    (b'{"w":{"dtype":"F32","dtype":"F16"}}', "'dtype' twice"),
    (b'{' + b'"w":{},' * (MOST + 1) + b'"v":1}', "more than 50000 entries"),
])  # fmt: skip
def test_a_text_that_two_readers_may_read_differently_is_refused(text, said):
    for known in (None, Layouts()):
        with pytest.raises(ValueError, match=said):
            read_layout(text, known)


def test_metadata_may_stand_anywhere():
    last = json.dumps({"w": F32, "__metadata__": {"a": "b"}}).encode()
    shared = Layouts()
    for known in (None, shared, shared):
        for given in (text({"a": "b"}, w=F32), last):
            metadata, found = read_layout(given, known)
            assert metadata == {"a": "b"} and found.size == 8 and list(found.tensors) == ["w"]


def test_few_layouts_are_kept():
    known = Layouts(kept=2)
    for name in ("a", "b", "a", "c"):
        read_layout(text({}, **{name: F32}), known)
    kept = {name for made in known._known.values() for name in made.tensors}
    assert kept == {"a", "c"}
