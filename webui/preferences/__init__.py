"""The settings as people change them: which there are, how they are shown, and the ones that hold at this moment.

A value comes from the command line, else from `settings.json`, else it is the default. Knows no page and no file.
"""

from webui.preferences.live import Preferences, State
from webui.preferences.schema import GROUPS, SETTINGS, Setting

__all__ = ["GROUPS", "SETTINGS", "Preferences", "Setting", "State"]
