"""One file of a repository onto the disk: taken up where it stopped, checked, and never half there under its name.

What came stays: an answer that is not the file (a page that asks for a login, another length, other bytes) is told and
changes nothing on the disk.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import httpx

from webui.errors import EaselError, Sentence
from webui.store.downloads.hub import Hub, HubError, refusal
from webui.types.library import HubFile

__all__ = ["Stopped", "Wrong", "fetch", "verify"]

BLOCK = 4 << 20
PAGE = re.compile(rb"\s*<(!doctype|html|head|\?xml)", re.IGNORECASE)
PAGES = (".html", ".htm", ".xml", ".svg")  # files that may begin so
RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)$")


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
    Whatever the hub answers, `part` is never shorter afterwards.
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
            _must_be_the_file(answer, file, have)
            blocks = _blocks(answer)
            if answer.status_code == 200:
                blocks = _behind(blocks, part, have, file, came)
            before, have = have, _append(blocks, part, have, file, came)
            if have < file.size and answer.headers.get("transfer-encoding") == "chunked":
                os.truncate(part, before)  # an end that was told: nothing broke off
                raise _other(file, _bytes(have - before))
    except (httpx.HTTPError, httpx.InvalidURL) as fault:
        reason = str(fault) or type(fault).__name__
        said = Sentence("{file}: the connection broke off ({why})", file=file.path, why=reason)
        raise HubError(said, True) from fault
    except OSError as fault:
        raise EaselError(
            Sentence("{parent} cannot be written: {why}", parent=part.parent, why=fault.strerror)
        ) from fault
    if have < file.size:
        said = Sentence(
            "{file}: the connection broke off after {bytes} bytes", file=file.path, bytes=have
        )
        raise HubError(said, True)


def _must_be_the_file(answer: httpx.Response, file: HubFile, have: int) -> None:
    """Raises `HubError` where the answer's headers say that it is something else than the file, or its rest."""
    told = answer.headers
    kind = told.get("content-type", "").partition(";")[0].strip().lower()
    if kind in ("text/html", "application/xhtml+xml") and not _may_be_a_page(file):
        raise _page(file)
    if answer.status_code == 206:
        found = RANGE.match(told.get("content-range", ""))
        if found is None or int(found[1]) != have or told.get("content-encoding"):
            raise HubError(
                Sentence("{file}: the hub sends another part than was asked for", file=file.path)
            )
        if found[2] not in ("*", str(file.size)):
            raise _other(file, _bytes(found[2]))
        return
    length = told.get("content-length", "")
    packed = told.get("content-encoding", "identity") != "identity"  # then it is the packed one's
    if length.isdigit() and not packed and int(length) != file.size:
        raise _other(file, _bytes(length))


def _may_be_a_page(file: HubFile) -> bool:
    return PurePosixPath(file.path).suffix.lower() in PAGES


def _page(file: HubFile) -> HubError:
    return HubError(
        Sentence(
            "{file}: a web page came instead of the file; a login may be needed, or the network asks for one. "
            "What came before is kept; resume when that is done",
            file=file.path,
        )
    )


def _other(file: HubFile, what: Sentence) -> HubError:
    return HubError(
        Sentence(
            "{file}: the hub sends something else ({what}; the file has {size}). "
            "What came before is kept; resume later",
            file=file.path,
            what=what,
            size=file.size,
        )
    )


def _bytes(number: int | str) -> Sentence:
    return Sentence("{number} bytes", number=number)


def _blocks(answer: httpx.Response) -> Iterator[bytes]:
    """As they come: nothing is lost where it breaks off. What is packed though nobody asked is unpacked."""
    packed = answer.headers.get("content-encoding", "identity") != "identity"
    return answer.iter_bytes() if packed else answer.iter_raw()


def _behind(
    blocks: Iterator[bytes], part: Path, have: int, file: HubFile, came: Callable[[int], None]
) -> Iterator[bytes]:
    """Of a whole file what comes behind the `have` bytes that are there. Raises `HubError` where it is a page, or does
    not begin with those."""
    if not have:
        for number, block in enumerate(blocks):
            if number == 0 and PAGE.match(block) and not _may_be_a_page(file):
                raise _page(file)
            yield block
        return
    with part.open("rb") as there:
        for block in blocks:
            known = there.read(len(block)) if have else b""
            if block[: len(known)] != known:
                raise (
                    _page(file) if PAGE.match(block) else _other(file, Sentence("another content"))
                )
            have -= len(known)
            if rest := block[len(known) :]:
                yield rest
            else:
                came(part.stat().st_size)


def _append(
    blocks: Iterator[bytes], part: Path, have: int, file: HubFile, came: Callable[[int], None]
) -> int:
    """Writes blocks behind what is there; how many bytes there are then. One byte too many, and `part` is as before."""
    before = have
    with part.open("ab", buffering=0) as out:
        for block in blocks:
            have += len(block)
            if have > file.size:
                out.truncate(before)
                raise _other(file, Sentence("more than that"))
            _whole(out, block)
            came(have)
    return have


def _whole(out: BinaryIO, block: bytes) -> None:
    """A disk that is nearly full takes a part of a block without a word."""
    rest = memoryview(block)
    while rest:
        rest = rest[out.write(rest) :]


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
            Sentence(
                "{path}: the checksum is not the hub's, so the file was thrown away; get it again",
                path=file.path,
            )
        )
