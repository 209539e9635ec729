"""Settings: what holds for the whole program and is fixed when it starts.

They say where files lie, how the engine runs and which values a request takes when neither it nor its
model says otherwise. `webui.cli` makes them from its options; nothing reads them from a global.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from webui.errors import RequestError, Sentence
from webui.naming import PATTERN, Pattern, Saving
from webui.types import DEFAULTS

__all__ = [
    "ATTENTIONS",
    "BUNDLED",
    "DTYPES",
    "FORMATS",
    "LOOKS",
    "ROOT",
    "STORE",
    "OwnDefaults",
    "Settings",
]

ROOT = Path(__file__).resolve().parent.parent  # the folder of launch.py, with the shipped models
STORE = ".easel"  # of the data folder: jobs and what belongs to them
DTYPES = ("auto", "float32", "bfloat16", "float16")
ATTENTIONS = ("auto", "sdpa", "xformers")
FORMATS = ("png", "jpeg", "webp")  # of saved pictures
LOOKS = ("system", "light", "dark")
DEVICE = re.compile(r"auto|cpu|mps|cuda(:\d+)?")

# Our own among what lies in `extensions/`: what `--safe-mode` still loads.
BUNDLED = (
    *("cfg_rescale", "controlnet", "dynamic_thresholding", "esrgan", "film_grain", "freeu"),
    *("more_samplers", "morph", "perturbed_attention", "text_files", "upscale", "wildcards"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnDefaults:
    """Values of request fields that the user has chosen for a task, a model, or a model in a task; "" is any."""

    task: str = ""
    model: str = ""
    values: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The program's settings. A value that cannot be meant raises `RequestError` with its field.

    `models_dirs` are searched in order; each has `starter/` or `Stable-diffusion/` in it. `port` 0 takes
    a free one. `offline` forbids downloads even when something asks for one. `previews` shows pictures
    while they are made. `defaults` are values of request fields, used where neither a request nor its
    model has one. `extensions_dirs` are searched for extensions besides our own folder; `safe_mode` starts with
    the bundled ones only, and `without_extensions` names those that this start leaves out. A call of the device that
    takes longer than `restart_on_hang` seconds starts the whole program anew (None: it is only told). What is
    remembered of an ended job goes after `keep_jobs` days, a saved picture after `keep_outputs` days, one in
    the gallery's trash after `trash_days` (0: never); logs of replies take at most `replies_gb`, those of
    saved pictures `steps_gb` (0: none is kept). Loaded models
    take at most `models_gb` of memory (None: a share of what is free at the start), but one always stays.
    A prompt has at most `max_chunks` chunks of 75 tokens. `log_format` is that of the log, see `webui.logs`.
    `file_pattern`, `picture_format`, `png_level`, `quality` and `webp_lossless` are how pictures are saved
    (`webui.naming.Saving`); `own_defaults` is what the user has chosen besides a model's own. `look` and
    `language` ("" is the browser's) are for visitors who chose none.

    `fixed` names what the command line has given. What people change while Easel runs is in `now`, which asks
    `source`; every other value stays what it was at the start.
    """

    data_dir: Path = ROOT
    models_dirs: tuple[Path, ...] = (ROOT / "models",)
    outputs_dir: Path = ROOT / "outputs"
    device: str = "auto"
    dtype: str = "auto"
    attention: str = "auto"
    deterministic: bool = False
    host: str = "127.0.0.1"
    port: int = 7860
    offline: bool = False
    previews: bool = True
    extensions_dirs: tuple[Path, ...] = ()
    safe_mode: bool = False
    without_extensions: tuple[str, ...] = ()
    restart_on_hang: float | None = None
    keep_jobs: float = 30
    keep_outputs: float = 0
    trash_days: float = 30
    replies_gb: float = 4
    steps_gb: float = 0
    models_gb: float | None = None
    max_chunks: int = 32
    log_format: str = "text"
    file_pattern: str = PATTERN
    picture_format: str = "png"
    png_level: int = 4
    quality: int = 90
    webp_lossless: bool = False
    look: str = "system"
    language: str = ""
    defaults: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    own_defaults: tuple[OwnDefaults, ...] = ()
    fixed: frozenset[str] = field(default=frozenset(), compare=False)
    source: Callable[[], Settings] | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if not DEVICE.fullmatch(self.device):
            raise RequestError(
                Sentence(
                    "device {device}: use auto, cpu, cuda, cuda:N or mps", device=repr(self.device)
                ),
                "device",
            )
        names = {"dtype": DTYPES, "attention": ATTENTIONS, "picture_format": FORMATS, "look": LOOKS}
        for name, known in names.items():
            if getattr(self, name) not in known:
                raise RequestError(
                    Sentence(
                        "{name} {getattr}: use {known}",
                        name=name,
                        getattr=repr(getattr(self, name)),
                        known=", ".join(known),
                    ),
                    name,
                )
        if self.restart_on_hang is not None and not self.restart_on_hang >= 1:
            raise RequestError(Sentence("restart_on_hang: use 1 second or more"), "restart_on_hang")
        for name in ("keep_jobs", "keep_outputs", "trash_days", "replies_gb", "steps_gb"):
            if not getattr(self, name) >= 0:
                raise RequestError(Sentence("{name}: use 0 or more", name=name), name)
        if self.models_gb is not None and not self.models_gb >= 0:
            raise RequestError(Sentence("models_gb: use 0 or more"), "models_gb")
        if not self.max_chunks >= 1:
            raise RequestError(Sentence("max_chunks: use 1 or more"), "max_chunks")
        if isinstance(self.port, bool) or not 0 <= self.port <= 65535:
            raise RequestError(
                Sentence("port {port}: use 0 to 65535 (0 takes a free one)", port=self.port), "port"
            )
        Pattern(self.file_pattern)
        for name, low, high in (("png_level", 0, 9), ("quality", 1, 100)):
            if not low <= getattr(self, name) <= high:
                raise RequestError(
                    Sentence("{name}: use {low} to {high}", name=name, low=low, high=high), name
                )
        unknown = sorted(set(self.defaults) - set(DEFAULTS))
        if unknown:
            raise RequestError(
                Sentence("defaults: {unknown} is no field of a request", unknown=repr(unknown[0])),
                "defaults",
            )
        object.__setattr__(self, "defaults", MappingProxyType(dict(self.defaults)))

    @property
    def now(self) -> Settings:
        """The settings of this moment: with what was changed since the start and acts at once."""
        return self if self.source is None else self.source()

    @property
    def local(self) -> bool:
        """Whether only this machine reaches the page."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @property
    def saving(self) -> Saving:
        return Saving(
            pattern=self.file_pattern,
            format=self.picture_format,
            png_level=self.png_level,
            quality=self.quality,
            lossless=self.webp_lossless,
        )

    @classmethod
    def at(cls, data_dir: Path, **values: Any) -> Settings:
        """Settings for a data folder: outputs go into it, its `models/` is searched after the shipped.

        A value that is None is left at its default, as an option that nobody gave.
        """
        given = {name: value for name, value in values.items() if value is not None}
        given.setdefault("outputs_dir", data_dir / "outputs")
        given.setdefault(
            "models_dirs", tuple(dict.fromkeys((ROOT / "models", data_dir / "models")))
        )
        return cls(data_dir=data_dir, **given)
