"""What killed processes leave is swept up, and nothing else."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from webui.sweeping import OLD_S, Sweeper, sweep_parts

DAY = OLD_S + 60


def put(path: Path, age_s: float, now: float) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    os.utime(path, (now - age_s,) * 2)
    return path


def test_parts_of_another_day_go_and_all_else_stays(tmp_path: Path) -> None:
    now = 2_000_000_000.0
    outputs, models = tmp_path / "outputs", tmp_path / "outputs" / "models"
    old = [
        put(outputs / "2030-01-01" / ".00012.part", DAY, now),
        put(outputs / ".a red cat-1.part", DAY, now),
        put(outputs / "settings.json.4711.tmp", DAY, now),
        put(outputs / "pictures" / ".4711-ab.png.part", DAY, now),
    ]
    kept = [
        put(outputs / "2030-01-01" / ".00013.part", 60, now),  # perhaps being written
        put(outputs / "2030-01-01" / "00012.png", DAY, now),
        put(outputs / "2030-01-01" / "my.part", DAY, now),
        put(models / ".download.part", DAY, now),
    ]
    assert sweep_parts([outputs], [models], lambda: now) == len(old)
    assert [path.exists() for path in old] == [False] * len(old)
    assert all(path.exists() for path in kept)


def test_a_folder_that_is_not_there_is_no_fault(tmp_path: Path) -> None:
    assert sweep_parts([tmp_path / "none"]) == 0


def test_a_sweep_that_fails_does_not_end_the_others(caplog: pytest.LogCaptureFixture) -> None:
    swept = threading.Event()

    def fails() -> int:
        raise OSError("no such disk")

    def works() -> int:
        swept.set()
        return 3

    sweeper = Sweeper([fails, works])
    with caplog.at_level("INFO", "webui"):
        sweeper.start()
        assert swept.wait(60)
        sweeper.stop()
