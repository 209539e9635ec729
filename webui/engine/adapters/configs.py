"""What an adapter's file says beside its tensors: peft's config, as peft and diffusers write it.

peft puts `adapter_config.json` beside `adapter_model.safetensors`; diffusers the same in the file's metadata, with the
network in front of each name. Every field is used, or known to change nothing, or its value is one that changes nothing
(`fields`); any other is refused by its name.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from webui.catalog.formats.sidecars import read_json
from webui.engine.adapters.fields import BOOLEANS, HARMLESS, KINDS, SAME, USED
from webui.errors import ModelFileError, Sentence

__all__ = ["NOTHING", "Config", "Configs", "beside"]

METADATA = "lora_adapter_metadata"
NETWORKS = ("unet", "text_encoder", "text_encoder_2")
STARTS = tuple(f"{network}." for network in NETWORKS)
DEFAULT_ALPHA = 8  # of peft, where its config says none
PEFT = "adapter_model"  # its files' name
PATTERN = 500  # letters of the longest pattern
REPEATS = re.compile(r"[*+?{]")  # of which many may take for ever
TERMS = 100  # of a Neumann series, the most


@dataclass(frozen=True, slots=True)
class Config:
    """Of one layer. `alpha` is what no tensor says, divided by the rank or (`rooted`) by its square root; `rank` is
    that of a LoKr whose matrices are whole. `magnitude` is whether a LoRA must have one (DoRA).
    Of OFT: `terms` of the Neumann series (None: the exact inverse), `eps` the bound of the constrained kind (None: no
    bound)."""

    alpha: float | None = None
    rooted: bool = False
    terms: int | None = 5
    eps: float | None = None
    rank: float | None = None
    magnitude: bool = False


NOTHING = Config()


def beside(path: Path) -> Path | None:
    """Where peft keeps the config of the file at `path`; None for files that are not peft's by their name."""
    return path.with_name("adapter_config.json") if path.stem == PEFT else None


class Configs:
    """The config of each layer of one file. `told` is whether there is one, `rooted` whether a trainer notes that it
    divided by the root of the rank."""

    def __init__(self, path: Path, metadata: Mapping[str, str]) -> None:
        """Raises `ModelFileError` for a config that cannot be read, or that says what is not known here: without it
        the file would mean something else."""
        said: Any = {}
        config = beside(path)
        if METADATA in metadata:
            try:
                said = json.loads(metadata[METADATA])
            except (ValueError, RecursionError) as fault:
                raise ModelFileError(
                    Sentence(
                        "{file}: its {metadata} is not JSON ({why})",
                        file=path.name,
                        metadata=METADATA,
                        why=fault,
                    )
                ) from fault
        elif config is not None and config.is_file():
            try:
                said = read_json(config)
            except ModelFileError as fault:
                why = str(fault).removeprefix(f"{config}: ")
                raise ModelFileError(
                    Sentence(
                        "{file}: its {config} {why}", file=path.name, config=config.name, why=why
                    )
                ) from fault
        self._path = path
        self.rooted = _rooted(metadata)
        if not isinstance(said, dict):
            raise ModelFileError(Sentence("{file}: its config is no JSON object", file=path.name))
        self.told = bool(said)
        self._said: dict[str, Any] = said
        self._known: dict[str, dict[str, Any]] = {}
        others = {key: value for key, value in said.items() if not key.startswith(STARTS)}
        if len(others) < len(said):
            self._check(others)
        for network in NETWORKS:
            self._of(network)

    def of(self, network: str, module: str) -> Config:
        """What is said of the layer `module` of `network`."""
        said = self._of(network)
        if not said:
            return NOTHING
        kind = said.get("peft_type") or "LORA"
        alpha = "lora_alpha" if kind == "LORA" else "alpha"
        terms = said.get("num_cayley_neumann_terms", NOTHING.terms)
        return Config(
            self._patterned(said, alpha, "alpha_pattern", module),
            said.get("use_rslora") is True,
            self._terms(terms) if said.get("use_cayley_neumann") is not False else None,
            self._number("eps", said.get("eps", 6e-5)) if said.get("coft") is True else None,
            self._patterned(said, "r", "rank_pattern", module) if kind == "LOKR" else None,
            kind == "LORA" and said.get("use_dora") is True,
        )

    def _patterned(self, said: Mapping[str, Any], name: str, patterns: str, module: str) -> Any:
        usual = said.get(name, DEFAULT_ALPHA if "peft_type" in said and name != "r" else None)
        value = self._by_pattern(patterns, said.get(patterns), module)
        return self._number(name, usual) if value is None else self._number(patterns, value)

    def _of(self, network: str) -> dict[str, Any]:
        if network not in self._known:
            start = f"{network}."
            named = any(key.startswith(STARTS) for key in self._said)
            self._known[network] = {
                key.removeprefix(start): value
                for key, value in self._said.items()
                if key.startswith(start) or not named
            }
            self._check(self._known[network])
        return self._known[network]

    def _check(self, said: Mapping[str, Any]) -> None:
        """Raises `ModelFileError` for what changes the numbers and is not known here."""
        kind = said.get("peft_type") or "LORA"
        if kind not in KINDS:
            raise self._fault(
                Sentence(
                    "peft_type is {kind}; known here are {kinds}",
                    kind=repr(str(kind)[:40]),
                    kinds=", ".join(KINDS),
                )
            )
        for name, value in said.items():
            if name in BOOLEANS and value is not None and not isinstance(value, bool):
                raise self._fault(
                    Sentence(
                        "{name} is {value}, not true or false",
                        name=name,
                        value=repr(str(value)[:40]),
                    )
                )
            if not value or (name not in SAME and (name in USED[kind] or name in HARMLESS)):
                continue
            if value not in SAME.get(name, ()):
                raise self._fault(
                    Sentence(
                        "{name} is {value}, which is not known here and may change its meaning",
                        name=name[:40],
                        value=repr(str(value)[:40]),
                    )
                )

    def _fault(self, what: str) -> ModelFileError:
        return ModelFileError(
            Sentence("{file}: its config's {what}", file=self._path.name, what=what)
        )

    def _number(self, name: str, value: Any) -> Any:
        if value is not None and (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not math.isfinite(value)
        ):
            raise self._fault(
                Sentence("{name} is {value}, not a number", name=name, value=repr(str(value)[:80]))
            )
        return value

    def _terms(self, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= TERMS:
            raise self._fault(
                Sentence(
                    "num_cayley_neumann_terms is {value}, not a number from 1 to {terms}",
                    value=repr(str(value)[:80]),
                    terms=TERMS,
                )
            )
        return value

    def _by_pattern(self, name: str, patterns: Any, module: str) -> Any:
        """The value for a module: of the first pattern that its end fits, as peft has it, else None."""
        if patterns is None:
            return None
        if not isinstance(patterns, dict):
            raise self._fault(
                Sentence(
                    "{name} is {patterns}, no JSON object",
                    name=name,
                    patterns=repr(str(patterns)[:40]),
                )
            )
        for pattern, value in patterns.items():
            if len(pattern) > PATTERN or len(REPEATS.findall(pattern)) > 4:
                raise self._fault(
                    Sentence(
                        "{name} has a pattern that may take for ever: {pattern}",
                        name=name,
                        pattern=repr(pattern[:40]),
                    )
                )
            try:
                if re.match(rf"(.*\.)?({pattern})$", module):
                    return value
            except (re.error, RecursionError, OverflowError) as fault:
                raise self._fault(
                    Sentence(
                        "{name} has {pattern}, no pattern ({why})",
                        name=name,
                        pattern=repr(pattern[:40]),
                        why=fault,
                    )
                ) from fault
        return None


def _rooted(metadata: Mapping[str, str]) -> bool:
    """Whether kohya's notes of a training have LyCORIS' `rs_lora`."""
    try:
        said = json.loads(metadata.get("ss_network_args", "{}"))
    except (ValueError, RecursionError):
        return False  # notes of no use
    return isinstance(said, dict) and str(said.get("rs_lora")).lower() in ("true", "1")
