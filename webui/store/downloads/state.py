"""The list of downloads as it stays over restarts: one JSON file."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from webui.store.downloads.places import is_safe
from webui.types.library import Download, HubFile

__all__ = ["FILE", "read", "write"]

FILE = "downloads.json"
log = logging.getLogger(__name__)


def read(path: Path) -> list[Download]:
    """What was kept and still lies inside of the models folder; nothing where the file is missing or damaged."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        found = [
            Download(**{**one, "files": tuple(HubFile(**file) for file in one["files"])})
            for one in told
        ]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError, KeyError) as fault:
        log.warning("%s is not understood (%s); downloads begin anew", path, fault)
        return []
    return [one for one in found if is_safe(one)]


def write(path: Path, downloads: Iterable[Download]) -> None:
    """Keeps the list. A disk that says no is a warning: the downloads themselves go on."""
    told = [asdict(one) for one in downloads]
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps(told, indent=1), encoding="utf-8")
        os.replace(part, path)
    except OSError as fault:
        with suppress(OSError):
            part.unlink()
        log.warning("%s cannot be written: %s", path, fault.strerror)
