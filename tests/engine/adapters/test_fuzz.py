"""A short form of benchmarks/fuzz_adapters.py: no broken file is an error of ours, or changes a layer otherwise than it
says."""

from __future__ import annotations

from benchmarks.fuzz_adapters import run


def test_broken_files_are_refused_or_told_or_what_their_formula_says() -> None:
    ends, faults = run(files=150, seed=11)
    assert not faults, faults[0]
    assert min(ends["refused"], ends["told"], ends["equal"]) > 5
