"""Lets a prompt leave things open: `__colour__` draws a line of colour.txt, `{cat|dog}` one of the two.

What is drawn depends on the seed alone, and is decided once, when the request is accepted: the pictures of one job
share it, and the infotext tells both the prompt that was used and the template that it came from.
"""

from __future__ import annotations

import random
from dataclasses import replace
from types import MappingProxyType

from webui.api import GenerationRequest, Group, Places, RequestError, Text, hookimpl

from .lists import Lists
from .template import Drawing, TemplateError

__version__ = "1.0"
NEEDS_API = ">=1.0,<2"

# Set here, never by hand; for the infotext.
TEMPLATE = Text(name="wildcards_template", label="Template", default="", hidden=True)
NEGATIVE = Text(
    name="wildcards_negative_template", label="Negative template", default="", hidden=True
)


@hookimpl
def register_controls() -> list[Group]:
    return [Group("Wildcards", (TEMPLATE, NEGATIVE))]


@hookimpl
def change_request(request: GenerationRequest, places: Places) -> GenerationRequest | None:
    folders = [places.data_dir, *places.models_dirs]
    lists = Lists(tuple(folder / "wildcards" for folder in folders))
    drawing = Drawing(random.Random(request.seed), lists.options)
    changed, extras = request, dict(request.extras)
    for field, control in (("prompt", TEMPLATE), ("negative_prompt", NEGATIVE)):
        template = getattr(request, field)
        try:
            prompt = drawing.resolved(template)
        except TemplateError as error:
            raise RequestError(f"{field}: {error}", field) from None
        if prompt != template:
            changed = replace(changed, **{field: prompt})
            if control.name in extras:  # a task that samples nothing has no such control
                extras[control.name] = template
    return None if changed is request else replace(changed, extras=MappingProxyType(extras))
