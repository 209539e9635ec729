"""Tiny random networks, from the kit that authors of extensions have too."""

from webui.testing.models import tiny_folder, tiny_tokenizer

__all__ = ["tiny_folder", "tiny_tokenizer"]
