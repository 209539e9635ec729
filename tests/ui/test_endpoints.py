"""The Gradio API as its clients see it: gradio_client and plain HTTP against a live server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError, ValidationError
from PIL import Image

from tests.ui.painter import CARDS, POSTER, FlatPainter, catalog, colour, until
from webui.settings import Settings
from webui.ui import Page
from webui.ui.page import draw_page

TASKS = ["txt2img", "img2img", "inpaint", "poster"]
LISTS = ["models", "samplers", "schedulers", "upscalers", "extensions", "png_info"]


@pytest.fixture(scope="module")
def client(served: tuple[FlatPainter, Page]) -> Client:
    return Client(served[1].url, verbose=False)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "given.png"
    Image.linear_gradient("L").resize((96, 64)).convert("RGB").save(path)
    return path


def events(http: httpx.Client, name: str, body: dict[str, Any]) -> list[tuple[str, Any]]:
    """The events of one call through /call/v2, heartbeats left out."""
    posted = http.post(f"/gradio_api/call/v2/{name}", json=body)
    assert posted.status_code == 200, posted.text
    text = http.get(f"/gradio_api/call/v2/{name}/{posted.json()['event_id']}").text
    parts = [part.split("\ndata: ") for part in text.strip().split("\n\n")]
    return [(head.removeprefix("event: "), json.loads(data)) for head, data in parts]


def test_the_public_endpoints_are_these(http: httpx.Client) -> None:
    info = http.get("/gradio_api/info", params={"all_endpoints": True}).json()
    assert list(info["named_endpoints"]) == [f"/{name}" for name in (*TASKS, *LISTS)]
    assert info["unnamed_endpoints"] == {}


def test_omitted_values_are_the_models_own(client: Client, painter: FlatPainter) -> None:
    files, info = client.predict("", api_name="/txt2img")
    request = painter.submitted[0]
    assert (request.prompt, request.model) == ("", "flat")
    assert (request.width, request.steps, request.cfg_scale) == (128, 4, 5.0)
    assert request.sampler_name == "DPM++ 2M" and request.batch_size == 1
    assert (info["width"], info["height"], info["model"]) == (128, 128, "flat")
    assert info["seed"] == info["seeds"][0] == request.seed
    assert len(files) == 1 and info["seconds"] > 0


def test_every_value_reaches_the_request(client: Client, painter: FlatPainter) -> None:
    files, info = client.predict(
        prompt="x",
        negative_prompt="y",
        model="WIDE",
        sampler_name="euler A",
        scheduler="karras",
        steps=3,
        cfg_scale=2,
        width=64,
        height=72,
        seed=11,
        batch_size=2,
        eta=0.5,
        extras={},
        api_name="/txt2img",
    )
    request = painter.submitted[0]
    assert (request.negative_prompt, request.model, request.sampler_name) == (
        "y",
        "wide",
        "Euler a",
    )
    assert (request.steps, request.cfg_scale, request.value_of("eta")) == (3, 2.0, 0.5)
    assert info["seeds"] == [11, 12] and len(files) == 2
    assert [Image.open(file).getpixel((0, 0)) for file in files] == [colour(11), colour(12)]


def test_files_are_the_saved_ones_byte_for_byte(client: Client, painter: FlatPainter) -> None:
    files, info = client.predict("a ☂ in the rain", seed=3, api_name="/txt2img")
    saved = painter.status(info["job"]).pictures[0].path
    assert Path(files[0]).read_bytes() == saved.read_bytes()
    assert painter.outputs_dir in saved.parents
    with Image.open(files[0]) as opened:
        assert opened.info["parameters"] == info["parameters"]
        assert opened.info["parameters"].startswith("a ☂ in the rain\n")


def test_a_picture_and_a_mask_go_in(
    client: Client, painter: FlatPainter, picture: Path, tmp_path: Path
) -> None:
    mask = Image.new("L", (96, 64), 0)
    mask.paste(255, (0, 0, 48, 64))
    mask.save(tmp_path / "mask.png")
    files, _ = client.predict(
        handle_file(picture), handle_file(tmp_path / "mask.png"), "x", seed=4, api_name="/inpaint"
    )
    request = painter.submitted[0]
    assert request.image is not None and request.mask is not None
    assert request.image.tobytes() == Image.open(picture).tobytes()
    assert request.mask.tobytes() == mask.tobytes()
    assert (request.width, request.height) == (96, 64)
    with Image.open(files[0]) as result, Image.open(picture) as given:
        assert result.getpixel((10, 30)) == colour(4)
        assert result.getpixel((80, 30)) == given.getpixel((80, 30))


def test_a_data_url_is_a_picture(http: httpx.Client, painter: FlatPainter, picture: Path) -> None:
    import base64

    url = "data:image/png;base64," + base64.b64encode(picture.read_bytes()).decode()
    for given in (
        url,
        {"url": url},
        {"path": "", "url": url, "meta": {"_type": "gradio.FileData"}},
    ):
        assert events(http, "img2img", {"image": given, "prompt": "x"})[-1][0] == "complete"
    for request in painter.submitted:
        assert request.image is not None
        assert request.image.tobytes() == Image.open(picture).tobytes()


def test_the_stream_ends_with_files_and_info(http: httpx.Client) -> None:
    name, (files, info) = events(http, "txt2img", {"prompt": "x", "seed": 9})[-1]
    assert name == "complete"
    served = http.get(files[0]["url"])
    assert served.headers["content-type"] == "image/png"
    assert served.content == Path(files[0]["path"]).read_bytes()
    assert info["seed"] == 9 and info["notes"] == []


def test_a_request_may_go_without_what_is_missing(client: Client, painter: FlatPainter) -> None:
    client.predict("a cat", missing="warn", steps=1, api_name="/txt2img")
    client.predict("a cat", steps=1, api_name="/txt2img")
    assert [request.missing for request in painter.submitted] == ["warn", "refuse"]


def test_what_is_told_on_pictures_is_in_the_info_once(client: Client) -> None:
    _, info = client.predict("please warn", batch_size=2, steps=1, api_name="/txt2img")
    assert info["notes"] == ["Told: once, and", "no more"]


def test_lists(client: Client) -> None:
    models = client.predict(api_name="/models")
    assert [m["name"] for m in models] == [card.name for card in CARDS]
    assert models[0]["defaults"]["steps"] == 4 and models[2]["problem"]
    samplers = client.predict(api_name="/samplers")
    assert [s["name"] for s in samplers] == list(catalog().samplers)
    schedulers = client.predict(api_name="/schedulers")
    upscalers = client.predict(api_name="/upscalers")
    assert [u["name"] for u in upscalers] == list(catalog().upscalers)
    assert client.predict(api_name="/extensions")[0] == {
        **{"name": "film_grain", "version": "1.0", "state": "on", "problems": []},
        "hooks": ["register_postprocessors", "image_saved"],
    }
    assert {"name": "sgm_uniform", "label": "SGM Uniform"}.items() <= next(
        s for s in schedulers if s["name"] == "sgm_uniform"
    ).items()


def test_png_info_reads_what_was_written(client: Client, picture: Path) -> None:
    files, info = client.predict(
        "a cat, a dog", negative_prompt="rain", seed=8, api_name="/txt2img"
    )
    found = client.predict(handle_file(files[0]), api_name="/png_info")
    assert found["parameters"] == info["parameters"]
    assert found["fields"]["Prompt"] == "a cat, a dog"
    assert found["fields"]["Negative prompt"] == "rain" and found["fields"]["Seed"] == "8"
    assert client.predict(handle_file(picture), api_name="/png_info") == {
        "parameters": "",
        "fields": {},
    }


def test_png_info_gives_no_comment_as_settings(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    Image.new("RGB", (96, 64)).save(path, comment=b"CREATOR: gd-jpeg v1.0, quality = 90")
    empty = {"parameters": "", "fields": {}}
    assert client.predict(handle_file(path), api_name="/png_info") == empty


WRONG = [
    ("width", 100, "width 100: use a multiple of 8 (96 or 104)"),
    ("width", 4096, "width 4096: use 64 to 2048 in steps of 8"),
    ("height", 56, "height 56: use 64 to 2048 in steps of 8"),
    ("steps", 0, "steps 0: use 1 to 150"),
    ("steps", 151, "steps 151: use 1 to 150"),
    ("steps", "eight", "steps 'eight': give a whole number from 1 to 150"),
    ("steps", True, "steps True: give a whole number from 1 to 150"),
    ("steps", {"a": 1}, "steps {'a': 1}: give a whole number from 1 to 150"),
    ("steps", [1], "steps [1]: give a whole number from 1 to 150"),
    ("cfg_scale", 30.5, "cfg_scale 30.5: use 0 to 30"),
    ("cfg_scale", -1, "cfg_scale -1"),
    ("eta", 2, "eta 2: use 0 to 1"),
    ("batch_size", 17, "batch_size 17: use 1 to 16"),
    ("batch_size", 1.5, "batch_size 1.5: give a whole number from 1 to 16"),
    ("seed", -2, "seed -2"),
    ("prompt", 5, "prompt 5: give text"),
    ("sampler_name", "Eulr", "sampler_name 'Eulr' is not known; did you mean 'Euler'?"),
    ("scheduler", "karas", "scheduler 'karas' is not known; did you mean 'karras'?"),
    ("model", "flt", "model 'flt' is not known; did you mean 'flat'?"),
    ("model", "broken", "broken/unet: the weights are missing"),
    ("extras", [1], "extras [1]: give a JSON object"),
]


@pytest.mark.parametrize(("name", "value", "sentence"), WRONG)
def test_a_wrong_value_is_refused_before_it_is_queued(
    http: httpx.Client, painter: FlatPainter, name: str, value: Any, sentence: str
) -> None:
    answer = http.post("/gradio_api/call/v2/txt2img", json={"prompt": "x", name: value})
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith(sentence)
    assert answer.json()["field"] == name
    assert not painter.submitted


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e400", "1" + 30 * "0"])
@pytest.mark.parametrize("name", ["steps", "cfg_scale", "width", "seed"])
def test_numbers_that_are_none_are_refused(
    http: httpx.Client, painter: FlatPainter, name: str, number: str
) -> None:
    body = f'{{"prompt": "x", "{name}": {number}}}'
    header = {"content-type": "application/json"}
    answer = http.post("/gradio_api/call/v2/txt2img", content=body, headers=header)
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith(name)
    assert not painter.submitted


def test_gradio_client_says_the_same_sentence(client: Client, painter: FlatPainter) -> None:
    with pytest.raises(ValidationError, match=r"width 100: use a multiple of 8 \(96 or 104\)"):
        client.predict("x", width=100, api_name="/txt2img")
    assert not painter.submitted


def bad_pictures() -> dict[str, bytes]:
    from io import BytesIO

    whole = BytesIO()
    Image.effect_noise((64, 64), 90).save(whole, "PNG")
    bomb = BytesIO()
    Image.new("1", (12000, 12000)).save(bomb, "PNG")
    return {
        "text": b"hello",
        "cut": whole.getvalue()[: len(whole.getvalue()) // 2],
        "empty": b"",
        "bomb": bomb.getvalue(),
        "svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    }


@pytest.mark.parametrize("kind", list(bad_pictures()))
def test_a_bad_upload_is_refused(http: httpx.Client, painter: FlatPainter, kind: str) -> None:
    content = bad_pictures()[kind]
    path = http.post("/gradio_api/upload", files={"files": ("a.png", content)}).json()[0]
    for name in ("img2img", "png_info"):
        body = {"image": {"path": path, "meta": {"_type": "gradio.FileData"}}}
        words = {} if name == "png_info" else {"prompt": "x"}
        answer = http.post(f"/gradio_api/call/v2/{name}", json={**body, **words})
        assert answer.status_code == 422
        assert answer.json()["detail"].startswith("image: ")
        assert answer.json()["field"] == "image"
    assert not painter.submitted


@pytest.mark.parametrize(
    "given",
    [
        "/etc/hostname",
        {"path": "/etc/hostname"},
        {"path": "/etc/hostname", "meta": {"_type": "gradio.FileData"}},
        {"path": "../../../../etc/hostname", "meta": {"_type": "gradio.FileData"}},
        {"path": "http://127.0.0.1/a.png", "meta": {"_type": "gradio.FileData"}},
        {"url": "http://127.0.0.1/a.png"},
        {"path": 5},
        {"path": "a", "meta": 5},
        {"path": "a\0b"},
        "data:image/png;base64,AAAA",
        "data:image/png;base64,!",
        "data:image/png,AAAA",
        7,
        None,
        [],
    ],
    ids=str,
)
def test_what_is_no_upload_is_never_opened(
    http: httpx.Client, painter: FlatPainter, given: Any
) -> None:
    for name, words in (("img2img", {"prompt": "x"}), ("png_info", {})):
        answer = http.post(f"/gradio_api/call/v2/{name}", json={"image": given, **words})
        assert answer.status_code == 422
        assert answer.json()["detail"].startswith("image: ")
    assert not painter.submitted


def test_an_upload_over_the_limit_is_refused(http: httpx.Client) -> None:
    answer = http.post("/gradio_api/upload", files={"files": ("a.png", bytes(64 * 2**20 + 1))})
    assert answer.status_code == 413


def test_what_fails_while_painting_is_said_as_it_is(client: Client, http: httpx.Client) -> None:
    with pytest.raises(AppError, match="the paint &lt;b&gt;dried&lt;/b&gt; up"):
        client.predict("please fail now", api_name="/txt2img")
    name, answer = events(http, "txt2img", {"prompt": "please fail now"})[-1]
    assert (name, answer["error"]) == ("error", "the paint &lt;b&gt;dried&lt;/b&gt; up")


def test_many_jobs_are_with_the_engine_at_once(http: httpx.Client, painter: FlatPainter) -> None:
    painter.hold.clear()
    calls = [
        http.post("/gradio_api/call/v2/txt2img", json={"prompt": str(i)}).json()["event_id"]
        for i in range(24)
    ]
    until(lambda: len(painter.submitted) == 24, "24 jobs with the engine")
    painter.hold.set()
    for call in calls:
        assert "event: complete" in http.get(f"/gradio_api/call/v2/txt2img/{call}").text
    assert sorted(r.prompt for r in painter.submitted) == sorted(str(i) for i in range(24))


def test_a_client_that_goes_away_does_not_stop_its_job(
    http: httpx.Client, painter: FlatPainter
) -> None:
    painter.hold.clear()
    call = http.post("/gradio_api/call/v2/txt2img", json={"prompt": "gone", "seed": 77}).json()[
        "event_id"
    ]
    with http.stream("GET", f"/gradio_api/call/v2/txt2img/{call}") as stream:
        until(lambda: painter.submitted, "the job is with the engine")
        stream.close()
    painter.hold.set()
    until(lambda: list(painter.outputs_dir.rglob("*-77.png")), "its picture is saved")


# --- Extras ---------------------------------------------------------------------------------------


def test_a_task_of_an_extension_gets_an_endpoint_and_a_tab(
    tmp_path: Path, http: httpx.Client
) -> None:
    info = http.get("/gradio_api/info").json()["named_endpoints"]["/poster"]
    names = [parameter["parameter_name"] for parameter in info["parameters"]]
    assert names[:2] == ["prompt", "negative_prompt"] and names[-1] == "extras"
    assert not {"border", "frame", "pattern"} & set(names)
    drawn = draw_page(FlatPainter(tmp_path), catalog(POSTER), Settings.at(tmp_path))
    labels = [c["props"].get("label") for c in drawn.blocks.config["components"]]
    for word in ("Poster", "Print", "Border", "Frame"):
        assert any(word in str(label) for label in labels)
    assert not {"Secret", "Extensions"} & set(labels)  # hidden; and there is no face of extensions


def test_extras_reach_the_request_completed(client: Client, painter: FlatPainter) -> None:
    given = {"border": 5, "tilt": 0.5, "paper": "rice paper", "enlarged_by": "nearest"}
    client.predict("x", extras={**given, "secret": "s", "grain": 3}, api_name="/poster")
    assert dict(painter.submitted[0].extras) == {
        **{"border": 5, "tilt": 0.5, "paper": 1, "enlarged_by": "Nearest", "grain": 3},
        **{"frame": False, "caption": "", "secret": "s", "frames": 1},
        **{"pattern": None, "stencil": None, "eta": None},
    }


def test_pictures_in_extras_are_uploads_or_data_urls(
    client: Client, http: httpx.Client, painter: FlatPainter, picture: Path, tmp_path: Path
) -> None:
    import base64

    mask = Image.new("L", (48, 32), 255)
    mask.save(tmp_path / "mask.png")
    extras = {"pattern": handle_file(picture), "stencil": handle_file(tmp_path / "mask.png")}
    client.predict("x", extras=extras, api_name="/poster")
    url = "data:image/png;base64," + base64.b64encode(picture.read_bytes()).decode()
    for given in (url, {"url": url}):
        body = {"prompt": "x", "extras": {"pattern": given}}
        assert events(http, "poster", body)[-1][0] == "complete"
    for request in painter.submitted:
        assert request.extras["pattern"].tobytes() == Image.open(picture).tobytes()
    stencil = painter.submitted[0].extras["stencil"]
    assert (stencil.size, stencil.getextrema()) == ((96, 64), (255, 255))  # the picture's size


WRONG_EXTRAS = [
    ({"border": 10}, "border 10: use 0 to 9"),
    ({"border": 1.5}, "border 1.5: give a whole number from 0 to 9"),
    ({"paper": "silk"}, "paper 'silk': use 0, 1"),
    ({"enlarged_by": "Lanzcos"}, "enlarged_by 'Lanzcos' is not known; did you mean 'Lanczos'?"),
    ({"frame": "yes"}, "frame 'yes': give true or false"),
    ({"grain": -2}, "grain -2: use 0 to"),
    ({"caption": 5}, "caption 5: give text"),
    ({"pattern": 5}, "pattern: that is no picture"),
    ({"pattern": {"path": "/etc/hostname"}}, "pattern: no such upload"),
    ({"pattern": {"url": "http://127.0.0.1/a.png"}}, "pattern: that is no picture"),
    ({"bordr": 1}, "extras: 'bordr' is no control of poster; did you mean 'border'?"),
]


@pytest.mark.parametrize(("extras", "sentence"), WRONG_EXTRAS)
def test_wrong_extras_are_refused_before_they_are_queued(
    http: httpx.Client, painter: FlatPainter, extras: dict[str, Any], sentence: str
) -> None:
    answer = http.post("/gradio_api/call/v2/poster", json={"prompt": "x", "extras": extras})
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith(sentence)
    assert answer.json()["field"] == "extras"
    assert not painter.submitted


def test_an_animation_is_a_file_like_any_other(client: Client, http: httpx.Client) -> None:
    files, info = client.predict("x", seed=5, extras={"frames": 3}, api_name="/poster")
    with Image.open(files[0]) as opened:
        assert (opened.format, opened.n_frames) == ("WEBP", 3)
        assert opened.size == (info["width"], info["height"])
    found = client.predict(handle_file(files[0]), api_name="/png_info")
    assert found["parameters"] == info["parameters"]
    _, (sent, _) = events(http, "poster", {"prompt": "x", "extras": {"frames": 2}})[-1]
    assert sent[0]["mime_type"] == "image/webp"
    served = http.get(sent[0]["url"])
    assert served.headers["content-type"] == "image/webp"
    assert "attachment" not in served.headers.get("content-disposition", "")
