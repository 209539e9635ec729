"""The gallery's routes over a real socket: found, shown, kept by browsers, changed, taken along; by whom."""

from __future__ import annotations

import io
import zipfile
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import unquote

import httpx
import pytest
from PIL import Image

from tests.store.pictures import picture
from webui import metadata
from webui.http import archives

FOREVER = "private, max-age=31536000, immutable"


@pytest.fixture
def made(open_house, http):
    """A picture of a job, as the list tells it."""
    job = open_house.submit(http, prompt="a lighthouse")
    open_house.end(http, job)
    found = http.get("/api/pictures", params={"words": "lighthouse"}).json()["pictures"]
    return next(one for one in found if one["job"] == job)


def placed(house, name: str, prompt: str, **values):
    """A file as somebody else puts it there; its number."""
    path = picture(house.folder / "outputs" / name, prompt, **values)
    house.gallery.scan()
    return house.gallery.at(path).id


def test_a_finished_job_s_picture_is_found_at_once(open_house, http, made):
    assert made["prompt"] == "a lighthouse" and made["task"] == "txt2img" and made["seed"] == 1
    assert (made["width"], made["height"], made["favourite"], made["trashed"]) == (
        64,
        64,
        False,
        None,
    )
    whole = http.get(f"/api/pictures/{made['id']}").json()
    assert whole.pop("parameters").startswith("a lighthouse\nSteps: 2")
    assert whole == made
    of_job = http.get(f"/api/jobs/{made['job']}/images/0").content
    assert http.get("/" + made["url"]).content == of_job
    facets = http.get("/api/pictures/facets").json()
    assert ["tiny", facets["model"][0][1]] == facets["model"][0] and facets["day"]


def test_pages_follow_each_other(open_house, http):
    for number in range(7):
        placed(open_house, f"pages/{number}.png", f"paged {number}", at=1000 + number)
    asked = {"words": "paged", "limit": 3}
    seen = []
    while True:
        page = http.get("/api/pictures", params=asked).json()
        assert (
            page["total"] == 7
            and page["version"] == http.get("/api/pictures/version").json()["version"]
        )
        seen += [one["prompt"] for one in page["pictures"]]
        if not page["next"]:
            break
        asked["after"] = page["next"]
    assert seen == [f"paged {number}" for number in reversed(range(7))]


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 501}, "limit"),
        ({"from_day": "tomorrow"}, "from_day"),
        ({"to_day": "2026-13-01"}, "to_day"),
        ({"after": "1; DROP TABLE pictures"}, "after"),
        ({"favourites": "perhaps"}, "favourites"),
        ({"words": "x" * 1001}, "words"),
    ],
)
def test_what_is_wrong_is_told_with_its_field(http, asked, field):
    answer = http.get("/api/pictures", params=asked)
    assert (answer.status_code, answer.json()["field"]) == (422, field)
    assert answer.json()["error"]


def test_a_browser_keeps_what_the_link_names_and_asks_again_otherwise(http, made):
    for url, bare in (
        (made["url"], f"api/pictures/{made['id']}/file"),
        (made["thumbnail"], f"api/pictures/{made['id']}/thumbnail"),
    ):
        first = http.get("/" + url)
        assert first.headers["cache-control"] == FOREVER
        assert first.headers["x-content-type-options"] == "nosniff"
        for other in (bare, bare + "?v=0123456789abcdef"):
            plain = http.get("/" + other)
            assert plain.headers["cache-control"] == "no-cache" and plain.content == first.content
            tag = plain.headers["etag"]
            again = http.get("/" + other, headers={"If-None-Match": f'"x", W/{tag}'})
            assert (again.status_code, again.content) == (304, b"") and again.headers["etag"] == tag
            assert http.get("/" + other, headers={"If-None-Match": '"x"'}).status_code == 200


def test_a_part_of_a_file_can_be_had(http, made):
    whole = http.get("/" + made["url"]).content
    part = http.get("/" + made["url"], headers={"Range": "bytes=8-15"})
    assert (part.status_code, part.content) == (206, whole[8:16])


def test_a_thumbnail_is_small_and_upright(open_house, http):
    number = placed(open_house, "wide.png", "wide", size=(1000, 250))
    answer = http.get(f"/api/pictures/{number}/thumbnail")
    assert answer.headers["content-type"] == "image/webp"
    with Image.open(io.BytesIO(answer.content)) as small:
        assert (small.format, small.size) == ("WEBP", (384, 96))
    exif = Image.Exif()
    exif[0x0112] = 6
    path = open_house.folder / "outputs" / "turned.jpg"
    Image.new("RGB", (800, 400)).save(path, exif=exif)
    open_house.gallery.scan()
    with Image.open(
        io.BytesIO(http.get(f"/api/pictures/{open_house.gallery.at(path).id}/thumbnail").content)
    ) as small:
        assert small.size == (192, 384)


@pytest.mark.parametrize(("kind", "suffix"), [("png", ".png"), ("jpeg", ".jpg"), ("webp", ".webp")])
def test_a_converted_picture_keeps_its_settings(open_house, http, kind, suffix):
    number = placed(
        open_house, f"für {kind}.png", f"a cat, 猫 as {kind}", size=(40, 30), colour=(200, 40, 60)
    )
    text = http.get(f"/api/pictures/{number}").json()["parameters"]
    answer = http.get(
        f"/api/pictures/{number}/file", params={"format": kind, "quality": 95, "download": 1}
    )
    assert answer.headers["content-type"] == f"image/{kind}"
    disposition = answer.headers["content-disposition"]
    assert disposition.startswith(f'attachment; filename="f_r {kind}{suffix}"')
    assert unquote(disposition.partition("UTF-8''")[2]) == f"für {kind}{suffix}"
    with Image.open(io.BytesIO(answer.content)) as opened:
        assert opened.format == kind.upper() and opened.size == (40, 30)
        assert metadata.read(opened) == text
        middle = opened.convert("RGB").getpixel((20, 15))
    assert all(abs(one - other) <= 6 for one, other in zip(middle, (200, 40, 60), strict=True))
    coarse = http.get(f"/api/pictures/{number}/file", params={"format": kind, "quality": 5})
    assert coarse.headers["etag"] != answer.headers["etag"]
    for wrong in (
        {"format": "gif"},
        {"format": kind, "quality": 0},
        {"format": kind, "quality": 101},
    ):
        assert http.get(f"/api/pictures/{number}/file", params=wrong).status_code == 422


def test_transparency_is_kept_where_the_kind_has_it(open_house, http):
    path = open_house.folder / "outputs" / "glass.png"
    Image.new("RGBA", (8, 8), (255, 0, 0, 0)).save(path)
    open_house.gallery.scan()
    number = open_house.gallery.at(path).id
    for kind, pixel in (("webp", (255, 0, 0, 0)), ("jpeg", (255, 255, 255, 255))):
        answer = http.get(f"/api/pictures/{number}/file", params={"format": kind})
        with Image.open(io.BytesIO(answer.content)) as opened:
            assert opened.convert("RGBA").getpixel((4, 4))[3] == pixel[3]


def test_favourites_are_marked_and_found(open_house, http, made):
    body = {"ids": [made["id"]], "favourite": True}
    before = http.get("/api/pictures/version").json()["version"]
    assert http.patch("/api/pictures", json=body).json() == {"ids": [made["id"]]}
    assert http.get("/api/pictures/version").json()["version"] > before
    found = http.get("/api/pictures", params={"favourites": "true"}).json()["pictures"]
    assert made["id"] in [one["id"] for one in found] and all(one["favourite"] for one in found)
    http.patch("/api/pictures", json={**body, "favourite": False})
    left = http.get("/api/pictures", params={"favourites": "true"}).json()["pictures"]
    assert [one["id"] for one in left] == [one["id"] for one in found if one["id"] != made["id"]]


def test_trash_and_back_and_for_good(open_house, http):
    number = placed(open_house, "waste/a.png", "some waste")
    path = open_house.folder / "outputs" / "waste" / "a.png"
    assert http.post("/api/pictures/trash", json={"ids": [number, 10**9]}).json() == {
        "ids": [number]
    }
    assert not path.exists()
    assert http.get("/api/pictures", params={"words": "waste"}).json()["total"] == 0
    (found,) = http.get("/api/pictures", params={"trash": "true"}).json()["pictures"]
    assert found["id"] == number and found["name"] == "waste/a.png" and found["trashed"] > 1e9
    assert http.post("/api/pictures/restore", json={"ids": [number]}).json() == {"ids": [number]}
    assert path.exists()
    http.post("/api/pictures/trash", json={"ids": [number]})
    assert http.post("/api/pictures/empty-trash").json() == {"removed": 1}
    assert http.get(f"/api/pictures/{number}").status_code == 404


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "ids"),
        ({"ids": []}, "ids"),
        ({"ids": "1"}, "ids"),
        ({"ids": [1.5]}, "ids"),
        ({"ids": [True]}, "ids"),
        ({"ids": [-1]}, "ids"),
        ({"ids": [2**70]}, "ids"),
        ({"ids": list(range(20_001))}, "ids"),
        ({"ids": [1], "force": True}, "force"),
    ],
)
def test_a_change_that_cannot_be_meant_is_refused(http, body, field):
    for ask in (
        lambda: http.post("/api/pictures/trash", json=body),
        lambda: http.post("/api/pictures/restore", json=body),
        lambda: http.patch("/api/pictures", json={**body, "favourite": True}),
    ):
        answer = ask()
        assert (answer.status_code, answer.json()["field"]) == (422, field)
    answer = http.patch("/api/pictures", json={"ids": [1], "favourite": 1})
    assert (answer.status_code, answer.json()["field"]) == (422, "favourite")


def test_only_this_page_may_change_anything(open_house, http, made):
    """The gate's rules hold here too: another site's page, or a form, is refused."""
    body = {"ids": [made["id"]]}
    foreign = http.post(
        "/api/pictures/trash", json=body, headers={"Origin": "http://elsewhere.example"}
    )
    form = http.post(
        "/api/pictures/trash", content=f"ids={made['id']}", headers={"Content-Type": "text/plain"}
    )
    assert (foreign.status_code, form.status_code) == (403, 415)
    assert http.get(f"/api/pictures/{made['id']}").json()["trashed"] is None


@pytest.mark.parametrize("what", ["", "/file", "/thumbnail", "/file?format=jpeg"])
def test_what_is_not_there_is_told_in_a_sentence(http, what):
    answer = http.get(f"/api/pictures/987654{what}")
    assert answer.status_code == 404 and "not known" in answer.json()["error"]
    assert http.get(f"/api/pictures/{2**70}{what}").status_code == 422
    assert http.get(f"/api/pictures/..%2f..%2fetc{what}").status_code in (404, 422)


def test_a_picture_whose_pixels_are_damaged_has_no_thumbnail(open_house, http):
    path = picture(open_house.folder / "outputs" / "spoilt.png", size=(64, 64))
    content = bytearray(path.read_bytes())
    at = content.index(b"IDAT") + 8
    content[at : at + 20] = b"\xff" * 20
    path.write_bytes(content)
    open_house.gallery.scan()
    number = open_house.gallery.at(path).id
    for what in ("thumbnail", "file?format=webp"):
        answer = http.get(f"/api/pictures/{number}/{what}")
        assert answer.status_code in (404, 422) and answer.json()["error"]
    assert http.get(f"/api/pictures/{number}/file").content == bytes(content)


def test_an_archive_has_the_files_as_they_are(open_house, http):
    numbers = [
        placed(open_house, f"{day}/same.png", f"in {day}", colour=day) for day in ("red", "blue")
    ]
    answer = http.get(
        "/api/pictures/archive", params={"ids": ",".join(map(str, [*numbers, numbers[0]]))}
    )
    assert answer.headers["content-type"] == "application/zip"
    assert answer.headers["content-disposition"].startswith('attachment; filename="easel-')
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["red/same.png", "blue/same.png"]
        for name in archive.namelist():
            assert archive.read(name) == (open_house.folder / "outputs" / name).read_bytes()
            assert archive.getinfo(name).compress_type == zipfile.ZIP_STORED
    for wrong, status in (
        ("", 422),
        ("1,x", 422),
        ("1;2", 422),
        ("987654", 404),
        (",".join(["1"] * 2001), 422),
    ):
        assert http.get("/api/pictures/archive", params={"ids": wrong}).status_code == status, wrong


def test_an_archive_tells_equal_names_apart_and_leaves_out_what_is_gone(tmp_path):
    for name in ("a", "b", "c"):
        (tmp_path / name).write_bytes(name.encode() * 300_000)
    files = [
        (tmp_path / name, inside)
        for name, inside in (("a", "x.png"), ("gone", "y.png"), ("b", "X.png"), ("c", "x (2).png"))
    ]
    parts = list(archives.streamed(files))
    assert max(len(part) for part in parts) < 300_000  # not all at once
    with zipfile.ZipFile(io.BytesIO(b"".join(parts))) as archive:
        assert archive.namelist() == ["x.png", "X (2).png", "x (2) (2).png"]
        assert archive.read("X (2).png") == b"b" * 300_000


def test_everybody_has_their_own_pictures(guarded, ann, bob, stranger):
    ids = {}
    for name, client in (("ann", ann), ("bob", bob)):
        job = guarded.submit(client, prompt=f"made by {name}")
        guarded.end(client, job)
        (found,) = client.get("/api/pictures", params={"words": f"by {name}"}).json()["pictures"]
        ids[name] = found["id"]
    ids["nobody"] = placed(guarded, "copied.png", "made by nobody")
    bobs = bob.get("/api/pictures").json()["pictures"]  # of this test and of others
    assert ids["bob"] in [one["id"] for one in bobs]
    assert not {ids["ann"], ids["nobody"]} & {one["id"] for one in bobs}
    counted = sum(count for _, count in bob.get("/api/pictures/facets").json()["task"])
    assert counted == bob.get("/api/pictures").json()["total"]
    assert ann.get("/api/pictures", params={"words": "by bob"}).json()["total"] == 0
    assert (
        ann.get("/api/pictures", params={"words": "by nobody"}).json()["total"] == 1
    )  # ann is the first
    for client, others in ((bob, ("ann", "nobody")), (ann, ("bob",))):
        for other in others:
            number = ids[other]
            for what in ("", "/file", "/thumbnail"):
                assert client.get(f"/api/pictures/{number}{what}").status_code == 404
            assert client.get(f"/api/pictures/archive?ids={number}").status_code == 404
            assert client.post("/api/pictures/trash", json={"ids": [number]}).status_code == 404
            assert (
                client.patch("/api/pictures", json={"ids": [number], "favourite": True}).status_code
                == 404
            )
    assert stranger.get("/api/pictures").status_code == 401
    assert stranger.get(f"/api/pictures/{ids['ann']}/file").status_code == 401


def test_pictures_are_told_as_the_description_says(open_house, http, made):
    schema = http.get("/openapi.json").json()["components"]["schemas"]
    assert set(schema["PictureView"]["properties"]) == set(made)
    whole = http.get(f"/api/pictures/{made['id']}").json()
    assert set(schema["PictureDetail"]["properties"]) == set(whole)


def test_many_thumbnails_at_once_leave_room_for_others(open_house, http):
    """The list answers while a hundred are waited for."""
    numbers = [
        placed(open_house, f"many/{n}.png", "many", size=(600, 400), colour=(n, 2 * n, 90))
        for n in range(24)
    ]
    with httpx.Client(base_url=open_house.url, timeout=60) as other:
        with ThreadPoolExecutor(24) as threads:
            waiting = [
                threads.submit(other.get, f"/api/pictures/{number}/thumbnail") for number in numbers
            ]
            assert http.get("/api/pictures").status_code == 200
            assert all(one.result().status_code == 200 for one in waiting)
