"""Extensions: found, imported, checked, called alone, timed, and blamed by name. Knows no engine and no page."""

from webui.plugins.extension import Limits
from webui.plugins.extensions import Extensions
from webui.plugins.loading import load

__all__ = ["Extensions", "Limits", "load"]
