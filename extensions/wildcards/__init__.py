"""Lets a prompt leave things open: `__colour__` draws a line of colour.txt, `{cat|dog}` one of the two.

What is drawn depends on the seed alone, and is decided once, when the request is accepted: the pictures of one job
share it, and the infotext tells both the prompt that was used and the template that it came from.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from types import MappingProxyType

from webui.api import GenerationRequest, Group, Places, RequestError, Sentence, Text, hookimpl

from .lists import Lists
from .template import Drawing, TemplateError

__version__ = "1.1"
TITLE = "Wildcards"
NEEDS_API = ">=1.0,<2"

# Set here, never by hand; for the infotext.
TEMPLATE = Text(name="wildcards_template", label="Template", default="", hidden=True)
NEGATIVE = Text(
    name="wildcards_negative_template", label="Negative template", default="", hidden=True
)
TEMPLATES = {"prompt": TEMPLATE.name, "negative_prompt": NEGATIVE.name}
EMBEDDINGS = ("embeddings", "../embeddings")  # whose names may hold underscores


@hookimpl
def register_controls() -> list[Group]:
    return [Group("Wildcards", (TEMPLATE, NEGATIVE))]


@hookimpl
def change_request(
    request: GenerationRequest, places: Places, prompts: Sequence[str]
) -> GenerationRequest | None:
    """The request with every text of `prompts` resolved."""
    texts = {name: text for name in prompts if (text := request.value_of(name))}
    if not any("{" in text or "__" in text for text in texts.values()):
        return None
    folders = [places.data_dir, *places.models_dirs]
    lists = Lists(tuple(folder / "wildcards" for folder in folders))
    drawing = Drawing(random.Random(request.seed), lists.options, names(places))
    changed: dict[str, str] = {}
    templates: dict[str, str] = {}
    for name, template in texts.items():
        try:
            prompt = drawing.resolved(template)
        except TemplateError as error:
            raise RequestError(Sentence("{name}: {why}", name=name, why=error), name) from None
        if prompt != template:
            changed[name] = prompt
            if TEMPLATES.get(name) in request.extras:  # a task that samples nothing has none
                templates[TEMPLATES[name]] = template
    if not changed:
        return None
    fields = request.__dataclass_fields__
    own = {name: text for name, text in changed.items() if name in fields}
    others = {name: text for name, text in changed.items() if name not in fields}
    return replace(
        request, **own, extras=MappingProxyType({**request.extras, **others, **templates})
    )


def names(places: Places) -> frozenset[str]:
    """The names of textual inversions, which may look like wildcards, in lower case."""
    found = [places.files(folder, ".safetensors", ".pt", ".bin") for folder in EMBEDDINGS]
    return frozenset(path.stem.lower() for files in found for path in files)
