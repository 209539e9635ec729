"""ControlNet: a picture says where things go, the prompt says what they are.

The networks are the files under `models/ControlNet` (`networks.py`); what they are shown is made of the user's picture
without any further network (`preprocessors.py`). The engine runs a ControlNet once a UNet call, for all rows of all
pictures that use it, so requests with different pictures and weights share their calls.

Zhang, Rao and Agrawala 2023, "Adding Conditional Control to Text-to-Image Diffusion Models", arXiv 2302.05543.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from PIL import Image, ImageOps

from webui.api import (
    Choice,
    Conditioner,
    ControlNetwork,
    LoadNetwork,
    ModelFileError,
    Number,
    Picture,
    RequestError,
    Sentence,
    hookimpl,
)

from .networks import build, found, widths
from .preprocessors import blur, canny, tile

if TYPE_CHECKING:
    from pathlib import Path

    from webui.api import Condition, Control, GenerationRequest, Places, Studio, TaskRun

__version__ = "1.0"
TITLE = "ControlNet"
NEEDS_API = ">=1.0,<2"


@hookimpl
def register_conditioners(places: Places) -> list[Conditioner]:
    asked = controls(list(found(places)))
    return [Conditioner("controlnet", partial(prepare, places), asked, label="ControlNet")]


@hookimpl
def change_request(request: GenerationRequest, places: Places) -> GenerationRequest | None:
    """Puts a name in the place of "first in the folder", and refuses what cannot work before it is queued."""
    extras = request.extras
    if extras.get("controlnet_image") is None:
        return None
    if extras["controlnet_start"] >= extras["controlnet_end"]:
        raise RequestError(
            Sentence("controlnet_start: use less than controlnet_end"), "controlnet_start"
        )
    files = found(places)
    if extras["controlnet_model"]:
        if (path := files.get(extras["controlnet_model"])) is not None:
            _must_work(places, path)
        return None
    if not files:
        raise RequestError(
            Sentence("controlnet_model: put one into models/ControlNet"), "controlnet_model"
        )
    name, path = next(iter(files.items()))
    _must_work(places, path)
    return replace(request, extras={**extras, "controlnet_model": name})


def _must_work(places: Places, path: Path) -> None:
    """Raises `RequestError` for a file that is no ControlNet, or none that works here."""
    try:
        if what := places.wrong("controlnet", path):
            raise ModelFileError(Sentence("{file}: {what}", file=path.name, what=what))
        widths(path)
    except ModelFileError as fault:
        raise RequestError(
            Sentence("controlnet_model: {why}", why=fault), "controlnet_model"
        ) from fault


def controls(names: list[str]) -> tuple[Control, ...]:
    """`names` are the networks there are. The first stands in for none, so that giving a picture is enough."""
    return (
        Picture(name="controlnet_image", label="ControlNet picture", info="None is off"),
        Choice(
            name="controlnet_model",
            label="ControlNet model",
            choices=(("first in the folder", ""), *((name, name) for name in names)),
            default="",
            info="Files in models/ControlNet when Easel started",
        ),
        Choice(
            name="controlnet_preprocessor",
            label="ControlNet preprocessor",
            choices=tuple((name, name) for name in ("none", "canny", "blur", "tile")),
            default="none",
            info="What is made of the picture before the model sees it: edges, or a coarser picture",
        ),
        Number(
            name="controlnet_low",
            label="Canny low threshold",
            minimum=1,
            maximum=1000,
            default=100.0,
            info="Edges weaker than this are never drawn",
        ),
        Number(
            name="controlnet_high",
            label="Canny high threshold",
            minimum=1,
            maximum=1000,
            default=200.0,
            info="Edges stronger than this are always drawn; those in between if they touch one",
        ),
        Number(
            name="controlnet_weight",
            label="ControlNet weight",
            minimum=0,
            maximum=2,
            step=0.05,
            default=1.0,
        ),
        Number(
            name="controlnet_start",
            label="ControlNet start",
            minimum=0,
            maximum=1,
            step=0.01,
            default=0.0,
            info="The part of the steps after which it begins",
        ),
        Number(
            name="controlnet_end",
            label="ControlNet end",
            minimum=0,
            maximum=1,
            step=0.01,
            default=1.0,
        ),
    )


def prepare(
    places: Places, request: GenerationRequest, studio: Studio, cond: Condition
) -> TaskRun | None:
    """Nothing without a picture or with weight 0, else a task that adds the network."""
    extras = request.extras
    if extras.get("controlnet_image") is None or extras["controlnet_weight"] == 0:
        return None
    files = found(places)
    if extras["controlnet_model"] not in files:
        known = ", ".join(files) or Sentence("nothing yet: put files into models/ControlNet")
        raise RequestError(
            Sentence(
                "controlnet_model {extras}: use {known}",
                extras=repr(extras["controlnet_model"]),
                known=known,
            ),
            "controlnet_model",
        )
    return added(files[extras["controlnet_model"]], request, studio, cond)


def added(path: Path, request: GenerationRequest, studio: Studio, cond: Condition) -> TaskRun:
    """A task: `cond` with the network of `path`, which is shown the request's picture."""
    channels, context_dim = widths(path)
    model = cond.model
    if (channels, context_dim) != (model.latent_channels, model.context_dim):
        raise RequestError(
            Sentence(
                "controlnet_model {file} is for models with {channels} latent channels "
                "and texts of width {context_dim}, but {model} has {latent_channels} "
                "and {context_dim2}: use one of the same family",
                file=repr(path.name),
                channels=channels,
                context_dim=context_dim,
                model=repr(model.name),
                latent_channels=model.latent_channels,
                context_dim2=model.context_dim,
            ),
            "controlnet_model",
        )
    network = yield LoadNetwork("controlnet", str(path), partial(build, path))
    hint = (studio.pixels(shown(request.extras, cond.size)) + 1) / 2  # [3, H, W] in 0..1
    control = ControlNetwork(
        network,
        {"hint": hint},
        weight=request.extras["controlnet_weight"],
        start=request.extras["controlnet_start"],
        end=request.extras["controlnet_end"],
    )
    return replace(cond, control_networks=(*cond.control_networks, control))


def shown(extras: Mapping[str, object], size: tuple[int, int]) -> Image.Image:
    """What the network is shown: the user's picture cut and brought to `size`, then preprocessed."""
    picture = extras["controlnet_image"].convert("RGB")
    picture = ImageOps.fit(picture, size, Image.Resampling.LANCZOS)
    match extras["controlnet_preprocessor"]:
        case "canny":
            return canny(picture, extras["controlnet_low"], extras["controlnet_high"])
        case "blur":
            return blur(picture)
        case "tile":
            return tile(picture)
    return picture
