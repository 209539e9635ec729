"""The trace in docs/architecture.md is what a run does: no static reader can follow a `yield`."""

from tests.engine.trace import PAGE, trace, written


def test_the_trace_of_the_page_is_that_of_a_run(models_dir, tmp_path):
    page, block = PAGE.read_text(encoding="utf-8"), trace(models_dir, tmp_path)
    assert written(page, block) == page, f"run python -m tests.engine.trace; it is now\n{block}"
