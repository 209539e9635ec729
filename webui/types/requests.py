"""A request: everything that one accepted job needs to know, frozen and complete."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from webui.errors import RequestError, Sentence
from webui.types.controls import (
    SEED_MAX,
    Choice,
    Control,
    Group,
    Mask,
    Number,
    Picture,
    Seed,
    Side,
    Switch,
    Text,
)
from webui.types.fields import declared, of
from webui.types.shapes import CROP, JUST_RESIZE, RESIZE_MODES, same_shape
from webui.types.values import has_picture, plain

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = [
    "DECLARED",
    "FIELDS",
    "FILLS",
    "GROUPS",
    "INPAINT",
    "PICTURES_MAX",
    "SAMPLING",
    "SIZE_STEP",
    "TOLD_BY_KEYS",
    "GenerationRequest",
]

PICTURES_MAX = 16
SIZE_STEP = 8
SEEDS = SEED_MAX - PICTURES_MAX  # the highest that each picture of a request can add its number to
FILLS = ("fill", "original", "latent noise", "latent nothing")  # A1111's numbers 0 to 3

FROM_PICTURE = Group("Picture", open=True, tasks=("img2img",))
INPAINT = Group("Inpainting", open=True, tasks=("inpaint",))
SIZE = Group("Size and number", open=True)
SAMPLING = Group("Sampling")
SEED = Group("Seed", open=True)
TOLD_BY_KEYS = frozenset(("txt2img", "img2img", "inpaint"))  # tasks that an infotext need not name
GROUPS = (FROM_PICTURE, INPAINT, SIZE, SAMPLING, SEED)  # as the page has them


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationRequest:
    """One accepted request, complete: no value is left open and nothing reads settings after it.

    Its fields are declared here and nowhere else (`webui.types.fields`); labels, ranges and keys are A1111's. Picture
    `i` of `batch_size` has seed `seed + i`; with a `subseed_strength` above 0 all have `seed`, and picture `i` has that
    much of the noise of `subseed + i` in it. `clip_skip` is how many layers from the text encoder's end are read: 1 is
    the last. `vae` is "automatic" (the one that goes with the model), "none" (the one inside it) or a file's name in
    models/VAE. `missing` is what a LoRA's or hypernetwork's tag does whose file is not here: "refuse" the request, or
    "warn": the picture is made without it and says so. `resize_mode` is what becomes of a picture of another shape
    (`webui.types.shapes`); a request that was kept without it stretches. `image` is RGB, `mask` is L (white = repaint)
    and of the image's size. Names in `model`, `sampler_name` and `scheduler` are the registries' own spelling. `extras`
    are the values of extensions' controls by name: plain JSON and pictures, whatever was given (a tuple is a list).

    A value out of range raises `RequestError` with its field; `dataclasses.replace` checks again.
    """

    task: str
    image: Image | None = of(Picture(label="Picture", required=True), tasks=("img2img", "inpaint"))
    mask: Image | None = of(
        Mask(label="Mask", over="image", info="White is repainted", required=True),
        tasks=("inpaint",),
    )
    prompt: str = of(
        Text(
            label="Prompt",
            info="What the picture shows",
            lines=3,
            prompt=True,
            default="",
            required=True,
        )
    )
    negative_prompt: str = of(
        Text(
            label="Negative prompt",
            info="What it should not show",
            lines=2,
            prompt=True,
            default="",
        )
    )
    model: str = of(
        Choice(label="Model", source="models", infotext="Model", shared=True, order=-1),
        group=SAMPLING,
    )
    sampler_name: str = of(
        Choice(
            label="Sampling method",
            source="samplers",
            infotext="Sampler",
            short="sampler",
            order=-1,
        ),
        "DPM++ 2M",
        group=SAMPLING,
    )
    scheduler: str = of(
        Choice(
            label="Schedule type",
            info="Automatic is the method's usual one",
            source="schedules",
            infotext="Schedule type",
            short="schedule",
        ),
        "automatic",
        group=SAMPLING,
    )
    steps: int = of(
        Number(
            label="Sampling steps",
            minimum=1,
            maximum=150,
            whole=True,
            infotext="Steps",
            order=-1,
        ),
        20,
        group=SAMPLING,
    )
    cfg_scale: float = of(
        Number(
            label="CFG scale",
            info="How closely to follow the prompt; 1 takes half the time",
            minimum=0,
            maximum=30,
            step=0.5,
            infotext="CFG scale",
        ),
        7.0,
        group=SAMPLING,
    )
    width: int = of(
        Side(label="Width", minimum=64, maximum=2048, step=SIZE_STEP, infotext="Size"),
        512,
        group=SIZE,
    )
    height: int = of(
        Side(
            label="Height",
            minimum=64,
            maximum=2048,
            step=SIZE_STEP,
            infotext="Size",
            beside="width",
        ),
        512,
        group=SIZE,
    )
    seed: int = of(
        Seed(
            label="Seed",
            info="-1 draws a new one each time",
            default=-1,
            maximum=SEEDS,
            infotext="Seed",
        ),
        group=SEED,
    )
    batch_size: int = of(
        Number(
            label="Number of pictures",
            info="Each with the next seed",
            minimum=1,
            maximum=PICTURES_MAX,
            whole=True,
            default=1,
        ),
        group=SIZE,
    )
    denoising_strength: float = of(
        Number(
            label="Denoising strength",
            info="0 keeps the picture, 1 ignores it",
            minimum=0,
            maximum=1,
            step=0.01,
            infotext="Denoising strength",
            when="image",
        ),
        0.75,
        group=(FROM_PICTURE, INPAINT),
    )
    mask_blur: int = of(
        Number(
            label="Mask blur",
            info="Pixels over which old and new are blended",
            minimum=0,
            maximum=64,
            whole=True,
            default=4,
            infotext="Mask blur",
            when="mask",
        ),
        group=INPAINT,
    )
    inpainting_fill: int = of(
        Choice(
            label="Masked content",
            info="What the masked part starts from",
            choices=tuple((label.capitalize(), value) for value, label in enumerate(FILLS)),
            default=1,
            infotext="Masked content",
            omit=1,
            always=True,
            when="mask",
            texts=tuple((label, value) for value, label in enumerate(FILLS)),
        ),
        group=INPAINT,
    )
    inpaint_full_res: bool = of(
        Choice(
            label="Inpaint area",
            choices=(("Whole picture", False), ("Only masked", True)),
            default=False,
            infotext="Inpaint area",
            omit=False,
            always=True,
            when="mask",
            texts=(("Whole picture", False), ("Only masked", True)),
        ),
        group=INPAINT,
    )
    inpaint_full_res_padding: int = of(
        Number(
            label="Only masked padding, pixels",
            minimum=0,
            maximum=256,
            step=4,
            whole=True,
            default=32,
            infotext="Masked area padding",
            omit=32,
            always=True,
            when="inpaint_full_res",
        ),
        group=INPAINT,
    )
    inpainting_mask_invert: bool = of(
        Switch(
            label="Repaint what is not masked",
            default=False,
            infotext="Mask mode",
            omit=False,
            when="mask",
            texts=(("Inpaint not masked", True), ("Inpaint masked", False)),
        ),
        group=INPAINT,
    )
    vae: str = of(
        Choice(
            label="VAE",
            info="Automatic is the one beside the model's file, else its own",
            choices=(("Automatic", "automatic"), ("None", "none")),
            source="vaes",
            default="automatic",
            infotext="VAE",
            omit="automatic",
            order=1,
        ),
        group=SAMPLING,
    )
    clip_skip: int = of(
        Number(
            label="Clip skip",
            info="Read the text encoder this many layers from its end; 1 is its last",
            minimum=1,
            maximum=12,
            whole=True,
            default=1,
            infotext="Clip skip",
            omit=1,
        ),
        group=SAMPLING,
    )
    subseed: int = of(
        Seed(
            label="Variation seed",
            info="Whose noise is mixed in; -1 draws a new one each time",
            default=-1,
            maximum=SEEDS,
            infotext="Variation seed",
            omit=-1,
            when="subseed_strength",
            advanced="Variation",
        ),
        group=SEED,
    )
    subseed_strength: float = of(
        Number(
            label="Variation strength",
            info="0 is the seed's own picture, 1 the variation seed's",
            minimum=0,
            maximum=1,
            step=0.01,
            default=0.0,
            infotext="Variation seed strength",
            omit=0.0,
            advanced="Variation",
        ),
        group=SEED,
    )
    missing: str = of(
        Choice(
            label="Missing LoRAs",
            info="When a prompt names a LoRA or hypernetwork that is not here",
            choices=(("Refuse", "refuse"), ("Go without", "warn")),
            default="refuse",
        ),
        group=SAMPLING,
    )
    resize_mode: int = of(
        Choice(
            label="Resize mode",
            info="Where the picture's shape is not the size's",
            choices=tuple((label, value) for value, label in enumerate(RESIZE_MODES)),
            default=CROP,
            infotext="Resize mode",
            omit=JUST_RESIZE,
            always=True,
            when="image",
            texts=tuple((label, value) for value, label in enumerate(RESIZE_MODES)),
        ),
        group=(FROM_PICTURE, INPAINT),
        before=JUST_RESIZE,
    )
    extras: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        TASK.check(self.task)
        for name, control in FIELDS.items():
            value = getattr(self, name)
            if value is not None or name not in OPTIONAL:
                control.check(value)
        object.__setattr__(self, "extras", MappingProxyType(_extras(self.extras)))

    def without_pictures(self) -> GenerationRequest:
        """The same request, light enough to be kept: pictures, those in `extras` too, are None."""
        extras = {k: None if has_picture(v) else v for k, v in self.extras.items()}
        pictures: dict[str, Any] = {
            n: None for n, c in FIELDS.items() if isinstance(c, Picture | Mask)
        }
        return replace(self, **pictures, extras=MappingProxyType(extras))

    def value_of(self, control: str) -> Any:
        """The value of a control: the field of that name, or what `extras` has; None where nobody gave one."""
        own = control in self.__dataclass_fields__ and control != "extras"
        return getattr(self, control) if own else self.extras.get(control)

    def told(self, index: int, controls: frozenset[str] | None = None) -> dict[str, Any]:
        """What the infotext of picture `index` tells of the fields, by its keys, in the order of their declaration.
        A built-in task tells of those that it has; another one, where it is known which `controls` it has, leaves out
        those that would mean something only if it used them."""
        found = {}
        for name, one in DECLARED.items():
            control, value = one.control, getattr(self, name)
            own = self.task not in TOLD_BY_KEYS or one.belongs(self.task) or control.when
            if control.when and controls is not None and name not in controls:
                continue
            if not own or not control.infotext or isinstance(control, Picture | Mask):
                continue
            if self._means_something(control) and (name != "resize_mode" or self.reshapes):
                of_picture = {"seed": self.seed_of, "subseed": self.subseed_of}.get(name)
                found[control.infotext] = control.told(of_picture(index) if of_picture else value)
        return {key: value for key, value in found.items() if value is not None}

    def _means_something(self, control: Control) -> bool:
        above = FIELDS.get(control.when)
        return above is None or (bool(getattr(self, above.name)) and self._means_something(above))

    @property
    def reshapes(self) -> bool:
        """Whether the picture, or the part of it that is made, has another shape than the size."""
        if self.image is None:
            return False
        from webui.types.masks import part_of  # with Pillow, which whoever has a picture has loaded

        return not same_shape(part_of(self), (self.width, self.height))

    def seed_of(self, index: int) -> int:
        """The seed of picture `index`."""
        return self.seed if self.subseed_strength else self.seed + index

    def subseed_of(self, index: int) -> int:
        """The seed of the noise that is mixed into that of picture `index`."""
        return self.subseed + index


def _extras(given: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(given, Mapping):
        raise RequestError(
            Sentence("extras {given}: give a JSON object", given=repr(given)), "extras"
        )
    found = {}
    for name, value in given.items():
        try:
            found[name] = plain(value)
        except ValueError as wrong:
            raise RequestError(
                Sentence("{name} holds {wrong}", name=name, wrong=wrong), name
            ) from None
    return found


DECLARED = declared(GenerationRequest)
# The controls of a request's fields by name.
FIELDS = MappingProxyType({name: one.control for name, one in DECLARED.items()})
OPTIONAL = frozenset(one.name for one in fields(GenerationRequest) if one.default is None)
TASK = Text(name="task", label="Task")
