"""JavaScript outside of a browser."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

__all__ = ["node"]


def node(*arguments: str | Path, script: str = "") -> str:
    """What node prints. Without node the test is skipped with a reason; on CI it fails."""
    found = shutil.which("node")
    if found is None:
        if os.environ.get("CI", "").lower() in ("1", "true"):
            pytest.fail("CI needs node: apt install nodejs")
        pytest.skip("needs node (Debian: apt install nodejs)")
    done = subprocess.run(
        [found, *map(str, arguments)], input=script, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
