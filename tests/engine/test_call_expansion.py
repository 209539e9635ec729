"""A task with two models: each has its own VAE, and the infotext names the one that made the picture."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest
import torch

from webui.engine.call_expansion import Account, expanded
from webui.types import Decode, Denoise, Encode, LoadModel, LoadVae, Model, Row

BASE, FINER = (Model(name, 4, False, (0.1, 1.0)) for name in ("base", "finer"))
MODELS = {"base": BASE, "finer": FINER}
VAES = {"base": "base.vae.safetensors", "finer": ""}
LATENT = torch.zeros(4, 8, 8)


def seen(task: Generator[Any, Any, Any]) -> tuple[list[Any], Account]:
    """The calls that reach the engine, and the account."""
    account, calls, reply = Account(), [], None
    run = expanded(task, "automatic", account)
    try:
        while True:
            calls.append(run.send(reply))
            match calls[-1]:
                case LoadModel(name):
                    reply = MODELS[name]
                case LoadVae(model):
                    reply = VAES[model.name]
                case _:
                    reply = LATENT
    except StopIteration:
        return calls, account


def both(*calls: Any) -> Generator[Any, Any, None]:
    yield LoadModel("base")
    yield LoadModel("finer")
    for call in calls:
        assert (yield call) is LATENT


def asked(model: Model) -> Denoise:
    return Denoise(model, LATENT, 1.0, (Row(torch.zeros(77, 8), 1.0),))


def test_each_model_has_its_own_vae() -> None:
    pixels = torch.zeros(3, 64, 64)
    ways = [
        Decode(BASE, LATENT),
        Decode(FINER, LATENT),
        Encode(BASE, pixels),
        Encode(FINER, pixels),
    ]
    calls, _ = seen(both(*ways))
    assert [call.vae for call in calls[4:]] == ["base.vae.safetensors", ""] * 2


@pytest.mark.parametrize(
    ("calls", "model", "vae"),
    [
        ((asked(BASE), Decode(BASE, LATENT)), "base", "base.vae.safetensors"),
        ((asked(FINER), Decode(FINER, LATENT)), "finer", None),
        ((asked(BASE), asked(FINER), Decode(FINER, LATENT)), "base", None),
        ((asked(BASE), asked(FINER), Decode(BASE, LATENT)), "base", "base.vae.safetensors"),
        ((Decode(BASE, LATENT),), "base", "base.vae.safetensors"),
    ],
)
def test_the_picture_tells_the_model_that_sampled_and_the_vae_that_decoded(
    calls: tuple[Any, ...], model: str, vae: str | None
) -> None:
    _, account = seen(both(*calls))
    assert account.model is not None and account.model.name == model
    assert account.notes.get("VAE") == vae
    assert list(account.sampled) == [
        name for name in MODELS if any(c.model.name == name for c in calls if hasattr(c, "rows"))
    ]
