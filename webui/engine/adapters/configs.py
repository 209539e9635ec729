"""What an adapter's file says beside its tensors: peft's config, as peft and diffusers write it.

peft puts `adapter_config.json` beside `adapter_model.safetensors`; diffusers the same in the file's metadata, with the
network in front of each name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from webui.engine.formats.sidecars import read_json
from webui.errors import ModelFileError

__all__ = ["NOTHING", "Config", "Configs", "beside"]

METADATA = "lora_adapter_metadata"
NETWORKS = ("unet", "text_encoder", "text_encoder_2")
PEFT = "adapter_model"  # its files' name


@dataclass(frozen=True, slots=True)
class Config:
    """Of one layer. `alpha` is LoRA's where no tensor has it, divided by the rank or (`rooted`) by its square root.
    Of OFT: `terms` of the Neumann series (None: the exact inverse), `eps` the bound of the constrained kind (None: no
    bound)."""

    alpha: float | None = None
    rooted: bool = False
    terms: int | None = 5
    eps: float | None = None


NOTHING = Config()


def beside(path: Path) -> Path | None:
    """Where peft keeps the config of the file at `path`; None for files that are not peft's by their name."""
    return path.with_name("adapter_config.json") if path.stem == PEFT else None


class Configs:
    """The config of each layer of one file. `told` is whether there is one."""

    def __init__(self, path: Path, metadata: Mapping[str, str]) -> None:
        """Raises `ModelFileError` for a config that cannot be read: without it the file would mean something else."""
        said: Mapping[str, Any] = {}
        config = beside(path)
        if METADATA in metadata:
            try:
                said = json.loads(metadata[METADATA])
            except (ValueError, RecursionError) as fault:
                raise ModelFileError(
                    f"{path.name}: its {METADATA} is not JSON ({fault})"
                ) from fault
        elif config is not None and config.is_file():
            said = read_json(config)
        self._path = path
        self.told = bool(said)
        self._said = said if isinstance(said, dict) else {}
        self._known: dict[str, dict[str, Any]] = {}

    def of(self, network: str, module: str) -> Config:
        """What is said of the layer `module` of `network`."""
        said = self._of(network)
        if not said:
            return NOTHING
        terms = said.get("num_cayley_neumann_terms", NOTHING.terms)
        return Config(
            self._number("lora_alpha", _by_pattern(said.get("alpha_pattern"), module, said.get("lora_alpha"))),
            said.get("use_rslora") is True,
            self._number("num_cayley_neumann_terms", terms) if said.get("use_cayley_neumann", True) else None,
            self._number("eps", said.get("eps", 6e-5)) if said.get("coft") is True else None,
        )  # fmt: skip

    def _of(self, network: str) -> dict[str, Any]:
        if network not in self._known:
            start = f"{network}."
            named = any(key.startswith(tuple(f"{n}." for n in NETWORKS)) for key in self._said)
            self._known[network] = {
                key.removeprefix(start): value
                for key, value in self._said.items()
                if key.startswith(start) or not named
            }
        return self._known[network]

    def _number(self, name: str, value: Any) -> Any:
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise ModelFileError(
                f"{self._path.name}: its config's {name} is {value!r}, not a number"
            )
        return value


def _by_pattern(patterns: Any, module: str, default: Any) -> Any:
    """The value for a module: of the first pattern that its end fits, as peft has it, else `default`."""
    for pattern, value in patterns.items() if isinstance(patterns, dict) else ():
        try:
            if re.match(rf"(.*\.)?({pattern})$", module):
                return value
        except re.error:
            continue
    return default
