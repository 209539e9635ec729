"""What a hub like huggingface.co says of a repository: which files there are, how large, with which SHA-256.

Addresses, headers and the form of the answers are `huggingface_hub`'s. The requests are ours: in this process the
library is offline, so that nothing is ever fetched that nobody asked for.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath
from typing import Any

import httpx

from webui.errors import EaselError, RequestError, Sentence
from webui.store.downloads.asking import Client
from webui.types.library import HubFile, HubListing

__all__ = ["Hub", "HubError", "refusal"]

ENDPOINT = "https://huggingface.co"
REPO = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
WEIGHTS = ".safetensors"
PICKLED = (".ckpt", ".pt", ".pth", ".bin", ".pkl")
INDEX = "model_index.json"
PARTS = ("unet", "vae", "text_encoder", "text_encoder_2", "scheduler", "tokenizer", "tokenizer_2")
SMALL = (".json", ".txt")
SMALL_BYTES = 32 << 20
TIMEOUT = httpx.Timeout(30, connect=15)


class HubError(EaselError):
    """The hub does not give what was asked for. `again` says whether asking later may help, after `wait_s`."""

    def __init__(self, sentence: Sentence, again: bool = False, wait_s: float = 0.0) -> None:
        super().__init__(sentence)
        self.again = again
        self.wait_s = wait_s


class Hub:
    """The hub at `endpoint`, or at HF_ENDPOINT, or the usual one. The token is HF_TOKEN's."""

    def __init__(self, endpoint: str | None = None) -> None:
        self.endpoint = (endpoint or os.environ.get("HF_ENDPOINT") or ENDPOINT).rstrip("/")

    def client(self) -> Client:
        from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined,unused-ignore]

        token = os.environ.get("HF_TOKEN") or False
        headers = build_hf_headers(token=token, library_name="easel")
        return Client(headers=headers, timeout=TIMEOUT)

    def address(self, repo: str, file: str, revision: str) -> str:
        from huggingface_hub import hf_hub_url

        return hf_hub_url(repo, file, revision=revision, endpoint=self.endpoint)

    def listing(self, repo: str) -> HubListing:
        """What a repository offers. Raises `RequestError` for what is no name, `HubError` for what the hub refuses."""
        from huggingface_hub.hf_api import ModelInfo

        repo = self.name_in(repo)
        address = f"{self.endpoint}/api/models/{repo}"
        try:
            with self.client() as client:
                answer = client.get(address, params={"blobs": "true"})
        except (httpx.HTTPError, httpx.InvalidURL) as fault:
            said = Sentence("{hub} does not answer: {why}", hub=self.endpoint, why=_said(fault))
            raise HubError(said, True) from fault
        if answer.status_code != 200:
            raise refusal(answer, repo, self.endpoint)
        try:
            info = ModelInfo(**answer.json())  # type: ignore[no-untyped-call,unused-ignore]
            siblings = [_file(one) for one in info.siblings or ()]
        except (ValueError, TypeError, KeyError, AttributeError) as fault:
            said = Sentence(
                "{hub}: its answer about {repo} is not understood", hub=self.endpoint, repo=repo
            )
            raise HubError(said) from fault
        files = [one for one in siblings if one is not None]
        weights = tuple(one for one in files if one.path.endswith(WEIGHTS))
        pickled = [one for one in files if PurePosixPath(one.path).suffix.lower() in PICKLED]
        return HubListing(
            repo=repo,
            revision=info.sha or "main",
            files=weights,
            folder=_folder(files),
            refused=len(pickled),
        )

    def name_in(self, words: str) -> str:
        """The repository that somebody means: `owner/name`, or an address of it."""
        words = words.strip().removeprefix(self.endpoint).removeprefix(ENDPOINT).strip("/")
        name = "/".join(words.split("/")[:2])
        if not REPO.fullmatch(name) or ".." in name:
            raise RequestError(Sentence("repository: write it as owner/name"), "repo")
        return name


def refusal(answer: httpx.Response, what: str, endpoint: str) -> HubError:
    """The sentence for an answer that is none."""
    status = answer.status_code
    if status in (401, 403):
        if os.environ.get("HF_TOKEN"):
            return HubError(
                Sentence(
                    "{what}: HF_TOKEN has no access; accept its terms at {address}, or it does not exist",
                    what=what,
                    address=f"{endpoint}/{what}",
                )
            )
        return HubError(
            Sentence(
                "{what}: the hub wants to know who asks, or there is no such repository; accept its terms at "
                "{address} and start Easel with your token in HF_TOKEN",
                what=what,
                address=f"{endpoint}/{what}",
            )
        )
    if status == 404:
        return HubError(Sentence("{what}: the hub has nothing of that name", what=what))
    if status == 429:
        told = answer.headers.get("retry-after", "")
        wait_s = float(told) if told.isdigit() else 10.0
        many = Sentence(
            "{what}: the hub has too many requests from here; try again later", what=what
        )
        return HubError(many, True, wait_s)
    said = Sentence("{what}: the hub answers with error {status}", what=what, status=status)
    return HubError(said, status >= 500)


def _file(told: Any) -> HubFile | None:
    """A file of an answer, None for one whose name leads elsewhere or whose size nobody knows."""
    path = PurePosixPath(told.rfilename)
    wrong = (
        path.is_absolute() or ".." in path.parts or "\\" in told.rfilename or ":" in told.rfilename
    )
    if wrong or not path.parts or not isinstance(told.size, int) or told.size < 0:
        return None
    lfs = told.lfs
    return HubFile(
        path=str(path),
        size=told.size,
        sha256=lfs.sha256 if lfs else "",
        blob="" if lfs else told.blob_id or "",
    )


def _folder(files: Sequence[HubFile]) -> tuple[HubFile, ...]:
    """The files that make a diffusers folder, in 16-bit numbers where every part has them; empty where it is none."""
    if not any(one.path == INDEX for one in files):
        return ()
    chosen = [one for one in files if one.path == INDEX]
    weights: dict[str, list[HubFile]] = {}
    for one in files:
        part, _, rest = one.path.partition("/")
        if part not in PARTS or not rest or "/" in rest:
            continue
        if rest.endswith(SMALL) and one.size <= SMALL_BYTES and ".index." not in rest:
            chosen.append(one)
        elif rest.endswith(WEIGHTS) and "non_ema" not in rest and "ema_only" not in rest:
            weights.setdefault(part, []).append(one)
    if "unet" not in weights:
        return ()
    half = {part: _half(found) for part, found in weights.items()}
    plain = {part: [one for one in found if _is_whole(one)] for part, found in weights.items()}
    best = half if all(half.values()) else plain
    if not all(best.values()):
        return ()
    return (*chosen, *(one for found in best.values() for one in found))


def _half(files: Iterable[HubFile]) -> list[HubFile]:
    return [one for one in files if one.path.endswith(f".fp16{WEIGHTS}")]


def _is_whole(file: HubFile) -> bool:
    """Whether a file has all of a part's weights under their usual name: no variant, no shard."""
    name = PurePosixPath(file.path).name
    return name in (f"diffusion_pytorch_model{WEIGHTS}", f"model{WEIGHTS}")


def _said(fault: Exception) -> str:
    return str(fault) or type(fault).__name__
