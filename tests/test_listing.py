from __future__ import annotations

import json

from webui.listing import as_json, as_table
from webui.types import ExtensionStatus

GRAIN = ExtensionStatus(
    "film_grain", "/x/film_grain.py", True, "on", "1.0", hooks=("a", "b"), import_s=0.0042
)
BAD = ExtensionStatus(
    "bad",
    "/somewhere/bad",
    False,
    "failed",
    problems=("import: no\nsuch module", "two"),
    hanging="import for 7 s",
    restart="a restart tries it again",
)  # fmt: skip


def test_the_table_has_a_line_for_each_and_its_notes_below():
    assert as_table([GRAIN, BAD]).splitlines() == [
        "NAME        VERSION  STATE   IMPORT  HOOKS  SOURCE",
        "film_grain  1.0      on      4 ms    a, b   bundled",
        "bad         -        failed  0 ms    -      /somewhere/bad",
        "    problem: import: no such module",
        "    problem: two",
        "    does not come back: import for 7 s",
        "    note: a restart tries it again",
    ]
    assert as_table([]) == "There are no extensions."


def test_the_json_has_everything():
    grain, bad = json.loads(as_json([GRAIN, BAD]))
    assert (
        ExtensionStatus(**{k: tuple(v) if isinstance(v, list) else v for k, v in bad.items()})
        == BAD
    )
    assert grain["import_s"] == 0.0042
