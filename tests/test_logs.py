"""The log as JSON: one object a line, with the job that it is about."""

import errno
import io
import json
import logging

import pytest

from webui import logs
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


def test_what_fails_again_and_again_is_told_once_a_minute():
    time, out = [0.0], io.StringIO()
    handler = logs.Folded(out, lambda: time[0])
    log = logging.Logger("x")
    log.addHandler(handler)

    def fail(error):
        try:
            raise error
        except OSError:
            log.exception("accept")

    for _ in range(1000):
        fail(OSError(errno.EMFILE, "Too many open files"))
    assert out.getvalue().count("Traceback") == 1
    time[0] = 61
    fail(OSError(errno.EMFILE, "Too many open files"))
    assert "accept (999 more of these before)" in out.getvalue()
    for number in range(100):
        log.error("job %s failed", number)
    assert out.getvalue().count("failed") == logs.BURST
    log.error("another")
    log.info("not counted")
    assert "another" in out.getvalue()
