"""Requests of every kind, drawn at random: a picture or a sentence, whatever is asked. benchmarks/fuzz_requests.py asks
for thousands."""

from tests.engine.asking import drawn, opened, outcome, write_models


def test_no_request_ends_in_an_internal_error(tmp_path):
    models = write_models(tmp_path / "models", ["sd1"])
    found = []
    with opened(models, tmp_path / "data") as studio:
        for seed in range(12):
            task, values = drawn(studio, seed)
            found.append((seed, outcome(studio, task, values)))
    assert [one for one in found if one[1].kind == "fault"] == []
    assert {"picture", "sentence"} <= {one.kind for _, one in found}
