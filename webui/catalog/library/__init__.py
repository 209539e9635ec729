"""Everything in the models folders, checkpoints and all else, as the page tells of it."""

from webui.catalog.library.library import Library, LibraryMemory

__all__ = ["Library", "LibraryMemory"]
