"""The textual inversions that are in memory: words of prompts that are vectors of files. Knows no network."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path

from webui.catalog.model_folders import AdapterFiles
from webui.engine.file_version import Version
from webui.engine.part_cache import Part, PartCache, Place
from webui.engine.text import inversions
from webui.engine.text.inversions import Inversion
from webui.errors import Sentence
from webui.prompt import Prompt, parse

__all__ = ["InversionCache"]

log = logging.getLogger(__name__)


class InversionCache:
    """Inversions by file and by the widths of a model's text encoders, as the files were at the last look."""

    def __init__(self, adapter_files: AdapterFiles, parts: PartCache) -> None:
        self._files = adapter_files
        self._parts = parts
        self._listed: Mapping[str, Path] | None = None
        self._versions: dict[Path, Version] = {}

    def parsed(self, *texts: str | Prompt) -> tuple[Prompt, ...]:
        """Texts as prompts: as they are, where somebody has parsed them."""
        if self._listed is None and any(isinstance(text, str) for text in texts):
            self.look()
        names = self._listed or ()
        return tuple(parse(text, names) if isinstance(text, str) else text for text in texts)

    def unread(self, widths: Sequence[int], *texts: str | Prompt) -> bool:
        """Whether a file would have to be asked for what `texts` mean."""
        if self._listed is None:
            return True
        keys = [self._key(path, widths) for path in self._named(self.parsed(*texts)).values()]
        return any(key not in self._parts for key in keys)

    def find(
        self, widths: Sequence[int], *texts: str | Prompt
    ) -> tuple[list[Inversion], tuple[str, ...]]:
        """The textual inversions whose words stand in `texts` and that fit a model whose text encoders have these
        `widths`, in the order of their names, and sentences about what is not used: a file that is made for another
        family, whose word is a plain word then, or a part of one. Files that are not in memory are read.

        `ModelFileError` names one that is damaged.
        """
        if self._listed is None:
            self.look()
        named = self._named(self.parsed(*texts))
        found = [self._inversion(name, path, widths) for name, path in named.items()]
        notes = [one if isinstance(one, str) else one.note for one in found]
        return [one for one in found if isinstance(one, Inversion)], tuple(filter(None, notes))

    def look(self) -> None:
        """Looks which files there are, and whether those that were read were replaced. Asks the disk."""
        self._listed = self._files.embeddings()
        for path, version in list(self._versions.items()):
            if not version.holds():
                self._versions[path] = Version.of_file(path)

    def _named(self, prompts: Sequence[Prompt]) -> dict[str, Path]:
        """The files of the words in `prompts`, by their names in order."""
        words = frozenset[str]().union(*(prompt.inversions for prompt in prompts))
        listed = self._listed or {}
        return (
            {name: listed[name] for name in sorted(listed) if name.lower() in words}
            if words
            else {}
        )

    def _key(self, path: Path, widths: Sequence[int]) -> Hashable:
        version = self._versions.get(path)
        return "inversion", path, tuple(widths), version and version.stamp

    def _inversion(self, name: str, path: Path, widths: Sequence[int]) -> Inversion | str:
        """One that fits, or the sentence that says why it does not."""
        kept = self._parts.use(self._key(path, widths))
        if kept is not None:
            known: Inversion | str = kept
            return known
        self._versions[path] = Version.of_file(path)
        try:
            known = inversions.read(path, name, tuple(widths))
        except inversions.OtherFamily as fault:
            known = Sentence("{why}; its name is a plain word there", why=fault)
            log.warning(known)
        size = 0 if isinstance(known, str) else sum(one.nbytes for one in known.vectors)
        key = self._key(path, widths)
        place: Place = "host" if self._parts.host_limit else "device"  # they are read from there
        self._parts.add(Part(key, "inversion", known, size, place, movable=False))
        return known
