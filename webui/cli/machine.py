"""What this machine has, what Easel will use of it, and why."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import sys
from pathlib import Path

from webui import __version__
from webui.errors import EaselError
from webui.registry import Catalog
from webui.settings import STORE, Settings
from webui.store.database import InUse
from webui.store.jobs import JobStore

__all__ = ["doctor"]

LIBRARIES = ("torch", "diffusers", "transformers", "gradio", "xformers")


def doctor(catalog: Catalog, settings: Settings) -> int:
    """Prints what there is and what will be used; 1 when no picture could be made here, else 0."""
    healthy = True
    tell("Easel", __version__)
    tell("Python", f"{platform.python_version()} ({sys.executable})")
    tell("System", f"{platform.platform()}, {os.cpu_count()} cores{memory()}")
    for library in LIBRARIES:
        tell(library, installed(library))
    try:
        from webui.engine.placement import place

        placed = place(settings.device, settings.dtype, settings.attention)
    except (EaselError, ImportError, OSError) as error:  # OSError: a library of torch's is missing
        tell("Device", f"PROBLEM: {error}")
        healthy = False
    else:
        tell("Device", f"{placed.device}: {placed.device_reason}")
        tell("Dtype", f"{placed.dtype_name}: {placed.dtype_reason}")
        tell("Attention", f"{placed.attention.name}: {placed.attention.reason}")
    cards = catalog.list_models()
    for card in cards:
        tell(
            "Model",
            f"{card.name}: " + (f"PROBLEM: {card.problem}" if card.problem else card.family),
        )
    if all(card.problem for card in cards):
        folders = ", ".join(str(folder) for folder in settings.models_dirs)
        tell("Models", f"PROBLEM: none that can be used in {folders}; see docs/models.md")
        healthy = False
    state, sound = store_state(settings.data_dir)
    tell("Jobs", state)
    healthy = healthy and sound
    tell("Pictures", f"{settings.outputs_dir}, {free_gb(settings.outputs_dir):.0f} GB free")
    return 0 if healthy else 1


def store_state(data_dir: Path) -> tuple[str, bool]:
    """What the job store holds, and whether Easel can work with it."""
    folder = data_dir / STORE
    if not folder.exists():
        return f"{folder} is made at the first start", True
    try:
        store = JobStore(folder)
    except InUse:
        return f"{folder} is in use by a running Easel", True
    except EaselError as error:
        return f"PROBLEM: {error}", False
    try:
        if store.set_aside is not None:
            return f"it was damaged; it is kept as {store.set_aside}, and a new one is begun", True
        return f"{folder}: {len(store.unfinished())} unfinished", True
    finally:
        store.close()


def tell(what: str, value: str) -> None:
    print(f"{what:13}{value}", flush=True)


def installed(library: str) -> str:
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def memory() -> str:
    """ ", 8 GB memory", or nothing where the system does not say."""
    try:
        size = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return ""
    return f", {size / 1e9:.0f} GB memory"


def free_gb(folder: Path) -> float:
    """Free space where `folder` is or will be."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    return shutil.disk_usage(there).free / 1e9
