"""One picture's calls, written out from a real run: who yields what through whom, and what comes back.

`python -m tests.engine.trace` writes them into docs/architecture.md; `test_trace` compares.
"""

from __future__ import annotations

import inspect
import re
import sys
import tempfile
import textwrap
from collections.abc import Generator
from dataclasses import MISSING, fields, is_dataclass
from functools import wraps
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from tests.networks import tiny_folder
from webui.catalog.checkpoints import list_models
from webui.catalog.model_folders import AdapterFiles
from webui.engine import picture_run
from webui.engine.engine import Engine, EngineOptions
from webui.engine.samplers import SAMPLERS
from webui.engine.schedules import SCHEDULES
from webui.engine.tasks import TASKS
from webui.engine.upscalers import UPSCALERS
from webui.types import Finished, GenerationRequest, Model, Parts, Row, SavedPicture

PAGE = Path(__file__).parent.parent.parent / "docs" / "architecture.md"
BLOCK = re.compile(r"(?<=<!-- trace -->\n```\n).*?(?=```\n<!-- /trace -->)", re.DOTALL)
REQUEST = GenerationRequest(
    task="txt2img",
    model="tiny",
    prompt="a cat <lora:ink:0.8>",
    sampler_name="Euler a",
    steps=2,
    cfg_scale=7.0,
    width=64,
    height=64,
    seed=1,
)
NAME, WIDTH = 15, 118  # characters of the longest name, and of a line


def trace(models: Path, folder: Path) -> str:
    """The calls of `REQUEST`'s picture, made with the model "tiny" of a models folder and a LoRA that is written into
    `folder`."""
    layer = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q"
    (folder / "Lora").mkdir()
    save_file(
        {f"{layer}.lora_up.weight": torch.ones(64, 1), f"{layer}.lora_down.weight": torch.ones(1, 64)},
        folder / "Lora" / "ink.safetensors",
    )  # fmt: skip
    engine = Engine(
        lambda: list_models([models]),
        Parts(tasks=TASKS, samplers=SAMPLERS, schedules=SCHEDULES, upscalers=UPSCALERS),
        lambda finished: _saved(folder, finished),
        EngineOptions(device="cpu", dtype="float32"),
        adapter_files=AdapterFiles([folder]),
    )
    lines: list[str] = []
    made = picture_run.finished_picture
    picture_run.finished_picture = _recorded(made, lines)
    try:
        engine.start()
        job = engine.submit(REQUEST)
        status = engine.status(job)
        while not status.ended:
            status = engine.wait(job, status.version, 1)
        assert status.state == "done", status.error
    finally:
        picture_run.finished_picture = made
        engine.stop()
    return "\n".join(lines) + "\n"


def _saved(folder: Path, finished: Finished) -> SavedPicture:
    return SavedPicture(folder / "unused.png", finished.seed, *finished.picture.size, "")


def _recorded(made: Any, lines: list[str]) -> Any:
    """`finished_picture`, whose calls and replies are written into `lines` as they reach the loop."""

    @wraps(made)
    def recorded(*given: Any, **named: Any) -> Generator[Any, Any, Any]:
        run, reply, number = made(*given, **named), None, 0
        try:
            while True:
                yields = _Yields()
                with yields:
                    call = run.send(reply)
                number += 1
                lines.extend(yields.told(number))
                reply = yield call
                lines.extend(_line("", "reply", _short(reply)))
        except StopIteration as stop:
            lines.extend(_line("", "returns", _short(stop.value[0])))
            return stop.value
        finally:
            run.close()

    return recorded


class _Yields:
    """What the generators yielded since the last reply, the innermost first, as the interpreter saw it: who made a
    value, the value, and who passed it on."""

    def __init__(self) -> None:
        self._found: list[tuple[str, str, list[str]]] = []
        self._last: Any = None

    def told(self, number: int) -> list[str]:
        lines = []
        for i, (name, value, passed) in enumerate(self._found):
            lines += _line("" if i else str(number), name, " > ".join([value, *passed]))
        return lines

    def __enter__(self) -> None:
        sys.setprofile(self._saw)

    def __exit__(self, *_: Any) -> None:
        sys.setprofile(None)

    def _saw(self, frame: Any, event: str, given: Any) -> None:
        if event != "return" or not frame.f_code.co_flags & inspect.CO_GENERATOR:
            return
        if not (_is_call(given) or _is_step(given)):
            return  # what it returned
        name = frame.f_code.co_name
        if given is self._last:
            self._found[-1][2].append(name)
        else:
            self._found.append((name, _short(given), []))
        self._last = given


def _is_call(given: Any) -> bool:
    """Whether it is a call, which is a frozen value of `webui.types.calls` that names its model or network."""
    kind = type(given)
    return is_dataclass(kind) and (
        kind.__name__.startswith(("Load", "Run", "Encode", "Decode")) or kind.__name__ == "Denoise"
    )


def _is_step(given: Any) -> bool:
    """Whether it is what a sampler yields: a latent and its noise level."""
    return isinstance(given, tuple) and len(given) >= 2 and isinstance(given[0], Tensor)


def _short(value: Any, deep: bool = True) -> str:
    """A value in few words: types, shapes, and numbers to three digits."""
    match value:
        case Tensor():
            return f"[{', '.join(map(str, value.shape))}]"
        case float():
            return f"{value:.3g}"
        case Model():
            return f"Model {value.name!r}"
        case Row():
            worn = "".join(f" {_short(patch, False)}" for patch in value.patches)
            return f"{value.role} {value.weight:g}{worn}"
        case tuple() if not deep and len(value) > 3:
            return f"{len(value)} values"
        case tuple():
            return f"({', '.join(_short(one, False) for one in value)})"
        case _ if not is_dataclass(value):
            return repr(value) if isinstance(value, str | int | None) else type(value).__name__
        case _ if not deep:
            return type(value).__name__
    told = []
    for field in fields(value):
        inner = getattr(value, field.name)
        default = field.default if field.default_factory is MISSING else field.default_factory()
        if not (isinstance(inner, type(default)) and _plain(inner) and inner == default):
            told.append(f"{field.name}={_short(inner, False)}")
    return f"{type(value).__name__}({', '.join(told)})"


def _plain(value: Any) -> bool:
    """Whether it may be compared: tensors in it would be compared number by number."""
    return not isinstance(value, Tensor) and not (isinstance(value, tuple) and value)


def _line(number: str, name: str, told: str) -> list[str]:
    """A line of the page's width with its continuations."""
    start = f"{number:>2}  {name:<{NAME}}  "
    return textwrap.wrap(
        told,
        WIDTH,
        initial_indent=start,
        subsequent_indent=" " * len(start),
        break_long_words=False,
        break_on_hyphens=False,
    )


def written(page: str, block: str) -> str:
    """The page with the block in the place of the one that it has."""
    assert BLOCK.search(page), "docs/architecture.md has lost its place for the trace"
    return BLOCK.sub(lambda _: block, page)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        tiny_folder(Path(place) / "Stable-diffusion" / "tiny")
        block = trace(Path(place), Path(place))
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8"), block), encoding="utf-8")
