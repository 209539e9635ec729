"""The numbers, as Prometheus' own parser reads them."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from webui.http import Metrics


def values(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_jobs_and_pictures_are_counted(open_house, http):
    before = values(http.get("/metrics").text)
    job = open_house.submit(http, batch_size=3)
    open_house.end(http, job)
    answer = http.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    after = values(answer.text)
    pictures = ("easel_pictures_total", (("model", "tiny"), ("task", "txt2img")))
    assert after[pictures] - before.get(pictures, 0) == 3
    states = {dict(labels)["state"] for name, labels in after if name == "easel_jobs"}
    assert states == {"queued", "running", "paused", "done", "failed", "cancelled"}
    done = ("easel_jobs", (("state", "done"),))
    assert after[done] == before[done] + 1
    assert after[("process_resident_memory_bytes", ())] > 10e6
    (info,) = [dict(labels) for name, labels in after if name == "easel_info"]
    assert (info["device"], info["dtype"]) == ("cpu", "float32")


def test_calls_make_histograms_by_model(open_house):
    metrics, other = Metrics(), Metrics()
    for rows, seconds in ((2, 0.05), (16, 0.3), (16, 40)):
        metrics.called("tiny", rows, seconds)
    text, _ = metrics.text(open_house.engine, "")
    found = values(text.decode())
    model = ("model", "tiny")
    assert found[("easel_call_seconds_count", (model,))] == 3
    assert found[("easel_call_seconds_bucket", (("le", "0.5"), model))] == 2
    assert found[("easel_call_rows_sum", (model,))] == 34
    assert found[("easel_call_rows_bucket", (("le", "2.0"), model))] == 1
    assert "tiny" not in other.text(open_house.engine, "")[0].decode()


def test_the_newer_format_is_given_to_who_asks_for_it(http):
    newer = "application/openmetrics-text; version=1.0.0"
    answer = http.get("/metrics", headers={"Accept": newer})
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")
