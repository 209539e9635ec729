"""What a file that is no checkpoint is, and which models it is made for, told from its header."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from webui.catalog.families import OFFERED, SD1, SD2, SD3, SDXL, THOSE_THAT_LOAD
from webui.catalog.formats.file_signatures import ZIP, stranger
from webui.catalog.formats.header import Header, open_regular, read_header
from webui.catalog.formats.tensor_names import Names
from webui.catalog.formats.wrong_folder import WHOLE, misplaced, told_by
from webui.errors import Sentence

__all__ = ["family_of", "tags_of", "wrong_file", "wrong_pickle", "wrong_place"]

BASES = (  # beginnings of kohya's ss_base_model_version and of modelspec.architecture
    ("sdxl", SDXL.name),
    ("stable-diffusion-xl", SDXL.name),
    ("sd_v2", SD2.name),
    ("stable-diffusion-v2", SD2.name),
    ("sd_v1", SD1.name),
    ("stable-diffusion-v1", SD1.name),
    ("sd3", SD3.name),
    ("stable-diffusion-3", SD3.name),
    ("flux", "Flux"),
    ("stable-cascade", "Stable Cascade"),
    ("stable_cascade", "Stable Cascade"),
    ("pixart", "PixArt"),
    ("hunyuan", "Hunyuan"),
    ("wan", "Wan"),
    ("lumina", "Lumina"),
    ("qwen", "Qwen-Image"),
    ("auraflow", "AuraFlow"),
)
OURS = tuple(one.name for one in OFFERED)
OTHERS = (  # parts of names that only networks of these families have
    ("double_blocks", "Flux"),
    ("single_transformer_blocks", "Flux"),
    ("joint_blocks", SD3.name),
)
SECOND_ENCODER = ("lora_te2_", "text_encoder_2.")
DOWN = (".lora_down.weight", ".lora_A.weight", ".lora.down.weight", ".hada_w1_b", ".oft_diag")
PLACES = {
    "lora": "models/Lora",
    "embedding": "models/embeddings",
    "hypernetwork": "models/hypernetworks",
    "vae": "models/VAE",
    "controlnet": "models/ControlNet",
    "upscaler": "models/ESRGAN",
}
VAE_CHANNELS = frozenset(one.latent_channels for one in OFFERED)


def family_of(kind: str, header: Header) -> str:
    """The family that a file of a kind (a key of `FOLDERS`) is made for, "" where the header does not tell."""
    if kind == "embedding":
        return _of_embedding(header)
    if kind not in ("lora", "controlnet"):
        return ""
    said = [
        header.metadata.get("ss_base_model_version", ""),
        header.metadata.get("modelspec.architecture", ""),
    ]
    for text in said:
        found = next((name for begin, name in BASES if text.lower().startswith(begin)), "")
        if found:
            return found
    for part, name in OTHERS:
        if any(part in key for key in header.tensors):
            return name
    if any(key.startswith(SECOND_ENCODER) for key in header.tensors):
        return SDXL.name
    return _by_width(_text_width(header))


def _of_embedding(header: Header) -> str:
    if {"clip_l", "clip_g"} & set(header.tensors):
        return SDXL.name
    return _by_width(next((one.shape[-1] for one in header.tensors.values() if one.shape), 0))


def _by_width(width: int) -> str:
    return next((one.name for one in (SD1, SD2, SDXL) if one.text_width == width), "")


def _text_width(header: Header) -> int:
    """The width of the texts that attention reads, 0 where no layer tells it."""
    for name, tensor in header.tensors.items():
        layer = name.replace("_", ".")
        whole = name.endswith("attn2.to_k.weight")
        part = "attn2.to.k" in layer and name.endswith(DOWN)
        if (whole or part) and len(tensor.shape) >= 2:
            return tensor.shape[1]
    return 0


def wrong_place(kind: str, header: Header) -> str | None:
    """Why a file is not used in the folder of its kind: what it is instead, or what about it does not fit here. None
    where nothing speaks against it."""
    names = header.names
    adapter = kind == "lora" and names.hold(*ADAPTER) and not names.begin("lora_controlnet")
    if names.begin(*WHOLE) and not adapter and not names.begin("control_model."):
        return Sentence("a checkpoint: put it into models/Stable-diffusion")
    what = misplaced(header)
    if what and not what.endswith(PLACES[kind]) and not adapter and not _may_be(kind, header):
        return what
    return _unfit(kind, header)


def _may_be(kind: str, header: Header) -> bool:
    """Whether a file that looks like something else is of this kind after all: an embedding is any tensor."""
    return kind == "embedding" and bool(set(NAMED_EMBEDDINGS) & set(header.tensors))


def _unfit(kind: str, header: Header) -> str | None:
    """Why a file of the right kind, or of none that is known, does not work here."""
    names = header.names
    if kind == "lora":
        if not names.hold(*ADAPTER):
            return Sentence("no LoRA that is known here")
        family = family_of(kind, header)
        if family and not family.startswith(OURS):
            return Sentence(
                "a LoRA for {family}; those for {those_that_load} are used",
                family=family,
                those_that_load=THOSE_THAT_LOAD,
            )
    if kind == "vae":
        shape = next(
            (one for top in VAES if (one := header.shape(f"{top}decoder.conv_in.weight"))), None
        )
        if shape is None:
            return Sentence("no VAE that is known here")
        if len(shape) == 4 and shape[1] not in VAE_CHANNELS:
            fitting = " or ".join(map(str, sorted(VAE_CHANNELS)))
            return Sentence(
                "a VAE of {shape} latent channels; only those of {fitting} fit here",
                shape=shape[1],
                fitting=fitting,
            )
    if kind == "controlnet":
        return _other_controlnet(header)
    if kind == "embedding":
        return None if _is_embedding(header) else Sentence("holds no textual inversion")
    if kind == "upscaler" and not any(len(one.shape) == 4 for one in header.tensors.values()):
        return Sentence("no upscaler: there is no convolution in it")
    if (
        kind == "hypernetwork"
        and misplaced(header) is None
        and "hypernetwork" not in header.metadata
    ):
        return Sentence("no hypernetwork that is known here")
    return None


VAES = ("", "first_stage_model.", "vae.")
NAMED_EMBEDDINGS = ("clip_l", "clip_g", "text_encoders_0", "text_encoders_1", "emb_params")
ADAPTER = (  # parts of the names of adapters' tensors
    *("lora", "lycoris", "hada_", "lokr_", "oft_", "boft", "dora_", ".diff_b", "ia3", "on_input", ".alpha", ".a1."),
    *("w_norm", "b_norm", "bundle_emb"),
)  # fmt: skip


def _is_embedding(header: Header) -> bool:
    """Whether the tensors are vectors: a few of at most two dimensions, some of them fractions."""
    tensors = header.tensors.values()
    few = len(tensors) <= FEW and all(len(one.shape) <= 2 for one in tensors)
    return few and any(
        one.shape and all(one.shape) and one.dtype.startswith(FRACTIONS) for one in tensors
    )


FRACTIONS = ("F", "BF")  # how safetensors' names of such types begin
FEW = 8  # tensors of an embedding, and what is kept beside them


def wrong_file(kind: str, path: Path) -> str | None:
    """`wrong_place` for the file at `path`, of which only the header is read. `ModelFileError` for a damaged one."""
    if path.suffix.lower() != ".safetensors":
        return wrong_pickle(kind, path)
    return wrong_place(kind, read_header(path))


def wrong_pickle(kind: str, path: Path) -> str | None:
    """`wrong_place` for a pickled file, as far as its first bytes tell: they are searched for names, and never run."""
    descriptor, size = open_regular(path)
    with open(descriptor, "rb", buffering=0) as file:
        begin = file.read(SEEN) or b""
    if not size:
        return Sentence("the file is empty; get it again")
    if not begin.startswith(ZIP):
        if begin[4:9] == b"\0\0\0\0{":
            return Sentence(
                "a safetensors file named {suffix}; rename it to .safetensors", suffix=path.suffix
            )
        return stranger(begin[:512], path.suffix) or Sentence("is no file that PyTorch wrote")
    names = Names({one.decode() for one in NAME.findall(begin)})
    if names.begin(*WHOLE):
        return Sentence("a checkpoint: put it into models/Stable-diffusion")
    what = told_by(names)
    return what if what and not what.endswith(PLACES[kind]) else None


SEEN = 1 << 18  # bytes
NAME = re.compile(rb"[A-Za-z0-9_<>*-]+(?:\.[A-Za-z0-9_<>*-]+)+|string_to_param|emb_params")


def _other_controlnet(header: Header) -> str | None:
    names = header.names
    if "difference" in header.tensors or any(name.endswith(".difference") for name in names):
        return Sentence(
            "a 'difference' ControlNet, to which its base model must be added; get the whole one"
        )
    begins = ("", "control_model.")
    xl = ("add_embedding.", "label_emb.", "task_embedding", "control_add_embedding.")
    if names.begin(*(front + one for front in begins for one in xl)) or _text_width(header) == 2048:
        return Sentence(
            "a ControlNet for Stable Diffusion XL; those for Stable Diffusion 1 and 2 work"
        )
    if not names.hold("controlnet_down_blocks.", "zero_convs."):
        return Sentence("no ControlNet that is known here")
    return None


def tags_of(metadata: Mapping[str, str], most: int = 24) -> list[tuple[str, int]]:
    """The words that the training pictures of a LoRA had most often, as kohya's trainer writes them down."""
    try:
        told = json.loads(metadata.get("ss_tag_frequency", "{}"))
    except (ValueError, RecursionError):
        return []
    counted: Counter[str] = Counter()
    for tags in told.values() if isinstance(told, dict) else ():
        for tag, count in tags.items() if isinstance(tags, dict) else ():
            if isinstance(count, int) and tag.strip():
                counted[tag.strip()] += count
    return counted.most_common(most)
