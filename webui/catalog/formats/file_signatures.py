"""Files that are called models and are something else, told by their first bytes."""

from __future__ import annotations

import os
import re
import shlex

from webui.errors import Sentence

__all__ = ["ZIP", "pickled", "stranger"]

ZIP = b"PK\x03\x04"  # what PyTorch writes since 1.6, and what can be converted
POINTER = b"version https://git-lfs.github.com/spec/"
PAGE = re.compile(rb"\s*<(!doctype|html|head|\?xml)", re.IGNORECASE)
PICKLE = re.compile(rb"\x80[\x02-\x05]")
PICKLES = (".ckpt", ".pt", ".pth", ".bin")
WEB_ERROR = re.compile(rb"\s*\{\s*\"")


def stranger(begin: bytes, ending: str = ".safetensors") -> str | None:
    """What a file is that begins with these bytes (512 or all), where that is known and no safetensors file.

    `ending` is that of its name.
    """
    if begin[4:9] == b"\0\0\0\0{":  # a header's length may look like any of the marks below
        return None
    if begin.startswith(POINTER):
        return Sentence("a pointer of Git LFS, not the file itself; get it with `git lfs pull`")
    if PAGE.match(begin):
        return Sentence("a web page, not a model; the download went wrong (a login may be needed)")
    if WEB_ERROR.match(begin):
        return Sentence("a message in JSON, not a model; the download went wrong")
    if begin.startswith(ZIP):
        return Sentence(
            "a pickle named {ending}; pickles can run code when opened; rename it "
            "to .ckpt, which can be converted",
            ending=ending,
        )
    if PICKLE.match(begin) or begin[257:262] == b"ustar":
        if ending.lower() in PICKLES:
            return Sentence(
                "is of PyTorch before 1.6, which is not read; get a .safetensors file of it"
            )
        return Sentence(
            "a pickle named {ending}, as PyTorch before 1.6 wrote them; pickles "
            "can run code when opened; get a .safetensors file of it",
            ending=ending,
        )
    if begin.startswith(b"GGUF"):
        return Sentence("a GGUF file; only safetensors files load")
    if begin.startswith((b"\x1f\x8b", b"7z\xbc\xaf", b"Rar!")):
        return Sentence("an archive; unpack it first")
    if begin.startswith(b"\x89HDF"):
        return Sentence("an HDF5 file; only safetensors files load")
    if len(begin) >= 8 and not any(begin):
        return Sentence("begins with zeros: a download that has not ended, or went wrong")
    return None


def pickled(path: str) -> str:
    """Why a pickled file is not opened, with the command that takes its weights out, which can be pasted anywhere: it
    names the whole path."""
    whole = os.path.abspath(path)
    said = f'"{whole}"' if os.name == "nt" else shlex.quote(whole)
    return Sentence(
        "pickled files can run code when opened and are refused; "
        "convert it: python launch.py models convert {path}",
        path=said,
    )
