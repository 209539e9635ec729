"""The log as JSON: one object a line, with the job that it is about."""

import json
import logging

import pytest

from webui.logs import AsJson


def written(**given) -> dict[str, str]:
    record = logging.LogRecord("webui.x", logging.WARNING, "x.py", 1, "half %s", ("done",), None)
    record.__dict__.update(given)
    line = AsJson().format(record)
    assert "\n" not in line
    return json.loads(line)


def test_a_line_tells_time_level_logger_and_message():
    found = written(created=0.5)
    assert found == {
        "time": "1970-01-01T00:00:00.500+00:00",
        "level": "WARNING",
        "logger": "webui.x",
        "message": "half done",
    }


def test_a_line_about_a_job_has_its_id():
    assert written(job="abc")["job"] == "abc"


def test_a_traceback_stays_on_its_line():
    with pytest.raises(ZeroDivisionError) as caught:
        1 / 0  # noqa: B018
    found = written(exc_info=(caught.type, caught.value, caught.tb))
    assert "ZeroDivisionError" in found["exception"]
