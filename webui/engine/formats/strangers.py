"""Files that are called models and are something else, told by their first bytes."""

from __future__ import annotations

import re

__all__ = ["CONVERT", "stranger"]

CONVERT = "convert it: python launch.py models convert FILE"
POINTER = b"version https://git-lfs.github.com/spec/"
PAGE = re.compile(rb"\s*<(!doctype|html|head|\?xml)", re.IGNORECASE)
PICKLE = re.compile(rb"\x80[\x02-\x05]")
WEB_ERROR = re.compile(rb"\s*\{\s*\"")


def stranger(begin: bytes, ending: str = ".safetensors") -> str | None:
    """What a file is that begins with these bytes (512 or all), where that is known and no safetensors file.

    `ending` is that of its name.
    """
    if begin[4:9] == b"\0\0\0\0{":  # a header's length may look like any of the marks below
        return None
    if begin.startswith(POINTER):
        return "a pointer of Git LFS, not the file itself; get it with `git lfs pull`"
    if PAGE.match(begin):
        return "a web page, not a model; the download went wrong (a login may be needed)"
    if WEB_ERROR.match(begin):
        return "a message in JSON, not a model; the download went wrong"
    if begin.startswith(b"PK\x03\x04") or PICKLE.match(begin) or begin[257:262] == b"ustar":
        return f"a pickle named {ending}; pickles can run code when opened; {CONVERT}"
    if begin.startswith(b"GGUF"):
        return "a GGUF file; only safetensors files load"
    if begin.startswith((b"\x1f\x8b", b"7z\xbc\xaf", b"Rar!")):
        return "an archive; unpack it first"
    if begin.startswith(b"\x89HDF"):
        return "an HDF5 file; only safetensors files load"
    if len(begin) >= 8 and not any(begin):
        return "begins with zeros: a download that has not ended, or went wrong"
    return None
