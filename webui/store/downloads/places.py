"""Where a download lies on the disk: half-done, whole, and whether there is room for it."""

from __future__ import annotations

import shutil
from pathlib import Path, PurePosixPath

from webui.errors import EaselError, Sentence
from webui.types.library import FOLDERS, Download

__all__ = ["MARGIN", "Place", "is_safe", "target_of"]

MARGIN = 1 << 30  # bytes that stay free on the disk
NAMELESS = (  # names that say nothing outside of their repository
    *("diffusion_pytorch_model.safetensors", "model.safetensors"),
    *("pytorch_lora_weights.safetensors", "diffusion_pytorch_model.fp16.safetensors"),
)


class Place:
    """The models folder `models` as downloads use it. What is not whole lies in a hidden folder beside its place."""

    def __init__(self, models: Path) -> None:
        self.models = models

    def target(self, download: Download) -> Path:
        return self.models / download.target

    def work(self, download: Download) -> Path:
        """The hidden folder."""
        return self.target(download).with_name(f".{download.id}.part")

    def there(self, download: Download) -> int:
        """The bytes that came and are not whole yet."""
        work = self.work(download)
        return sum(_size(work / file.path) for file in download.files)

    def clear(self, download: Download) -> None:
        """Deletes what is not whole."""
        shutil.rmtree(self.work(download), ignore_errors=True)

    def tidy(self, download: Download) -> None:
        """Deletes the hidden folder where nothing that came is left in it."""
        if not any((self.work(download) / file.path).is_file() for file in download.files):
            self.clear(download)

    def demand_room(self, download: Download) -> None:
        """Raises `EaselError` where the disk has no room for what is still to come."""
        missing = download.size - self.there(download)
        place = self.models
        while not place.exists() and place != place.parent:
            place = place.parent
        free = shutil.disk_usage(place).free
        if missing + MARGIN > free:
            raise EaselError(
                Sentence(
                    "{target} needs {missing}, and the disk has {free} free; {margin} are "
                    "to stay free",
                    target=download.target,
                    missing=_gb(missing),
                    free=_gb(free),
                    margin=_gb(MARGIN),
                )
            )


def target_of(kind: str, repo: str, path: str) -> str:
    """Where a file of a repository goes, or all of one where `path` is "": its path below the models folder."""
    name = repo.partition("/")[2]
    last = _plain(PurePosixPath(path).name if path else name)
    if last in NAMELESS:
        last = f"{_plain(name)}.safetensors"
    return f"{FOLDERS[kind]}/{last}"


def is_safe(kept: Download) -> bool:
    """Whether what was remembered still stays inside of the models folder."""
    names = [PurePosixPath(kept.target), *(PurePosixPath(file.path) for file in kept.files)]
    inside = all(not one.is_absolute() and ".." not in one.parts for one in names)
    return inside and kept.id.isalnum() and names[0].parts[0] in FOLDERS.values()


def _plain(name: str) -> str:
    """A file's name as every system takes it."""
    kept = "".join(sign if sign.isalnum() or sign in "._- ()+" else "_" for sign in name)
    return kept.strip(". ") or "model"


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
