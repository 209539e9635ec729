"""One server for the tests of this folder, and one with logins; a client for each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.engine.conftest import models_dir
from tests.http.house import House, house

__all__ = ["models_dir"]

LOGINS = (("ann", "secret one"), ("bob", "geheim:zwölf"))


@pytest.fixture(scope="session")
def open_house(tmp_path_factory: pytest.TempPathFactory, models_dir: Path) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("open"), models_dir) as served:
        yield served


@pytest.fixture(scope="session")
def guarded(tmp_path_factory: pytest.TempPathFactory, models_dir: Path) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("guarded"), models_dir, logins=LOGINS) as served:
        yield served


@pytest.fixture
def http(open_house: House) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=open_house.url, timeout=60) as client:
        yield client


@pytest.fixture
def ann(guarded: House) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=guarded.url, timeout=60, auth=LOGINS[0]) as client:
        yield client


@pytest.fixture
def bob(guarded: House) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=guarded.url, timeout=60, auth=LOGINS[1]) as client:
        yield client


@pytest.fixture
def stranger(guarded: House) -> Iterator[httpx.Client]:
    """Somebody without a login."""
    with httpx.Client(base_url=guarded.url, timeout=60) as client:
        yield client
