"""The families of models: what is in their files, and how their networks are spoken to. Knows no torch and no file.

The one table that everybody asks: which family a file is of is told by `formats`, its networks are built and called by
the engine's half (`webui.engine.families`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from webui.errors import EaselError, Sentence

__all__ = [
    "FAMILIES",
    "OFFERED",
    "SD1",
    "SD2",
    "SD3",
    "SDXL",
    "SDXL_REFINER",
    "THOSE_THAT_LOAD",
    "Family",
    "family",
]

PAIRS = ("original", "crop", "target")  # fields of `SizeConditioning` that are two numbers


@dataclass(frozen=True, slots=True)
class Family:
    """A family of models.

    `key` stands in `ModelCard.kind`, `name` is what people call it. `network` is the part that predicts: "unet" or
    "transformer". `texts` are its text encoders, whose states stand side by side in that order; `text_width` is the
    width of that in the published models. The last `skip_layers` of them are not read, and what is read goes through
    the final layer norm if `final_norm`. `pooled`: the network also gets what stands for a whole text; `sizes` are the
    fields of `SizeConditioning` that it is told. `zeros`: an empty negative prompt may count as zeros.

    `prediction` is what its networks predict unless a file says otherwise, of `predictions`; None where that has to be
    found out. `side` is how wide and high the published models' pictures are, in pixels; `refines`: they work out
    another model's pictures. `scheduler` is the kind of config that its noise levels are in (see `formats.configs`).
    `latent_channels` are those of the published VAEs, `wide_vae` says that their `force_upcast` is meant. `offered`:
    models are listed and loaded; those of other families are refused with a sentence.
    """

    key: str
    name: str
    texts: tuple[str, ...]
    text_width: int
    network: str = "unet"
    skip_layers: int = 0
    final_norm: bool = True
    pooled: bool = False
    sizes: tuple[str, ...] = ()
    zeros: bool = False
    prediction: str | None = "epsilon"
    predictions: tuple[str, ...] = ("epsilon", "v_prediction", "sample")
    scheduler: str = "scheduler"
    latent_channels: int = 4
    wide_vae: bool = False
    side: int = 1024
    refines: bool = False
    offered: bool = True

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts of a whole model, the network that predicts first."""
        return (self.network, "vae", *self.texts)

    @property
    def size_count(self) -> int:
        """How many numbers about the picture the network is told."""
        return sum(2 if field in PAIRS else 1 for field in self.sizes)

    def called(self, text_width: int) -> str:
        """The name of a model of this family whose network reads texts of that width."""
        if self.pooled or text_width == self.text_width:  # XL's parts alone tell what it is
            return self.name
        return f"{self.name} kind"


SD1 = Family("sd1", "Stable Diffusion 1", ("text_encoder",), 768, side=512)
SD2 = Family("sd2", "Stable Diffusion 2", ("text_encoder",), 1024, prediction=None, side=768)
SDXL = Family(
    "sdxl",
    "Stable Diffusion XL",
    ("text_encoder", "text_encoder_2"),
    2048,
    skip_layers=1,
    final_norm=False,
    pooled=True,
    sizes=("original", "crop", "target"),
    zeros=True,
    wide_vae=True,
)
SDXL_REFINER = Family(
    "sdxl-refiner",
    "Stable Diffusion XL refiner",
    ("text_encoder_2",),
    1280,
    skip_layers=1,
    final_norm=False,
    pooled=True,
    sizes=("original", "crop", "aesthetic"),
    zeros=True,
    wide_vae=True,
    refines=True,
)
SD3 = Family(
    "sd3",
    "Stable Diffusion 3",
    (),  # its texts are handed in as they are; CLIP and T5 side by side are nobody's yet
    4096,
    network="transformer",
    pooled=True,
    prediction="flow",
    predictions=("flow",),
    scheduler="flow_scheduler",
    latent_channels=16,
    offered=False,
)
FAMILIES: Mapping[str, Family] = MappingProxyType(
    {one.key: one for one in (SD1, SD2, SDXL, SDXL_REFINER, SD3)}
)
"""Every family by its key. One that is not `offered` can be built and run by whoever asks for it by its key."""
OFFERED = tuple(one for one in FAMILIES.values() if one.offered)


def _listed(names: list[str]) -> str:
    """ "Stable Diffusion 1, 2 and XL": what names begin with is said once, and variants are their families'."""
    whole = [name for name in names if not name.startswith(tuple(f"{other} " for other in names))]
    top = whole[0].rpartition(" ")[0] + " "
    short = [whole[0], *(name.removeprefix(top) for name in whole[1:])]
    return f"{', '.join(short[:-1])} and {short[-1]}"


THOSE_THAT_LOAD = _listed([one.name for one in OFFERED])
"""The families that are offered, for sentences."""


def family(key: str) -> Family:
    """The family of a key (`ModelCard.kind`). `EaselError` for one that is not known."""
    found = FAMILIES.get(key)
    if found is None:
        raise EaselError(
            Sentence(
                "family {part} is not known; use {families}",
                part=repr(key),
                families=", ".join(FAMILIES),
            )
        )
    return found
