"""The command line's face: `generate`, `jobs`, `models` and `doctor`.

`generate` is built from the tasks' controls, as the page is, so a new task has its options for nothing.
It knows requests and job states; it never touches a tensor.
"""

from webui.cli.forms import generate_parser, read_request
from webui.cli.jobs import generate
from webui.cli.machine import doctor
from webui.cli.models import models, models_help, models_parser
from webui.cli.queue import jobs, jobs_parser

__all__ = [
    "doctor",
    "generate",
    "generate_parser",
    "jobs",
    "jobs_parser",
    "models",
    "models_help",
    "models_parser",
    "read_request",
]
