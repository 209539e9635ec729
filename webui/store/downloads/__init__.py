"""Model files fetched from a hub, in the background, into the models folder."""

from webui.store.downloads.queue import Downloads

__all__ = ["Downloads"]
