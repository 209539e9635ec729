"""docs/http.md: its examples run as they stand, and its tables are the code's. The page at /docs is as complete."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html import unescape

import pytest
from PIL import Image

from tests.http.test_gate import OURS
from webui import metadata
from webui.http.bodies import BODY_BYTES
from webui.settings import ROOT
from webui.types import PLACED

TEXT = (ROOT / "docs" / "http.md").read_text(encoding="utf-8")


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_examples_run(open_house, tmp_path):
    (models,) = open_house.catalog.list_models()[:1]
    blocks = [
        block.replace("http://127.0.0.1:7860", open_house.url)
        for block in re.findall(r"```bash\n(.*?)```", TEXT, re.DOTALL)
    ]
    outputs = [
        subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout
        for block in blocks
    ]
    assert models.problem is None and len(blocks) == 4
    assert outputs[0].rstrip().splitlines()[-2] == "event: done"
    with Image.open(tmp_path / "circle.png") as picture:
        assert "Seed: 5" in picture.info["parameters"]
    assert re.fullmatch(r'"state":"(queued|running|done)"\n', outputs[1])
    first, second = (line for line in outputs[2].replace("}{", "}\n{").splitlines())
    assert first == second
    with Image.open(tmp_path / "circle.jpg") as picture:
        assert "Seed: 5" in (metadata.read(picture) or "")
    assert re.fullmatch(r'\{"ids":\[\d+\]\}', outputs[3])


def test_every_route_is_told_of():
    told = set(re.findall(r"\| `[A-Z]+ (/\S+)` \|", TEXT)) | {"/docs", "/openapi.json"}
    names = {"number": "N", "name": "NAME", "code": "CODE"}
    assert told == {
        re.sub(r"\{(\w+)\}", lambda found: names.get(found[1], "ID"), path) for path in OURS
    }


def test_the_largest_body_is_as_it_says():
    assert f"larger than {BODY_BYTES >> 20} MB" in TEXT


def test_every_metric_is_told_of(http):
    told = set(re.findall(r"`(easel_\w+)", TEXT))
    there = set(re.findall(r"^# TYPE (easel_\w+)", http.get("/metrics").text, re.MULTILINE))
    assert told == {name for name in there if not name.endswith("_created")}


def test_the_page_of_routes_has_them_all_and_needs_nothing_from_elsewhere(open_house, http):
    answer = http.get("/docs")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    text = unescape(answer.text)
    for path, methods in http.get("/openapi.json").json()["paths"].items():
        for method in methods:
            assert f"{method.upper()} {path}</code>" in text
    assert "<script" not in text and not re.findall(r"(?:src|href)=\"?(?:https?:)?//", text)


def test_the_description_of_a_submission_is_what_is_taken(open_house, http):
    schema = http.get("/openapi.json").json()
    body = schema["paths"]["/api/jobs"]["post"]["requestBody"]["content"]["application/json"]
    told = body["schema"]["properties"]
    assert set(told["task"]["enum"]) == set(open_house.catalog.tasks)
    controls = {c for t in open_house.catalog.tasks.values() for c in t.flat_controls()}
    assert set(told) == {c.name for c in controls if c.name in PLACED} | {
        "task",
        "priority",
        "extras",
    }
    assert (told["steps"]["type"], told["steps"]["maximum"]) == ("integer", 150)
    assert (
        told["image"]["contentEncoding"] == "base64"
        and "(img2img, inpaint)" in told["image"]["description"]
    )
    references = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(schema)))
    assert references <= set(schema["components"]["schemas"])
    told_of_a_job = set(schema["components"]["schemas"]["JobDetail"]["properties"])
    assert told_of_a_job == set(http.get(f"/api/jobs/{open_house.submit(http)}").json())
