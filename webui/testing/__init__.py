"""The kit for authors of extensions: a tiny random model, an engine on it, and checks of what a part promises.

In a test: `pytest_plugins = ["webui.testing"]`, then the fixtures `easel_model` and `easel_engine`, and the functions
below. docs/writing-extensions.md shows how. Nothing here imports torch before it is used.

(PYTEST_DONT_REWRITE: it raises its own AssertionErrors, and may be imported before pytest knows it as a plugin.)
"""

from webui.testing.bench import Bench
from webui.testing.checking import check_extension, loads_without_torch
from webui.testing.contracts import (
    check_conditioner,
    check_postprocessor,
    check_sampler,
    check_schedule,
    check_task,
    check_upscaler,
    check_wrapper,
)
from webui.testing.examples import (
    example_mask,
    example_picture,
    example_request,
    example_values,
)
from webui.testing.fixtures import easel_engine, easel_model
from webui.testing.loading import Loaded, load_extension
from webui.testing.models import tiny_folder, tiny_models, tiny_tokenizer
from webui.testing.runs import Recorded, record, together

__all__ = [
    "Bench",
    "Loaded",
    "Recorded",
    "check_conditioner",
    "check_extension",
    "check_postprocessor",
    "check_sampler",
    "check_schedule",
    "check_task",
    "check_upscaler",
    "check_wrapper",
    "easel_engine",
    "easel_model",
    "example_mask",
    "example_picture",
    "example_request",
    "example_values",
    "load_extension",
    "loads_without_torch",
    "record",
    "tiny_folder",
    "tiny_models",
    "tiny_tokenizer",
    "together",
]
