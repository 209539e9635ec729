"""The built-in tasks: text to image, image to image, inpainting. Registered like anybody's."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from webui.engine.tasks.img2img import IMG2IMG
from webui.engine.tasks.inpaint import INPAINT
from webui.engine.tasks.txt2img import TXT2IMG
from webui.types import Task

__all__ = ["TASKS"]

TASKS: Mapping[str, Task] = MappingProxyType({t.name: t for t in (TXT2IMG, IMG2IMG, INPAINT)})
