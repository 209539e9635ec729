"""Settings out of a picture's infotext, for a task's form: ours, and what AUTOMATIC1111 and its like write.

What a text does not say stays as the form has it, but for values that are written only where they are unusual: their
absence says the usual one. What cannot be taken is told in a sentence, and nothing here raises.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from webui.defaults.completion import sampler_and_schedule
from webui.defaults.extras import default_of, extra_controls, read_value
from webui.errors import RequestError, Sentence
from webui.metadata import MORE, NOTES, keys_of, parse
from webui.registry import Catalog
from webui.types import (
    FIELDS,
    NAMED_OPTIONS,
    WIDTH,
    Choice,
    Control,
    Mask,
    ModelCard,
    Number,
    Picture,
    Seed,
    Switch,
    Task,
    Text,
)

__all__ = ["NO_SETTINGS", "Taken", "from_infotext", "pasted", "task_of"]

# The fields by the keys that tell them. Some keys are more than a field's value, and read below.
BY_KEY = MappingProxyType({one.infotext: one for one in FIELDS.values() if one.infotext})
COMPOUND = frozenset(("Sampler", "Schedule type", "Size", "Model"))
OTHERS = frozenset(  # of further keys, those that are read below or that nobody sets in a form
    (
        *("Prompt", "Negative prompt", "Model hash"),
        *(
            "Task",
            "Version",
            "RNG",
            NOTES,
            MORE,
            "Post-processing",
            "Denoise wrappers",
            "Further model",
            "Interrupted",
            "User",
        ),
        *("Lora hashes", "TI hashes", "Init image hash", "VAE hash"),
    )
)
KNOWN = frozenset((*BY_KEY, *OTHERS, *(one.infotext for one in NAMED_OPTIONS.values())))
HIRES = ("Hires upscale", "Hires resize", "Hires steps", "Hires upscaler")
SIZE = re.compile(r"\s*([0-9]{1,5})\s*[xX×*]\s*([0-9]{1,5})\s*")
OLD_HASH = 8  # digits
NAME_AND_HASH = re.compile(r"(.+?) ?\[([0-9a-fA-F]{8,64})\]")
HASH = re.compile(r"[0-9a-f]{8}|[0-9a-f]{10,64}")
NO_SETTINGS = Sentence("There are no settings in this text that Easel can read.")
WORDS_TOLD = 200  # characters of words in a sentence at most
PROMPTS = ("prompt", "negative_prompt")
TOLD = 40  # names in a sentence at most


@dataclass(frozen=True, slots=True)
class Taken:
    """`values` by the names of a task's controls, None for an empty one; `notes` are sentences about the rest."""

    values: Mapping[str, Any]
    notes: tuple[str, ...] = ()


def task_of(text: str, catalog: Catalog) -> str:
    """The name of the task that a text's settings are for: the one it names, else the one that its keys fit."""
    pairs = parse(text)
    named = pairs.get("Task", "")
    if named in catalog.tasks:
        return named
    guess = "txt2img"
    if _starts_from(pairs, "mask"):
        guess = "inpaint"
    elif _starts_from(pairs, "image"):
        guess = "img2img"
    # a task of an extension is recognised by settings that no other has
    tasks = sorted(catalog.tasks.values(), key=lambda task: task.name != guess)
    return min(tasks, key=lambda task: len(_strange(pairs, task))).name


def from_infotext(text: str, task: Task, catalog: Catalog) -> Taken:
    """What `text` says for a task, names as they are here."""
    pairs = parse(text)
    controls = {control.name: control for control in task.flat_controls()}
    values: dict[str, Any] = {}
    notes: list[str] = []

    def take(name: str, said: str, key: str) -> None:
        if name in controls:
            try:
                values[name] = _read(controls[name], said, catalog)
            except RequestError:
                notes.append(Sentence("{key} “{said}” cannot be used here.", key=key, said=said))

    for key, name in (("Prompt", "prompt"), ("Negative prompt", "negative_prompt")):
        if name in controls and (pairs[key] or "Steps" in pairs):
            values[name] = pairs[key]
    for key, field in BY_KEY.items():
        if key in pairs and key not in COMPOUND:
            take(field.name, pairs[key], key)
    if "missing" in controls and (pairs["Prompt"] or "Steps" in pairs):
        values["missing"] = "warn"  # others have other files; the picture tells
    for name, field in FIELDS.items():
        if name in controls and name not in values and field.omit is not ...:
            if _would_tell(pairs, field):
                values[name] = field.omit
    _take_sampler(pairs, controls, values, notes, catalog)
    _take_size(pairs, controls, values, notes)
    _take_model(pairs, controls, values, notes, catalog)
    own = pairs.get("Version", "").startswith("Easel")
    for key, control in _labels(task).items():
        if key in pairs:
            take(control.name, pairs[key], key)
        elif control.omit is not ... and "Steps" in pairs:
            values[control.name] = control.omit
        elif own and not control.hidden:  # ours tells every one that is not at its default
            default = default_of(control, catalog) if control.default is not None else None
            values[control.name] = default
    if text.strip() and not any(pairs.values()):
        notes.append(NO_SETTINGS)
    if pairs.get("RNG", "CPU").upper() != "CPU":
        notes.append(
            Sentence(
                "The noise of “RNG: {rng}” is not here: the seed gives another picture.",
                rng=pairs["RNG"],
            )
        )
    if MORE in pairs:
        words = " ".join(pairs[MORE].split())
        words = words if len(words) <= WORDS_TOLD else words[:WORDS_TOLD] + "…"
        notes.append(Sentence("Not read: “{words}”.", words=words))
    strange = _strange(pairs, task)
    if strange:
        more = ", …" if len(strange) > TOLD else ""
        names = ", ".join(strange[:TOLD]) + more
        notes.append(Sentence("Not known here: {names}.", names=names))
    return Taken(values, tuple(notes))


def pasted(text: str, task: Task, catalog: Catalog) -> Taken:
    """The same of a text that somebody gives a task's form. One without words leaves the form's; what goes with other
    tasks alone is told, too."""
    pairs, taken = parse(text), from_infotext(text, task, catalog)
    values = dict(taken.values)
    if not pairs["Prompt"] and not pairs["Negative prompt"]:
        values = {name: one for name, one in values.items() if name not in PROMPTS}
    has = {control.name for control in task.flat_controls()}
    others = [key for key, field in BY_KEY.items() if key in pairs and field.name not in has]
    notes = list(taken.notes)
    if others := [key for key in others if key not in COMPOUND]:
        notes.append(Sentence("Not for this task: {names}.", names=", ".join(others)))
    return Taken(values, tuple(notes))


def _starts_from(pairs: Mapping[str, str], picture: str) -> bool:
    """Whether a text tells something that means nothing without that picture. A picture that A1111 made larger in a
    second pass has such a key, too."""
    if picture == "image" and any(key in pairs for key in HIRES):
        return False
    return any(key in pairs and _picture_of(field) == picture for key, field in BY_KEY.items())


def _picture_of(field: Control) -> str:
    """The name of the picture without which a field means nothing, "" where it means something in any sampling."""
    if isinstance(field, Picture | Mask):
        return field.name
    return _picture_of(FIELDS[field.when]) if field.when in FIELDS else ""


def _would_tell(pairs: Mapping[str, str], field: Control) -> bool:
    """Whether a text would tell a field that is not as usual: one with a sampling, or with its picture, about those."""
    picture = _picture_of(field)
    return _starts_from(pairs, picture) if picture else "Steps" in pairs


def _strange(pairs: Mapping[str, str], task: Task) -> list[str]:
    """The keys that mean nothing to a task."""
    labels = _labels(task)
    return [key for key in pairs if key not in KNOWN and key not in labels]


def _labels(task: Task) -> dict[str, Control]:
    """A task's extras by the keys under which a text tells them."""
    extras = [c for c in extra_controls(task).values() if not isinstance(c, Picture | Mask)]
    return dict(zip(keys_of(one.infotext or one.label for one in extras), extras, strict=True))


def _read(control: Control, said: str, catalog: Catalog) -> Any:
    """A value as a control takes it; what it does not take raises `RequestError`."""
    meant = control.meant(said)
    if meant is not said:
        return meant
    match control:
        case Number() | Seed():
            try:
                number: float = int(said)
            except ValueError:
                try:
                    number = float(said)
                except ValueError:
                    number = float("nan")  # refused like any other
            return control.read(number)
        case Switch():
            return control.read({"true": True, "false": False}.get(said.lower(), said))
        case Choice() if control.source:
            return read_value(control, said, catalog)
        case Choice() | Text():
            return control.read(said)
        case Picture() | Mask():
            raise RequestError(
                Sentence("{name}: no text means this", name=control.name), control.name
            )
    return _of_own_kind(control, said)


def _of_own_kind(control: Control, said: str) -> Any:
    """A value of a kind that an extension has made: words, or what was written as JSON."""
    try:
        meant = json.loads(said)
    except (ValueError, RecursionError):
        return control.read(said)
    if isinstance(meant, list | dict):
        return control.read(meant)
    try:
        return control.read(said)
    except RequestError:
        return control.read(meant)


def _take_sampler(
    pairs: Mapping[str, str],
    controls: Mapping[str, Control],
    values: dict[str, Any],
    notes: list[str],
    catalog: Catalog,
) -> None:
    """Sampler and schedule; a text without a schedule means each sampler's usual one, unless the sampler's old
    name has it ("DPM++ 2M Karras")."""
    if "Sampler" not in pairs or "sampler_name" not in controls:
        return
    schedule: str | None = None
    try:
        values["sampler_name"], schedule = sampler_and_schedule(pairs["Sampler"], catalog)
    except RequestError:
        notes.append(Sentence("The sampling method “{name}” is not here.", name=pairs["Sampler"]))
        with suppress(RequestError):  # an old name may end with a schedule that is
            schedule = catalog.schedules.find(pairs["Sampler"].rpartition(" ")[2])
    if "scheduler" not in controls:
        return
    said = pairs.get("Schedule type", "")
    try:
        values["scheduler"] = catalog.schedules.find(said) if said else schedule or "automatic"
    except RequestError:
        notes.append(Sentence("The schedule type “{name}” is not here.", name=said))


def _take_size(
    pairs: Mapping[str, str],
    controls: Mapping[str, Control],
    values: dict[str, Any],
    notes: list[str],
) -> None:
    size = pairs.get("Size", "")
    if not size or not {"width", "height"} <= controls.keys():
        return
    found = SIZE.fullmatch(size)
    if found is None:
        notes.append(Sentence("{key} “{said}” cannot be used here.", key="Size", said=size))
        return
    said = (int(found[1]), int(found[2]))
    width, height = map(WIDTH.nearest, said)
    values |= {"width": width, "height": height}
    if (width, height) != said:
        sides = {"width": said[0], "height": said[1], "wide": width, "high": height}
        notes.append(Sentence("The size {width} × {height} became {wide} × {high}.", **sides))


def _take_model(
    pairs: Mapping[str, str],
    controls: Mapping[str, Control],
    values: dict[str, Any],
    notes: list[str],
    catalog: Catalog,
) -> None:
    """The model: the file of that hash, whatever it is called by now, else that of the name. Of a file that nobody has
    hashed yet the name is believed."""
    said, hash_ = pairs.get("Model", ""), pairs.get("Model hash", "").lower()
    if not hash_ and (both := NAME_AND_HASH.fullmatch(said)):
        said, hash_ = both[1], both[2].lower()
    if not (said or hash_) or "model" not in controls:
        return
    models = catalog.models()
    named, path = "", said.replace("\\", "/")  # another studio has the file in another folder
    for called in (said, path, path.rpartition("/")[2]):
        with suppress(RequestError):
            named = named or models.find(called)
    name, same = named, bool(named) and _has_hash(models[named], hash_)
    if not same:
        found = [name for name, card in models.items() if _has_hash(card, hash_)]
        usable = [name for name in found if models[name].problem is None]
        name = next(iter(usable or found), named)
    if not name:
        by_name = Sentence(
            "The model “{name}” is not here; the one that is chosen stays.", name=said
        )
        by_hash = Sentence(
            "The model with the hash {hash} is not here; the one that is chosen stays.", hash=hash_
        )
        notes.append(by_name if said else by_hash)
        return
    if models[name].problem is not None:
        notes.append(
            Sentence(
                "The model “{name}” cannot be used; the one that is chosen stays.",
                name=said or name,
            )
        )
        return
    values["model"] = name
    if _has_hash(models[name], hash_) is False:
        notes.append(
            Sentence(
                "The model “{name}” is here, but another file than the picture's: their hashes differ.",
                name=said,
            )
        )


def _has_hash(card: ModelCard, said: str) -> bool | None:
    """Whether a model's file is the one of a hash: the first digits of its SHA-256, or A1111's old one of eight. None
    where nobody can say."""
    if not HASH.fullmatch(said):
        return None
    if len(said) == OLD_HASH:
        return _old_hash(card) == said if _old_hash(card) else None
    return card.sha256.startswith(said) if card.sha256 else None


def _old_hash(card: ModelCard) -> str:
    """What A1111 called a model's hash until 2023: of 64 KB a megabyte into the file. "" where it cannot be read."""
    file = card.weights or card.path
    return _hashed_part(file, card.size, card.modified)


@lru_cache(maxsize=10_000)
def _hashed_part(file: Path, size: int, modified: float) -> str:
    """`size` and `modified` tell versions of the file apart."""
    try:
        with file.open("rb") as opened:
            opened.seek(0x100000)
            part = opened.read(0x10000)
            return hashlib.sha256(part).hexdigest()[:OLD_HASH] if part else ""
    except OSError:
        return ""
