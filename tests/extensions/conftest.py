"""Tiny random models and engines, as the engine's own tests have them."""

from tests.engine.conftest import models_dir, start

__all__ = ["models_dir", "start"]
