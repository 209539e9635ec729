"""What the API lists: models, samplers, schedules, upscalers, extensions; each a function without arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from webui.registry import Catalog
from webui.types import EngineFace, ExtensionsFace

__all__ = ["listings"]

Listing: TypeAlias = Callable[[], list[dict[str, Any]]]


def listings(
    engine: EngineFace, catalog: Catalog, extensions: ExtensionsFace | None
) -> Mapping[str, Listing]:
    """The listing endpoints by name, in the order of the API's page."""

    def models() -> list[dict[str, Any]]:
        """Every model found: its name, its own defaults and, if it cannot be used, the problem."""
        return [
            {
                "name": card.name,
                "family": card.family,
                "inpainting": card.inpainting,
                "defaults": dict(card.defaults),
                "prompts": list(card.prompts),
                "problem": card.problem,
            }
            for card in engine.models()
        ]

    def samplers() -> list[dict[str, Any]]:
        """Every sampler: its name, other names, and what the schedule `automatic` means for it."""
        return [
            {"name": s.name, "aliases": list(s.aliases), "schedule": s.schedule}
            for s in catalog.samplers.values()
        ]

    def schedulers() -> list[dict[str, Any]]:
        """Every schedule: its name, its label and other names."""
        return [
            {"name": s.name, "label": s.label or s.name, "aliases": list(s.aliases)}
            for s in catalog.schedules.values()
        ]

    def upscalers() -> list[dict[str, Any]]:
        """Every upscaler: its name, its label and other names."""
        return [
            {"name": u.name, "label": u.label or u.name, "aliases": list(u.aliases)}
            for u in catalog.upscalers.values()
        ]

    def installed() -> list[dict[str, Any]]:
        """Every extension found: its name, version and state, the hooks that it has, and its problems."""
        return [
            {
                "name": status.name,
                "version": status.version,
                "state": status.state,
                "hooks": list(status.hooks),
                "problems": list(status.problems),
            }
            for status in (extensions.statuses() if extensions is not None else ())
        ]

    return {
        "models": models,
        "samplers": samplers,
        "schedulers": schedulers,
        "upscalers": upscalers,
        "extensions": installed,
    }
