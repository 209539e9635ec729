"""What every test may rely on: quiet libraries, an own folder for Gradio's files, and marks that mean it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from functools import cache

import pytest

import launch

CHROMIUM = "/usr/bin/chromium"


@pytest.fixture(scope="session", autouse=True)
def quiet_libraries() -> Iterator[None]:
    """The variables that launch.py sets, and a temporary folder for what Gradio writes."""
    with tempfile.TemporaryDirectory(prefix="easel-tests-", ignore_cleanup_errors=True) as folder:
        os.environ["GRADIO_TEMP_DIR"] = folder
        yield


def pytest_configure(config: pytest.Config) -> None:
    for name, value in launch.environment(launch.ROOT).items():
        if name != "GRADIO_TEMP_DIR":
            os.environ.setdefault(name, value)


def chromium_path() -> str | None:
    """Chromium of the system, None when there is none. The tests download no browser."""
    return CHROMIUM if os.path.exists(CHROMIUM) else shutil.which("chromium")


@cache
def has_cuda() -> bool:
    if not launch.has_nvidia_gpu():
        return False
    import torch

    return torch.cuda.is_available()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Without Chromium or CUDA the marked tests are skipped with a reason; on CI Chromium must be there."""
    if item.get_closest_marker("browser") and chromium_path() is None:
        reason = "Chromium is not installed (Debian: apt install chromium)"
        if os.environ.get("CI", "").lower() in ("1", "true"):
            pytest.fail(reason)
        pytest.skip(reason)
    if item.get_closest_marker("gpu") and not has_cuda():
        pytest.skip("no CUDA GPU")


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of Chromium; use it in tests marked `browser` only."""
    path = chromium_path()
    assert path is not None, "mark this test with @pytest.mark.browser"
    return path
