"""What people have chosen on the page, for later starts: one JSON object in `settings.json` of the data folder."""

from __future__ import annotations

import json
import logging
import os
import shutil
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from webui.errors import EaselError, Sentence

__all__ = ["FILE", "HISTORY", "change", "read", "write"]

FILE = "settings.json"
HISTORY = "settings.history"  # a folder of what it was before, the newest name last
KEPT = 20  # of those
log = logging.getLogger(__name__)
_changing = threading.Lock()  # between reading and writing


def read(data_dir: Path) -> dict[str, Any]:
    """What was written last, empty when nothing was. A damaged file is set aside with a message in the log."""
    path = data_dir / FILE
    try:
        values = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except OSError as error:
        log.error("%s cannot be read (%s); Easel goes on without it", path, error.strerror)
        return {}
    except ValueError as error:  # no JSON, or no UTF-8
        return set_aside(path, str(error))
    return values if isinstance(values, dict) else set_aside(path, "it holds no JSON object")


def set_aside(path: Path, reason: str) -> dict[str, Any]:
    aside = path.with_name(path.name + ".damaged")
    if aside.exists():  # that of another time stays
        aside = path.with_name(f"{aside.name}-{time.time_ns()}")
    try:
        os.replace(path, aside)
        log.error("%s is damaged (%s); it is now %s, and Easel starts anew", path, reason, aside)
    except OSError as error:
        log.error("%s is damaged (%s) and stays there: %s", path, reason, error.strerror)
    return {}


def write(data_dir: Path, values: Mapping[str, Any]) -> None:
    """Replaces what is remembered, wholly or not at all; what it was is kept in the history. Raises `EaselError`
    where it cannot be written."""
    path = data_dir / FILE
    part = path.with_name(f"{FILE}.{os.getpid()}.tmp")
    text = json.dumps(dict(values), indent=1, ensure_ascii=False) + "\n"
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        with part.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        _remember(path)
        os.replace(part, path)
    except OSError as error:
        with suppress(OSError):  # the folder itself may be what is wrong
            part.unlink()
        raise EaselError(
            Sentence("{path} cannot be written: {why}", path=path, why=error.strerror)
        ) from None


def change(data_dir: Path, values: Mapping[str, Any]) -> None:
    """Puts `values` in the place of those of their names and leaves the others. Raises as `write` does."""
    with _changing:
        write(data_dir, {**read(data_dir), **values})


def _remember(path: Path) -> None:
    """Keeps a copy of the file as it is, named by the time, and forgets the oldest ones."""
    if not path.exists():
        return
    folder = path.with_name(HISTORY)
    folder.mkdir(exist_ok=True)
    shutil.copyfile(path, folder / f"{time.time_ns():020}.json")
    for old in sorted(folder.glob("*.json"))[:-KEPT]:
        old.unlink(missing_ok=True)
