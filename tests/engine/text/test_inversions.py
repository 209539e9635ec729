"""A word of a textual inversion is its vectors, from every kind of file, and the encoder is afterwards as it was."""

from __future__ import annotations

import copy
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel

from webui.engine.adapters.applying import applied
from webui.engine.adapters.deltas import Added
from webui.engine.adapters.files import LoadedAdapter
from webui.engine.adapters.merged_weights import MergedWeightCache
from webui.engine.adapters.names import Target
from webui.engine.part_cache import PartCache
from webui.engine.text.chunks import BEYOND, cut, weighted
from webui.engine.text.inversions import Inversion, embedded, read
from webui.engine.text.tokenizer import Tokenizer
from webui.engine.text.words import Words
from webui.errors import ModelFileError
from webui.prompt import parse
from webui.testing.models import tiny_tokenizer

VECTORS = torch.arange(24.0).reshape(3, 8)


def written(path: Path, kind: str) -> Path:
    match kind:
        case "a1111.safetensors":
            save_file({"emb_params": VECTORS}, path)
        case "diffusers.safetensors":
            save_file({"<it>": VECTORS}, path)
        case "a1111.pt":
            torch.save(
                {
                    "string_to_token": {"*": 265},
                    "string_to_param": {"*": VECTORS},
                    "name": "x",
                    "step": 9,
                },
                path,
            )
        case "original.pt":  # as the embedding manager of the paper's code keeps it
            words = torch.nn.ParameterDict({"*": torch.nn.Parameter(VECTORS)})
            kept = {"string_to_token": {"*": torch.tensor(265)}, "string_to_param": words}
            torch.save(kept, path)
        case "older.pt":  # a ParameterDict as PyTorch 1.12 pickled it
            words = torch.nn.ParameterDict()
            words.__dict__.update(_keys={"*": None}, **{"*": torch.nn.Parameter(VECTORS)})
            torch.save({"string_to_param": words}, path)
        case "diffusers.bin":
            torch.save({"<it>": VECTORS}, path)
    return path


@pytest.mark.parametrize(
    "kind",
    [
        *("a1111.safetensors", "diffusers.safetensors", "a1111.pt", "diffusers.bin"),
        *("original.pt", "older.pt"),
    ],
)
def test_every_kind_of_file_is_read(kind: str, tmp_path: Path) -> None:
    found = read(written(tmp_path / kind, kind), "it", [8])
    assert found.count == 3 and torch.equal(found.vectors[0], VECTORS)


def test_a_single_vector_and_two_encoders(tmp_path: Path) -> None:
    save_file({"<it>": VECTORS[0].clone()}, tmp_path / "one.safetensors")
    assert read(tmp_path / "one.safetensors", "it", [8]).count == 1
    both = {"clip_g": torch.ones(2, 12), "clip_l": torch.zeros(2, 8)}
    save_file(both, tmp_path / "xl.safetensors")
    found = read(tmp_path / "xl.safetensors", "it", [8, 12])
    assert [tuple(one.shape) for one in found.vectors] == [(2, 8), (2, 12)]


def test_what_does_not_fit_is_told_with_the_file(tmp_path: Path) -> None:
    path = written(tmp_path / "a1111.safetensors", "a1111.safetensors")
    with pytest.raises(
        ModelFileError, match=r"a1111\.safetensors: .* of width 8; this model's .* has 16"
    ):
        read(path, "it", [16])
    path.write_bytes(b"nothing")
    with pytest.raises(ModelFileError, match=r"a1111\.safetensors: .* no safetensors file"):
        read(path, "it", [8])
    save_file({"emb": torch.ones(2, 2, 2)}, path)
    with pytest.raises(ModelFileError, match="holds no textual inversion"):
        read(path, "it", [8])


class Bomb:
    def __reduce__(self) -> Any:
        return os.system, ("touch exploded",)


def test_a_pickle_that_runs_code_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"string_to_param": {"*": Bomb()}}, tmp_path / "bad.pt")
    (tmp_path / "worse.pt").write_bytes(pickle.dumps(Bomb()))
    for name in ("bad.pt", "worse.pt"):
        with pytest.raises(ModelFileError, match=name):
            read(tmp_path / name, "it", [8])
    assert not (tmp_path / "exploded").exists()


def test_words_become_numbers_beyond_the_vocabulary() -> None:
    tokenizer = Tokenizer(tiny_tokenizer())
    words = Words(tokenizer, [Inversion("my-cat", (VECTORS,)), Inversion("my", (VECTORS[:1],))])
    plain = tokenizer.tokens
    mine = [BEYOND, BEYOND + 1, BEYOND + 2]

    def numbers(text: str) -> list[int]:
        pieces = parse(text, ["my-cat", "my", "not"]).pieces(words.known)
        return [number for chunk in weighted(words, pieces, 75) for number in chunk.ids]

    assert numbers("a My-Cat, red") == [*plain("a"), *mine, *plain(", red")]
    assert numbers("my") == [BEYOND + 3]
    for text in ("mystery", "a not b"):  # part of a word; one that is not there for this model
        assert numbers(text) == plain(text)


def encoder() -> Any:
    torch.manual_seed(0)
    config = CLIPTextConfig(
        vocab_size=20,
        hidden_size=8,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
    )
    return CLIPTextModel(config).requires_grad_(False).eval()


def states(model: Any, ids: Tensor) -> Tensor:
    with torch.inference_mode():
        return model(input_ids=ids).last_hidden_state


def test_an_encoder_with_vectors_is_one_whose_table_holds_them() -> None:
    model = encoder()
    larger = copy.deepcopy(model)
    table = torch.nn.Embedding(23, 8)
    table.weight.data = torch.cat([model.get_input_embeddings().weight.data, VECTORS])
    larger.set_input_embeddings(table.requires_grad_(False))
    ids = torch.tensor([[1, BEYOND, BEYOND + 2, 5]])
    before = states(model, torch.tensor([[1, 2, 3]]))
    with embedded(model, VECTORS):
        ours = states(model, ids)
    torch.testing.assert_close(ours, states(larger, torch.tensor([[1, 20, 22, 5]])))
    assert torch.equal(states(model, torch.tensor([[1, 2, 3]])), before)
    with pytest.raises(IndexError):
        states(model, ids)


def test_a_word_of_several_vectors_is_not_cut_in_two() -> None:
    tokens = [1] * 74 + [BEYOND, BEYOND + 1, BEYOND + 2, 1]
    assert [len(piece) for piece in cut(tokens, 75)] == [74, 4]
    assert [len(piece) for piece in cut([*range(BEYOND, BEYOND + 80)], 75)] == [
        75,
        5,
    ]  # it fits nowhere
    assert [len(piece) for piece in cut([*range(100, 180)], 75)] == [75, 5]


def test_what_of_a_file_is_not_used_is_told_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "mine.safetensors"
    save_file(
        {"clip_l": VECTORS, "clip_g": torch.ones(3, 12), "clip_l_out": torch.ones(3, 8)}, path
    )
    found = read(path, "it", [8, 12])
    assert found.count == 3
    assert found.note == "mine.safetensors: 1 tensor not known here and not used: clip_l_out"
    save_file({"<a>": VECTORS, "<b>": torch.ones(3, 8), "step": torch.tensor([4])}, path)
    assert read(path, "it", [8]).note.endswith("1 tensor not known here and not used: <b>")
    save_file({"clip_l": VECTORS, "text_encoders_0": torch.ones(3, 8)}, path)
    with pytest.raises(ModelFileError, match="one text encoder twice"):
        read(path, "it", [8, 8])
    save_file({"clip_l": torch.ones(3, 2, 4)}, path)
    with pytest.raises(ModelFileError, match="holds no textual inversion"):
        read(path, "it", [4])


def test_a_changed_embedding_stays_changed_beside_words(tmp_path: Path) -> None:
    config = CLIPTextConfig(
        vocab_size=30,
        hidden_size=8,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
    )
    model = CLIPTextModel(config).requires_grad_(False)
    layer = model.get_input_embeddings()
    change = Added("difference", {"diff": torch.ones(30, 8)}, 1.0)
    adapter = LoadedAdapter(
        "m",
        1,
        "a",
        tmp_path,
        "",
        "",
        {Target("text_encoder", "embeddings.token_embedding"): change},
    )
    top = getattr(model, "text_model", model)
    with applied("text_encoder", top, ((adapter, 1.0),), MergedWeightCache(PartCache(1 << 30))):
        with embedded(model, VECTORS):
            told = layer(torch.tensor([3, BEYOND + 1]))
        again = layer(torch.tensor([3]))
    torch.testing.assert_close(told[0], layer.weight[3] + 1)
    torch.testing.assert_close(told[1], VECTORS[1])
    torch.testing.assert_close(again[0], layer.weight[3] + 1)
    torch.testing.assert_close(layer(torch.tensor([3]))[0], layer.weight[3])


@pytest.mark.parametrize(("name", "other"), [("style", "\u017ftyle"), ("ink", "\u0131nk")])
def test_a_word_that_only_resembles_a_name_is_a_plain_word(name: str, other: str) -> None:
    plain = Tokenizer(tiny_tokenizer())
    words = Words(plain, [Inversion(name, (VECTORS,))])
    (chunk,) = weighted(words, parse(f"{name} {other}", [name]).pieces(words.known), 75)
    assert chunk.ids == [*range(BEYOND, BEYOND + 3), *plain.tokens(other)]
