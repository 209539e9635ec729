"""Texts that say how a picture was made, read: AUTOMATIC1111's lines and other programs' JSON.

Knows texts alone: no pictures, no request. `parse` takes any text and raises nothing.
"""

from __future__ import annotations

from webui.texts.lines import is_settings, parse
from webui.texts.objects import BLANKS, is_json

__all__ = ["BLANKS", "is_json", "is_settings", "parse"]
