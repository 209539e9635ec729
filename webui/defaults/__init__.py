"""What a request means: the one place where omitted values are filled in and names are found.

Page, API and command line all hand their loose values to `complete`, so the same input gives the same
request, or the same sentence, everywhere. `check` looks over a request that somebody else has changed.
`from_infotext` goes the other way: the values of a form out of the settings that a picture carries.
"""

from webui.defaults.completion import check, check_own, complete, defaults_of
from webui.defaults.extras import FIELDS, drawn_seed, extra_controls
from webui.defaults.infotexts import NO_SETTINGS, Taken, from_infotext, pasted, task_of
from webui.defaults.reopened import from_request

__all__ = [
    "FIELDS",
    "NO_SETTINGS",
    "Taken",
    "check",
    "check_own",
    "complete",
    "defaults_of",
    "drawn_seed",
    "extra_controls",
    "from_infotext",
    "from_request",
    "pasted",
    "task_of",
]
