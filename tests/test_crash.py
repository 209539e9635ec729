"""A short form of benchmarks/crash.py: killed at random moments, nothing is lost and nothing is made twice."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the benchmark forks its processes")
@pytest.mark.parametrize("how", [(), ("--shared",)], ids=["deterministic", "shared"])
def test_kills_lose_nothing(how):
    words = [sys.executable, "benchmarks/crash.py", "--kills", "3", "--jobs", "5", *how]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["kills"] == 3 and report["jobs"] >= 5 and report["faults"] == 0
    assert report["pictures"] >= report["jobs"]
