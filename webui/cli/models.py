"""`models`: the model files of this machine, told, hashed, converted and merged from a terminal."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from webui.catalog.formats.hashing import sha256_of, stamp_of
from webui.catalog.formats.merging import merge
from webui.catalog.formats.pickles import convert
from webui.catalog.formats.recipes import DTYPES, METHODS, Recipe
from webui.catalog.formats.walking import PICKLES
from webui.catalog.model_folders import AdapterFiles
from webui.errors import ModelFileError, RequestError
from webui.options import SentenceParser
from webui.registry import Registry
from webui.settings import Settings
from webui.store.models import ModelIndex
from webui.types import ModelCard

__all__ = ["models", "models_help", "models_parser"]

HEADS = ("NAME", "FAMILY", "SIZE", "HASH", "PROBLEM")
ENDING = ".safetensors"


def models_parser() -> SentenceParser:
    return parsers()[0]


def models_help(words: Sequence[str]) -> str:
    """The help of the command that `words` begin with, of all where they name none."""
    parser, commands = parsers()
    return commands.get(next(iter(words), ""), parser).format_help()


def parsers() -> tuple[SentenceParser, Mapping[str, SentenceParser]]:
    """The parser, and those of its commands."""
    parser = SentenceParser(
        prog="python launch.py models",
        description="The model files of this machine. A MODEL is a name of the list, or a file.",
        add_help=False,
        allow_abbrev=False,
    )
    what = parser.add_subparsers(
        dest="what", metavar="list|info|hash|convert|merge", parser_class=SentenceParser
    )
    listed = what.add_parser("list", add_help=False, help="every model, and what is wrong with it")
    info = what.add_parser("info", add_help=False, help="all that is known of one")
    info.add_argument("model", metavar="MODEL")
    for one in (listed, info):
        one.add_argument("--json", action="store_true", help="as JSON")
    hashed = what.add_parser("hash", add_help=False, help="SHA-256, and its short form")
    hashed.add_argument("models", metavar="MODEL", nargs="+")
    converted = what.add_parser(
        "convert", add_help=False, help="a pickled .ckpt to .safetensors; the pickle is never run"
    )
    converted.add_argument("model", metavar="FILE")
    merged = what.add_parser("merge", add_help=False, help="a new checkpoint out of one to three")
    merged.add_argument("models", metavar="MODEL", nargs="+", help="A, or A B, or A B C")
    merged.add_argument(
        "--method",
        choices=METHODS,
        help="weighted-sum (of two) is A·(1-alpha) + B·alpha, add-difference (of three) A + (B-C)·alpha",
    )
    merged.add_argument("--alpha", type=float, default=0.3, help="how much of B (0.3)")
    number = merged.add_mutually_exclusive_group()
    for dtype in DTYPES:
        number.add_argument(
            f"--{dtype}", dest="dtype", action="store_const", const=dtype, help=f"write {dtype}"
        )
    merged.add_argument("--vae", metavar="VAE", help="bake this one in: of models/VAE, or any file")
    merged.add_argument("--discard", metavar="REGEX", default="", help="leave such tensors out")
    for one, needed in ((converted, False), (merged, True)):
        one.add_argument(
            "-o", dest="output", metavar="NAME", required=needed, help="of the new file"
        )
    return parser, what.choices


def models(
    words: Sequence[str],
    settings: Settings,
    list_models: Callable[[], Sequence[ModelCard]],
    index: ModelIndex | None = None,
) -> int:
    """Does what `words` say and prints what came of it; gives 0. Hashes are kept in the `index`, if there is one.

    Raises `EaselError` with a sentence.
    """
    asked = models_parser().parse_args(list(words))
    if asked.what in (None, "list"):
        cards = list_models()
        as_json = asked.what == "list" and asked.json
        print(json.dumps([told(card) for card in cards], indent=2) if as_json else table(cards))
        return 0
    if asked.what == "info":
        card = found(asked.model, list_models())
        print(json.dumps(told(card), indent=2) if asked.json else shown(card))
        return 0
    keeper = Hashes(index)
    if asked.what == "hash":
        for path in [file_of(word, list_models) for word in asked.models]:
            digest = keeper.of(path)
            print(f"{digest[:10]}  {digest}  {path}")
        return 0
    if asked.what == "convert":
        path = file_of(asked.model, list_models)
        if path.suffix.lower() not in (*PICKLES, ".bin"):
            raise RequestError(f"{path.name}: only {', '.join(PICKLES)} files are converted")
        target = target_of(asked.output, settings) if asked.output else path.with_suffix(ENDING)
        written = convert(path, target, lambda what, share: progress(f"{what} {share:.0%}"))
        progress("")
        if written.dropped:
            print(f"Left out, since they are no weights: {', '.join(written.dropped)}")
        print(f"{written.path}: {written.tensors} tensors, hash {written.sha256[:10]}")
        return 0
    recipe = Recipe(
        models=tuple(file_of(word, list_models) for word in asked.models),
        method=asked.method
        or {1: "none", 2: "weighted-sum"}.get(len(asked.models), "add-difference"),
        alpha=asked.alpha,
        dtype=asked.dtype,
        vae=vae_of(asked.vae, settings, list_models) if asked.vae else None,
        discard=asked.discard,
    )
    done = merge(
        recipe,
        target_of(asked.output, settings),
        lambda what, share: progress(f"{what} {share:.0%}"),
        keeper.of,
    )
    progress("")
    for note in done.notes:
        print(f"Note: {note}", file=sys.stderr)
    print(
        f"{done.path}: {done.merged} tensors merged, {done.copied} taken as they were, "
        f"{done.dropped} left out, hash {done.sha256[:10]}"
    )
    return 0


class Hashes:
    """Hashes that are known from earlier, and kept for later."""

    def __init__(self, index: ModelIndex | None) -> None:
        self._index = index

    def of(self, path: Path) -> str:
        """The SHA-256 of the file, computed where it is not known."""
        known = self._index.sha256(str(path), stamp_of(path)) if self._index else ""
        if known:
            return known
        sha256 = sha256_of(path, bar(f"hashing {path.name} "))
        if self._index:
            self._index.keep_sha256(str(path), stamp_of(path), sha256)
        return sha256


def found(word: str, cards: Sequence[ModelCard]) -> ModelCard:
    """The model that `word` names, with or without its ending."""
    named = Registry(
        "model",
        [(card.name, card) for card in cards],
        lambda c: (c.name.removesuffix(ENDING), c.hash),
    )
    return named[named.find(word)]


def file_of(word: str, list_models: Callable[[], Sequence[ModelCard]]) -> Path:
    """The file that `word` means: a path, or the name of a model that is one file."""
    if Path(word).exists():
        path = Path(word).absolute()
    else:
        card = found(word, list_models())
        path = card.weights or card.path
    if path.is_dir():
        raise ModelFileError(f"{path}: a folder; this works on single files")
    return path


def vae_of(word: str, settings: Settings, list_models: Callable[[], Sequence[ModelCard]]) -> Path:
    """The file that `word` means: a path, a VAE of models/VAE with or without its ending, or a model."""
    vaes = AdapterFiles(settings.models_dirs).vaes()
    name = word if word in vaes else word + ENDING
    return file_of(word, list_models) if Path(word).exists() or name not in vaes else vaes[name]


def target_of(word: str, settings: Settings) -> Path:
    """Where a new file goes: a path as it is, a plain name into the data folder's checkpoints."""
    path = Path(word)
    if path.suffix != ENDING:
        path = path.with_name(path.name + ENDING)
    if len(path.parts) > 1:
        return path.absolute()
    return settings.data_dir / "models" / "Stable-diffusion" / path


# --- How it is told -------------------------------------------------------------------------------


def told(card: ModelCard) -> dict[str, object]:
    """All that is known of a model, for JSON."""
    notes = {name: getattr(card.notes, name) for name in card.notes.__slots__}
    notes["defaults"] = dict(card.notes.defaults)
    return {
        "name": card.name,
        "path": str(card.path),
        "problem": card.problem,
        "family": card.family,
        "kind": card.kind,
        "layout": card.layout,
        "inpainting": card.inpainting,
        "prediction": card.prediction,
        "zero_snr": card.zero_snr,
        "parts": sorted(card.parts),
        "context_dim": card.context_dim,
        "latent_channels": card.latent_channels,
        "size": card.size,
        "modified": card.modified,
        "sha256": card.sha256,
        "fingerprint": card.fingerprint,
        "preview": str(card.preview) if card.preview else None,
        "defaults": dict(card.defaults),
        "prompts": list(card.prompts),
        "notes": {name: value for name, value in notes.items() if value not in ("", None, (), {})},
    }


def table(cards: Sequence[ModelCard]) -> str:
    """A line for each model under a line of heads."""
    if not cards:
        return "There are no models; see docs/models.md."
    rows = [
        HEADS,
        *(
            (
                card.name,
                kind(card),
                f"{card.size / 1e9:.2f} GB" if card.size else "",
                card.hash,
                card.problem or "",
            )
            for card in cards
        ),
    ]
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEADS))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def kind(card: ModelCard) -> str:
    return card.family + (", inpainting" if card.inpainting else "")


def shown(card: ModelCard) -> str:
    """All that is known of a model, a line each; of one that cannot be read, which it is and why."""
    lines = {
        name: value
        for name, value in told(card).items()
        if value not in ("", None, [], {}, 0)
        and (card.problem is None or name in ("name", "path", "problem", "size", "sha256"))
    }
    if card.modified:
        lines["modified"] = time.ctime(card.modified)
    if card.problem is None:
        lines["prediction"] = card.prediction or "not told; found out when it is loaded first"
    return "\n".join(f"{name}: {value}" for name, value in lines.items())


def bar(what: str) -> Callable[[int, int], None]:
    return lambda done, size: progress(f"{what}{done / max(size, 1):.0%}" if done < size else "")


def progress(text: str) -> None:
    """Shows `text` in the place of the last one, where somebody looks."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
