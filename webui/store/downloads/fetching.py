"""One file of a repository onto the disk: taken up where it stopped, checked, and never half there under its name."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import httpx

from webui.errors import EaselError
from webui.store.downloads.hub import Hub, HubError, refusal
from webui.types.library import HubFile

__all__ = ["Stopped", "Wrong", "fetch", "verify"]

BLOCK = 4 << 20


class Stopped(Exception):
    """Whoever is asked between two blocks said that it is enough."""


class Wrong(EaselError):
    """What came is not what the hub said that it is."""


def fetch(
    client: httpx.Client,
    hub: Hub,
    repo: str,
    revision: str,
    file: HubFile,
    part: Path,
    came: Callable[[int], None],
) -> None:
    """Appends to `part` what it lacks of a file; `came` hears how many bytes are there, and may raise `Stopped`.

    Raises `HubError`, with `again` where the connection broke off, and `EaselError` where the disk cannot be written.
    """
    have = part.stat().st_size if part.is_file() else 0
    if have > file.size:
        part.unlink()
        have = 0
    came(have)
    if have == file.size:
        if not file.size:
            part.touch()
        return
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    try:
        with client.stream(
            "GET", hub.address(repo, file.path, revision), headers=headers
        ) as answer:
            if answer.status_code not in (200, 206):
                raise refusal(answer, repo, hub.endpoint)
            begins = answer.headers.get("content-range", "")
            if answer.status_code == 206 and not begins.startswith(f"bytes {have}-"):
                raise HubError(f"{file.path}: the hub sends another part than was asked for")
            fresh = answer.status_code == 200
            with part.open("wb" if fresh else "ab", buffering=0) as out:
                have = 0 if fresh else have
                for block in answer.iter_raw():  # as it comes: nothing is lost where it breaks off
                    have += len(block)
                    if have > file.size:
                        raise Wrong(f"{file.path}: the hub sends more than it said; get it again")
                    out.write(block)
                    came(have)
    except httpx.HTTPError as fault:
        reason = str(fault) or type(fault).__name__
        raise HubError(f"{file.path}: the connection broke off ({reason})", True) from fault
    except OSError as fault:
        raise EaselError(f"{part.parent} cannot be written: {fault.strerror}") from fault
    if have < file.size:
        raise HubError(f"{file.path}: the connection broke off after {have} bytes", True)


def verify(file: HubFile, part: Path, came: Callable[[int], None]) -> None:
    """Compares a whole file with what the hub said of it: SHA-256, or of a small one git's SHA-1. Raises `Wrong`."""
    git = hashlib.sha1(f"blob {file.size}\0".encode(), usedforsecurity=False)
    digest, done = (hashlib.sha256() if file.sha256 else git), 0
    with part.open("rb", buffering=0) as opened:
        while block := opened.read(BLOCK):
            digest.update(block)
            done += len(block)
            came(done)
    told = file.sha256 or file.blob
    if done != file.size or (told and digest.hexdigest() != told.lower()):
        raise Wrong(
            f"{file.path}: the checksum is not the hub's, so the file was thrown away; get it again"
        )
