"""Which settings there are, as data: what the page draws, and what a value must be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from webui.errors import RequestError, Sentence
from webui.naming import Pattern
from webui.settings import OwnDefaults, Settings
from webui.types import DEFAULTS as FIELD_DEFAULTS
from webui.types import Choice, Control, Number, Switch, Text

__all__ = ["GROUPS", "SETTINGS", "Kind", "Setting"]

Kind = Literal["", "folder", "pattern", "defaults", "look", "language"]
FOREVER = 36_500  # days
DEFAULTS_MAX = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One setting. Its control's name is the field of `Settings`; `kind` is what the control alone does not say.

    `restart`: it acts from the next start on. `flag` is the option of the command line that overrides it.
    `empty` says what no value means, where there may be none.
    """

    control: Control
    group: str
    kind: Kind = ""
    restart: bool = False
    flag: str = ""
    empty: str = ""

    @property
    def name(self) -> str:
        return self.control.name

    def read(self, value: object) -> Any:
        """`value` as `settings.json` has it. One that the setting does not take raises `RequestError`."""
        if value is None and self.empty:
            return None
        if self.kind == "defaults":
            return _read_defaults(self.name, value)
        found = self.control.read(value)
        if self.kind == "pattern":
            Pattern(found)
        elif self.kind == "folder":
            found = found.strip()
            if found and not Path(found).is_absolute():
                raise RequestError(
                    Sentence("{name}: give the whole path of a folder", name=self.name), self.name
                )
        elif self.kind == "language" and len(found) > 35:
            raise RequestError(
                Sentence("{name}: {found} is no language", name=self.name, found=repr(found)),
                self.name,
            )
        return found

    def of(self, settings: Settings) -> Any:
        """The setting's value in `settings`, as `settings.json` would have it."""
        value = getattr(settings, self.name)
        if self.kind == "folder":
            return "" if value == settings.data_dir / "outputs" else str(value)
        if self.kind == "defaults":
            return [
                {"task": own.task, "model": own.model, "values": dict(own.values)} for own in value
            ]
        return value

    def put(self, value: Any, data_dir: Path) -> Any:
        """What the field of `Settings` becomes with a value that was read."""
        if self.kind == "folder":
            return Path(value) if value else data_dir / "outputs"
        if self.kind == "defaults":
            return tuple(
                OwnDefaults(task=v["task"], model=v["model"], values=MappingProxyType(v["values"]))
                for v in value
            )
        return value


def _read_defaults(name: str, value: object) -> list[dict[str, Any]]:
    """Chosen defaults, in their shape; whether the names in them exist is for who has a catalog to say."""

    def wrong(what: str) -> RequestError:
        return RequestError(Sentence("{name}: {what}", name=name, what=what), name)

    if not isinstance(value, list) or len(value) > DEFAULTS_MAX:
        raise wrong(f"give a list of at most {DEFAULTS_MAX} entries")
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for entry in value:
        if not isinstance(entry, Mapping) or set(entry) - {"task", "model", "values"}:
            raise wrong('an entry has "task", "model" and "values"')
        task, model, values = entry.get("task", ""), entry.get("model", ""), entry.get("values")
        if not isinstance(task, str) or not isinstance(model, str) or not (task or model):
            raise wrong("an entry names a task, a model, or both")
        if not isinstance(values, Mapping):
            raise wrong('an entry\'s "values" are names of fields with their values')
        unknown = sorted(str(field) for field in values if field not in FIELD_DEFAULTS)
        if unknown:
            raise wrong(f"{unknown[0]!r} is no field of a request")
        if (task, model) in found:
            raise wrong(f"{' and '.join(filter(None, (task, model)))} is there twice")
        found[task, model] = {"task": task, "model": model, "values": dict(values)}
    return list(found.values())


def _days(name: str, label: str, info: str) -> Number:
    return Number(name=name, label=label, info=info, minimum=0, maximum=FOREVER, step=1)


SAVING, KEEPING, MAKING = "Saving pictures", "Keeping", "Generating"
DEFAULTS, ENGINE, PAGE = "Defaults", "Engine", "Page"
GROUPS: Mapping[str, str] = MappingProxyType(
    {
        SAVING: "Where pictures go, what they are called and how they are written.",
        MAKING: "What happens while pictures are made.",
        DEFAULTS: "Values that forms, API and command line take where nothing else is said.",
        PAGE: "How this page looks to everybody who has not chosen otherwise.",
        KEEPING: "What is deleted, and when. Favourites are never deleted.",
        ENGINE: "What the networks run on.",
    }
)

SETTINGS: tuple[Setting, ...] = (
    Setting(
        group=SAVING,
        kind="pattern",
        control=Text(
            name="file_pattern",
            label="File name pattern",
            info="The path below the folder, without the ending; / makes folders.",
        ),
    ),
    Setting(
        group=SAVING,
        kind="folder",
        restart=True,
        flag="--outputs-dir",
        control=Text(
            name="outputs_dir",
            label="Folder for pictures",
            info="The whole path. Empty: the folder outputs beside Easel's other data.",
        ),
    ),
    Setting(
        group=SAVING,
        control=Choice(
            name="picture_format",
            label="Picture format",
            info="Every format keeps the settings that made the picture. Animations keep their own.",
            choices=(("PNG", "png"), ("JPEG", "jpeg"), ("WebP", "webp")),
        ),
    ),
    Setting(
        group=SAVING,
        control=Number(
            name="quality",
            label="Quality",
            info="Of JPEG and WebP: higher is better and larger.",
            minimum=1,
            maximum=100,
            whole=True,
        ),
    ),
    Setting(
        group=SAVING,
        control=Switch(
            name="webp_lossless",
            label="Lossless WebP",
            info="Every pixel is kept, as in a PNG; files are larger.",
        ),
    ),
    Setting(
        group=SAVING,
        control=Number(
            name="png_level",
            label="PNG compression",
            info="Higher is slower and a little smaller; the picture is the same.",
            minimum=0,
            maximum=9,
            whole=True,
        ),
    ),
    Setting(
        group=MAKING,
        control=Switch(
            name="previews",
            label="Live previews",
            info="Shows pictures while they are made.",
        ),
    ),
    Setting(
        group=MAKING,
        control=Number(
            name="max_chunks",
            label="Longest prompt, in chunks",
            info="A chunk is 75 tokens, or what BREAK ends. Longer prompts are refused.",
            minimum=1,
            maximum=1000,
            whole=True,
        ),
    ),
    Setting(
        group=DEFAULTS,
        kind="defaults",
        control=Control(
            name="own_defaults",
            label="Your defaults",
            info="For a task, a model, or a model in a task. A model's own defaults come before a task's.",
        ),
    ),
    Setting(
        group=PAGE,
        kind="look",
        control=Choice(
            name="look",
            label="Look",
            choices=(("System", "system"), ("Light", "light"), ("Dark", "dark")),
        ),
    ),
    Setting(
        group=PAGE,
        kind="language",
        control=Text(
            name="language", label="Language", info="More can be added as files: see the guide."
        ),
    ),
    Setting(
        group=KEEPING,
        restart=True,
        flag="--keep-outputs",
        control=_days(
            "keep_outputs", "Delete pictures after days", "Pictures that Easel made. 0: never."
        ),
    ),
    Setting(
        group=KEEPING,
        restart=True,
        control=_days(
            "trash_days", "Empty the trash after days", "Pictures in the gallery's trash. 0: never."
        ),
    ),
    Setting(
        group=KEEPING,
        restart=True,
        flag="--keep-jobs",
        control=_days("keep_jobs", "Forget ended jobs after days", "0: never."),
    ),
    Setting(
        group=KEEPING,
        restart=True,
        flag="--replies-gb",
        control=Number(
            name="replies_gb",
            label="Room for running jobs, in GB",
            info="What running and paused jobs may take on disk, so that they survive a restart.",
            minimum=0,
            maximum=10_000,
            step=0.5,
        ),
    ),
    Setting(
        group=KEEPING,
        restart=True,
        control=Number(
            name="steps_gb",
            label="Room for the steps of finished pictures, in GB",
            info="Every step is kept beside the jobs; the oldest pictures' go first. 0: none.",
            minimum=0,
            maximum=10_000,
            step=0.5,
        ),
    ),
    Setting(
        group=ENGINE,
        restart=True,
        flag="--device",
        control=Choice(
            name="device",
            label="Device",
            info="Where networks run.",
            choices=(
                ("Automatic", "auto"),
                ("Processor (CPU)", "cpu"),
                ("NVIDIA or AMD GPU", "cuda"),
                ("Second GPU", "cuda:1"),
                ("Apple GPU", "mps"),
            ),
        ),
    ),
    Setting(
        group=ENGINE,
        restart=True,
        flag="--dtype",
        control=Choice(
            name="dtype",
            label="Precision",
            info="The numbers that networks run in.",
            choices=(
                ("Automatic", "auto"),
                ("float32", "float32"),
                ("bfloat16", "bfloat16"),
                ("float16", "float16"),
            ),
        ),
    ),
    Setting(
        group=ENGINE,
        restart=True,
        flag="--attention",
        control=Choice(
            name="attention",
            label="Attention",
            info="Who computes attention.",
            choices=(("Automatic", "auto"), ("PyTorch (SDPA)", "sdpa"), ("xFormers", "xformers")),
        ),
    ),
    Setting(
        group=ENGINE,
        restart=True,
        flag="--deterministic",
        control=Switch(
            name="deterministic",
            label="Deterministic",
            info="The same bits whatever else runs; slower where several work at once.",
        ),
    ),
    Setting(
        group=ENGINE,
        restart=True,
        flag="--models-gb",
        empty="automatic",
        control=Number(
            name="models_gb",
            label="Memory for models, in GB",
            info="Loaded models stay so long as they fit; one always stays. Empty: a share of what is free.",
            minimum=0,
            maximum=10_000,
            step=0.5,
        ),
    ),
    Setting(
        group=ENGINE,
        restart=True,
        flag="--restart-on-hang",
        empty="never",
        control=Number(
            name="restart_on_hang",
            label="Restart when the device hangs, after seconds",
            info="Easel starts anew and goes on with its jobs.",
            minimum=1,
            maximum=86_400,
        ),
    ),
    Setting(
        group=ENGINE,
        restart=True,
        flag="--port",
        control=Number(
            name="port",
            label="Port",
            info="Of this page's address. 0 takes a free one.",
            minimum=0,
            maximum=65_535,
            whole=True,
        ),
    ),
    Setting(
        group=ENGINE,
        restart=True,
        flag="--offline",
        control=Switch(
            name="offline",
            label="Offline",
            info="Never uses the network, even when something asks for a download.",
        ),
    ),
)
