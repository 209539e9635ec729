"""Which model a single file holds, told from the names and shapes in its header.

Two layouts are known. "ldm" has the names of the original code (`model.diffusion_model.`, `first_stage_model.`,
`cond_stage_model.` or `conditioner.embedders.`), "diffusers" those of a diffusers folder, each with its part in front
(`unet.`, `vae.`, `text_encoder.`, `text_encoder_2.`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from webui.catalog.families import SD1, SD2, SDXL, SDXL_REFINER, Family
from webui.catalog.formats.header import Header
from webui.catalog.formats.wrong_folder import misplaced
from webui.errors import ModelFileError, Sentence

__all__ = ["PARTS", "Recognised", "predicted", "recognise"]

UNET, VAE, OLD_TEXT, NEW_TEXT = (
    "model.diffusion_model.",
    "first_stage_model.",
    "cond_stage_model.",
    "conditioner.embedders.",
)
PARTS = ("unet", "vae", "text_encoder", "text_encoder_2")
STARTS: Mapping[str, Mapping[str, tuple[str, ...]]] = {  # of the names of each part's tensors
    "ldm": {
        "unet": (UNET,),
        "vae": (VAE,),
        "text_encoder": (
            f"{OLD_TEXT}transformer.",
            f"{OLD_TEXT}model.",
            f"{OLD_TEXT}clip_l.transformer.",
            f"{OLD_TEXT}clip_h.transformer.",
            f"{NEW_TEXT}0.transformer.",
        ),
        "text_encoder_2": (
            f"{NEW_TEXT}0.model.",
            f"{NEW_TEXT}1.model.",
            f"{NEW_TEXT}1.transformer.",
            f"{OLD_TEXT}clip_g.transformer.",
            f"{OLD_TEXT}clip_g.model.",
        ),
    },
    "diffusers": {part: (f"{part}.",) for part in PARTS},
}
LAYERS = {768: 12, 1024: 23, 1280: 32}  # of the text encoders of these widths, at least
UNCLIP = 1024  # width of the texts of unCLIP models, which have labels as XL has
TIMES = 256  # width of each number about the picture beside the text
SAID = {
    "unet": "U-Net",
    "text_encoder": Sentence("text encoder"),
    "text_encoder_2": Sentence("second text encoder"),
}
OTHER_INPUTS = {  # input channels of U-Nets that are trained for something else
    5: Sentence("a depth-to-image model"),
    7: Sentence("an upscaling model"),
    8: Sentence("an InstructPix2Pix model"),
}
OTHER_PREDICTIONS = (
    "flow",
    "flow_prediction",
    "rectified_flow",
    "rf",
    "edm",
    "edm_vpred",
    "x_flow",
)
V_PREDICTION = ("v", "v_prediction", "v-prediction", "vprediction", "velocity")
EPSILON = ("eps", "epsilon", "noise")


@dataclass(frozen=True, slots=True)
class Recognised:
    """What a checkpoint is. `kind` is that of `ModelCard`, `family` the name that people know.

    `context_dim` is the width of the texts that the U-Net sees. `prediction` is None where the header does not say;
    files of Stable Diffusion 2 seldom do. `parts` are those of `PARTS` that are in the file.
    """

    layout: str
    kind: str
    family: str
    inpainting: bool
    prediction: str | None
    zero_snr: bool
    context_dim: int
    parts: frozenset[str]
    latent_channels: int

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "parts": sorted(self.parts)}

    @staticmethod
    def from_json(told: Mapping[str, Any]) -> Recognised:
        return Recognised(**{**told, "parts": frozenset(told["parts"])})


def recognise(header: Header, without_vae: bool = False) -> Recognised:
    """What the file is; `ModelFileError` with a sentence where it is no Stable Diffusion checkpoint.

    Its VAE may be missing only where `without_vae` says so.
    """
    names = header.names
    layout = "ldm" if names.begin(UNET) else "diffusers"
    if problem := misplaced(header):
        raise ModelFileError(Sentence("{file}: {problem}", file=header.path.name, problem=problem))
    parts = frozenset(part for part, starts in STARTS[layout].items() if names.begin(*starts))
    if "unet" not in parts:
        raise ModelFileError(
            Sentence("{file}: no Stable Diffusion model that is known here", file=header.path.name)
        )
    found = _unet(header, layout)
    family = _family(header, layout, parts, found)
    missing = [SAID[part] for part in family.parts if part not in (*parts, "vae")]
    if parts == {"unet"}:
        raise ModelFileError(
            Sentence(
                "{file}: holds a U-Net alone; a checkpoint has its text encoder too",
                file=header.path.name,
            )
        )
    if missing:
        raise ModelFileError(
            Sentence(
                "{file}: has no {missing}; the file is not whole",
                file=header.path.name,
                missing=missing[0],
            )
        )
    if "vae" not in parts and not without_vae:
        raise ModelFileError(
            Sentence(
                "{file}: has no VAE; bake one in: python launch.py models merge FILE "
                "--vae VAE -o NAME",
                file=header.path.name,
            )
        )
    _must_fit(header, layout, family, found)
    prediction, zero_snr = predicted(header)
    if prediction is None:
        published = found.context == family.text_width or names.begin(f"{OLD_TEXT}model.")
        prediction = family.prediction if published else "epsilon"
    return Recognised(
        layout,
        family.key,
        family.called(found.context),
        found.inputs != found.outputs,
        prediction,
        zero_snr,
        found.context,
        parts,
        found.outputs,
    )


def predicted(header: Header) -> tuple[str | None, bool]:
    """What the U-Net predicts as far as the header says, and whether its schedule ends in pure noise.

    Asked are `modelspec.prediction_type` and the names `v_pred` and `ztsnr`, which are metadata or empty tensors.
    `ModelFileError` for what no sampler here can use.
    """
    told = {key.lower(): value.strip().lower() for key, value in header.metadata.items()}
    said = told.get("modelspec.prediction_type", told.get("prediction_type", ""))
    if said in OTHER_PREDICTIONS:
        raise ModelFileError(
            Sentence(
                "{file}: its U-Net predicts {said}; only models that predict noise, v "
                "or the picture load",
                file=header.path.name,
                said=repr(said),
            )
        )
    flags = {name for name in ("v_pred", "ztsnr") if name in header.tensors or _true(told, name)}
    prediction = None
    if "v_pred" in flags or said in V_PREDICTION:
        prediction = "v_prediction"
    elif said in EPSILON:
        prediction = "epsilon"
    elif said == "sample":
        prediction = "sample"
    return prediction, "ztsnr" in flags


def _true(told: Mapping[str, str], name: str) -> bool:
    return told.get(name, "false") not in ("false", "0", "no", "none", "off")


@dataclass(frozen=True, slots=True)
class _Unet:
    inputs: int
    outputs: int
    context: int
    labels: int | None  # width of what it gets beside the time: None where there is nothing


def _unet(header: Header, layout: str) -> _Unet:
    """Shapes of the U-Net, checked for what every one of ours has."""
    ldm = layout == "ldm"
    first = f"{UNET}input_blocks.0.0.weight" if ldm else "unet.conv_in.weight"
    last = f"{UNET}out.2.weight" if ldm else "unet.conv_out.weight"
    label = f"{UNET}label_emb.0.0.weight" if ldm else "unet.add_embedding.linear_1.weight"
    inputs, outputs = _channels(header, first, 1), _channels(header, last, 0)
    start = UNET if ldm else "unet."
    end = ".attn2.to_k.weight"
    attention = next((n for n in header.tensors if n.startswith(start) and n.endswith(end)), None)
    if attention is None:
        raise ModelFileError(
            Sentence(
                "{file}: its U-Net looks at no text; the file is not whole", file=header.path.name
            )
        )
    shape, labels = header.tensors[attention].shape, header.shape(label)
    if len(shape) != 2:
        raise ModelFileError(
            Sentence(
                "{file}: {attention} has the wrong shape {shape}",
                file=header.path.name,
                attention=repr(attention),
                shape=shape,
            )
        )
    if inputs not in (outputs, 2 * outputs + 1):
        what = OTHER_INPUTS.get(
            inputs, Sentence("its U-Net has {inputs} input channels", inputs=inputs)
        )
        raise ModelFileError(
            Sentence(
                "{file}: {what}; only those of {outputs} load, or {outputs2} for inpainting",
                file=header.path.name,
                what=what,
                outputs=outputs,
                outputs2=2 * outputs + 1,
            )
        )
    return _Unet(inputs, outputs, shape[1], labels[1] if labels and len(labels) == 2 else None)


def _channels(header: Header, name: str, axis: int) -> int:
    shape = header.shape(name)
    if shape is None:
        raise ModelFileError(
            Sentence(
                "{file}: has no {name}; the file is not whole",
                file=header.path.name,
                name=repr(name),
            )
        )
    if len(shape) != 4 or not 0 < shape[axis] <= 64:
        raise ModelFileError(
            Sentence(
                "{file}: {name} has the wrong shape {shape}",
                file=header.path.name,
                name=repr(name),
                shape=shape,
            )
        )
    return shape[axis]


def _family(header: Header, layout: str, parts: frozenset[str], unet: _Unet) -> Family:
    """By the text encoders that are there, which also tells narrow models apart, then by the U-Net's shapes."""
    if "text_encoder_2" in parts:
        return SDXL if "text_encoder" in parts else SDXL_REFINER
    if unet.labels is None:
        return SD2 if _is_second(header, layout, unet.context) else SD1
    if header.names.begin(f"{OLD_TEXT}model.") and unet.context == UNCLIP:
        raise ModelFileError(
            Sentence("{file}: an unCLIP model; those cannot be loaded", file=header.path.name)
        )
    return SDXL_REFINER if unet.context == SDXL_REFINER.text_width else SDXL


def _is_second(header: Header, layout: str, context: int) -> bool:
    """Whether a model with one text encoder is of Stable Diffusion 2: that is OpenCLIP's, and the U-Net's projections
    are linear layers. The names of a text encoder may be those of either."""
    if header.names.begin(f"{OLD_TEXT}model.transformer."):
        return True
    start, end = (UNET if layout == "ldm" else "unet."), ".proj_in.weight"
    shapes = (
        one.shape for n, one in header.tensors.items() if n.startswith(start) and n.endswith(end)
    )
    second = context == SD2.text_width if layout == "ldm" else context != SD1.text_width
    return second and len(next(shapes, ())) != 4


def _must_fit(header: Header, layout: str, family: Family, unet: _Unet) -> None:
    """Raises `ModelFileError` where the parts of a file are not made for each other, as far as shapes tell."""
    file = header.path.name
    if family.sizes and unet.labels is None:
        raise ModelFileError(
            Sentence(
                "{file}: the text encoders of an XL model around the U-Net of another", file=file
            )
        )
    found = [_encoder(header, STARTS[layout][part]) for part in family.texts]
    widths = [one.width for one in found]
    if all(widths) and sum(widths) != unet.context:
        raise ModelFileError(
            Sentence(
                "{file}: its U-Net is made for a text encoder of width {context}, but "
                "the file's has width {map}; the file is not whole",
                file=file,
                context=unet.context,
                map=" + ".join(map(str, widths)),
            )
        )
    for part, one in zip(family.texts, found, strict=True):
        wanted = LAYERS.get(one.width, 0)
        if wanted and not header.names.begin(*(start.format(wanted - 1) for start in one.layers)):
            raise ModelFileError(
                Sentence(
                    "{file}: its {said} has fewer than {wanted} layers; the file is not whole",
                    file=file,
                    said=SAID[part],
                    wanted=wanted,
                )
            )
    pooled, numbers = found[-1].pooled, family.size_count
    if numbers and pooled and unet.labels != pooled + numbers * TIMES:
        raise ModelFileError(
            Sentence(
                "{file}: its U-Net is told {labels} numbers beside the text, its text "
                "encoder and the picture's sizes are {pooled}; the parts are of "
                "different models",
                file=file,
                labels=unet.labels,
                pooled=pooled + numbers * TIMES,
            )
        )
    latent = header.shape(f"{STARTS[layout]['vae'][0]}decoder.conv_in.weight")
    if latent is not None and len(latent) == 4 and latent[1] != unet.outputs:
        raise ModelFileError(
            Sentence(
                "{file}: its VAE has {latent} latent channels, its U-Net {outputs}",
                file=file,
                latent=latent[1],
                outputs=unet.outputs,
            )
        )


@dataclass(frozen=True, slots=True)
class _Encoder:
    """Widths of a text encoder and of what it gives for a whole text, 0 where no shape tells. `layers` are how the
    names of a layer may begin, with a place for its number."""

    width: int = 0
    pooled: int = 0
    layers: tuple[str, ...] = ()


def _encoder(header: Header, starts: tuple[str, ...]) -> _Encoder:
    for start in starts:
        for inner, layers in (
            ("text_model.embeddings.", "text_model.encoder.layers.{}."),
            ("embeddings.", "encoder.layers.{}."),
            ("", "transformer.resblocks.{}."),
        ):
            shape = header.shape(f"{start}{inner}token_embedding.weight")
            if shape is None or len(shape) != 2:
                continue
            plain = header.shape(f"{start}text_projection.weight")
            turned = header.shape(f"{start}text_projection")
            pooled = plain[:1] if plain else (turned[1:] if turned else ())
            return _Encoder(shape[1], pooled[0] if pooled else 0, (f"{start}{layers}",))
    return _Encoder()
