"""What is refused before it is queued: texts that are too long, weights and tags that nobody can mean."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from tests.engine.conftest import request
from webui.catalog.model_folders import AdapterFiles
from webui.engine import call_expansion, engine, picture_run, postprocessing
from webui.engine.accepting import accept_prompts
from webui.engine.runner import Runner
from webui.engine.text import encoder, inversion_cache
from webui.engine.text.clip_text_model import ClipTextModel
from webui.engine.text.tokenizer import Tokenizer
from webui.errors import RequestError
from webui.prompt import Prompt, parse
from webui.testing.models import tiny_tokenizer
from webui.types import EncodeText

Accept = Callable[..., None]


@pytest.fixture(scope="module")
def accept(tmp_path_factory: pytest.TempPathFactory) -> Accept:
    """Checks texts as prompts of at most four chunks; `far` is an embedding of 75 vectors."""
    models = tmp_path_factory.mktemp("models")
    (models / "embeddings").mkdir()
    save_file({"emb_params": torch.zeros(75, 4)}, models / "embeddings" / "Far.safetensors")
    (models / "Lora").mkdir()
    save_file({"x": torch.zeros(1)}, models / "Lora" / "style.safetensors")
    tokenizer = Tokenizer(tiny_tokenizer())

    def check(prompt: str, name: str = "prompt", missing: str = "refuse", most: int = 4) -> None:
        files = AdapterFiles([models])
        parsed = parse(prompt, files.embeddings())
        accept_prompts({name: parsed}, missing, files, most, lambda: tokenizer)

    return check


@pytest.mark.parametrize("name", ["prompt", "negative_prompt", "morph_to"])
@pytest.mark.parametrize(
    ("prompt", "chunks"),
    [
        (" BREAK ".join(["cat"] * 5), 5),
        ("BREAK" + " BREAK" * 2_489, 2_491),
        (" ".join(["cat"] * 301), 5),
        ("(" + "red, " * 400 + ":1.2)", 11),
        ("cat far, FAR (far:1.1) far", 6),
    ],
)
def test_a_text_of_too_many_chunks_is_refused_with_their_number(
    accept: Accept, name: str, prompt: str, chunks: int
) -> None:
    says = rf"^{name}: {chunks} chunks of 75 tokens; use at most 4 \(the setting max_chunks\)$"
    with pytest.raises(RequestError, match=says) as refused:
        accept(prompt, name)
    assert refused.value.field == name
    accept(prompt, name, most=chunks)


@pytest.mark.parametrize(
    "prompt",
    [
        "",
        " ".join(["cat"] * 300),
        "a BREAK b BREAK c BREAK d",
        "farther far far far",
        "(" * 900,
    ],
)
def test_a_text_of_as_many_as_may_be_is_not(accept: Accept, prompt: str) -> None:
    accept(prompt)


def test_where_the_length_tells_no_tokenizer_is_asked(tmp_path: Path) -> None:
    """It may have to be loaded."""

    def tokenizer() -> Tokenizer:
        raise AssertionError("asked for")

    accept_prompts(
        {"prompt": parse("a cat, " * 200)}, "refuse", AdapterFiles([tmp_path]), 32, tokenizer
    )


@pytest.mark.parametrize("name", ["prompt", "negative_prompt"])
@pytest.mark.parametrize(
    "prompt", [f"(cat:{'9' * 47})", f"(cat:{'9' * 400})", "((cat:900):-2)", "[(cat:1e9)](cat:1001)"]
)
def test_a_weight_that_is_too_large_is_told_as_such(accept: Accept, prompt: str, name: str) -> None:
    with pytest.raises(
        RequestError, match=rf"^{name}: the weight of “cat” is too large; use -1000 to"
    ):
        accept(prompt, name)


def test_weights_that_people_mean_are_taken(accept: Accept) -> None:
    for prompt in ("(cat:1000) (dog:-1000)", "(" * 64 + "cat", "(cat:1e9)", "[" * 70 + "cat"):
        accept(prompt)


@pytest.mark.parametrize("name", ["prompt", "morph_to"])
def test_tags_of_files_that_are_not_here_are_refused_unless_that_is_wanted(
    accept: Accept, name: str
) -> None:
    for prompt, says in (
        (
            "<lora:stile:1>",
            "<lora:stile>: there is no such file in models/Lora; did you mean 'style'",
        ),
        ("<hypernet:x>", "<hypernet:x>: there is no such file in models/hypernetworks"),
        ("<lora::1>", "<lora::1> is not understood"),
        ("<lora:style:1e9>", "the strength 1e9 is too large"),
    ):
        with pytest.raises(RequestError, match=says) as refused:
            accept(prompt, name)
        assert refused.value.field == name
        accept(prompt, name, missing="warn")
        accept(prompt, "negative_prompt")  # where no tag does anything
    accept("<lora:style:1:lbw=1,0>", name)


def test_a_prompt_is_no_list_of_files(accept: Accept) -> None:
    many = "".join(f"<lora:{number}>" for number in range(101))
    for missing in ("refuse", "warn"):
        with pytest.raises(RequestError, match=r"^prompt: 101 tags; use at most 100"):
            accept(many, missing=missing)


# --- in the engine --------------------------------------------------------------------------------


def test_the_engine_refuses_what_a_change_made_too_long(start: Any) -> None:
    bench = start(
        change=lambda asked: replace(asked, prompt=asked.prompt * 3), max_chunks=lambda: 2
    )
    with pytest.raises(RequestError, match=r"^prompt: 4 chunks of 75 tokens; use at most 2"):
        bench.engine.submit(request(prompt="a cat BREAK "))
    with pytest.raises(RequestError, match=r"^negative_prompt: 3 chunks"):
        bench.engine.submit(request(prompt="", negative_prompt="a BREAK b BREAK c"))
    assert not bench.engine.jobs()


def test_what_does_nothing_is_told_when_the_request_is_accepted(start: Any) -> None:
    """Before any picture is made: of prompts as extensions changed them, and again of a repeated job."""
    engine = start().engine
    asked = replace(
        request(prompt="a cat <lora:gone:0.5:lbw=1>"), missing="warn", negative_prompt="<lora:x>"
    )
    job = engine.submit(asked)
    told = (
        "<lora:gone:0.5:lbw=1>: “lbw=1” is not known here and does nothing",
        "<lora:x> in the negative prompt does nothing; write it into the prompt.",
    )
    assert engine.status(job).notes == told
    assert engine.status(engine.repeat(job)).notes == told
    assert engine.status(engine.submit(request(prompt="a cat"))).notes == ()


def test_a_prompt_is_parsed_once_and_after_it_was_changed(
    start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever reads it, however many pictures are made of it."""
    parsed: list[str] = []

    def counted(text: str, names: Any = ()) -> Prompt:
        parsed.append(text)
        return parse(text, names)

    for module in (engine, picture_run, postprocessing, call_expansion, inversion_cache, encoder):
        monkeypatch.setattr(module, "parse", counted)
    bench = start(change=lambda asked: replace(asked, prompt=asked.prompt.replace("{x}", "cat")))
    job = bench.engine.submit(
        request(prompt="a ({x}:1.2)", negative_prompt="dog", batch_size=3, steps=1)
    )
    assert bench.end(job).state == "done"
    read = [text for text in parsed if text]  # beside the empty one that models are tried with
    assert read == ["a (cat:1.2)", "dog"]


def test_the_steps_of_others_go_on_between_the_slices_of_a_long_text(
    start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    encode_on = Runner.encode_on

    def encoded(self: Runner, call: EncodeText, begun: Any) -> Any:
        if "long" in str(call.prompt):
            made.append("slice")
        return encode_on(self, call, begun)

    monkeypatch.setattr(Runner, "encode_on", encoded)
    bench = start(
        max_chunks=lambda: 1000,
        begun=False,
        called=lambda model, rows, seconds: made.append("Denoise"),
    )
    long = bench.engine.submit(request(prompt=" BREAK ".join(f"long {n}" for n in range(60))))
    short = bench.engine.submit(request(prompt="a cat", steps=6))
    bench.engine.start()
    for job in (short, long):
        assert bench.end(job).state == "done"
    slices = [place for place, what in enumerate(made) if what == "slice"]
    between = made[slices[0] : slices[-1]]
    assert len(slices) == 8 and between.count("Denoise") >= 6


def test_pictures_of_one_long_text_encode_it_once(
    start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[int] = []
    states = ClipTextModel.states

    def counted(self: ClipTextModel, ids: Any, *given: Any) -> Any:
        called.append(len(ids))
        return states(self, ids, *given)

    monkeypatch.setattr(ClipTextModel, "states", counted)
    bench = start()
    job = bench.engine.submit(
        request(prompt=" BREAK ".join(f"x {n}" for n in range(20)), batch_size=3, steps=1)
    )
    assert bench.end(job).state == "done"
    assert called == [8, 8, 5]  # twenty chunks, and the empty one that fills up the other side
