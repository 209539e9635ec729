"""What a request means: the one place where omitted values are filled in and names are found.

Page, API and command line all hand their loose values to `complete`, so the same input gives the same
request, or the same sentence, everywhere. `check` looks over a request that somebody else has changed.
"""

from webui.defaults.completion import check, complete, defaults_of
from webui.defaults.extras import FIELDS, extra_controls

__all__ = ["FIELDS", "check", "complete", "defaults_of", "extra_controls"]
