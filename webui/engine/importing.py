"""diffusers and transformers are imported by one thread at a time.

They fill their modules in when a name is first asked for; two threads that ask at once may find one half made ("cannot
import name"). Whoever imports from them does it under this lock.
"""

from __future__ import annotations

from threading import RLock

__all__ = ["IMPORTING"]

IMPORTING = RLock()
