"""A file that a task made, over HTTP and on the page: its address is in the job, and it is never shown as a page."""

import httpx

from tests.http.house import house
from webui.types import File, Task
from webui.ui.pictures import OwnPictures


def pages(request, studio):
    (studio.folder / "made.html").write_text("<script>alert(1)</script>")
    return File(".html", studio.folder / "made.html", "text/html")
    yield


def test_a_file_is_had_at_its_address_as_a_download(tmp_path, models_dir):
    tasks = (Task("pages", "Pages", pages, samples=False),)
    with house(tmp_path, models_dir, tasks=tasks) as served:
        with httpx.Client(base_url=served.url, timeout=30) as http:
            job = served.submit(http, task="pages", prompt="")
            (image,) = served.end(http, job)["images"]
            assert image["media_type"] == "text/html" and image["width"] == image["height"] == 0
            assert "Media type: text/html" in image["parameters"]
            answer = http.get(image["url"])
            assert answer.text == "<script>alert(1)</script>"
            assert answer.headers["content-type"].startswith("text/html")
            assert answer.headers["content-disposition"].startswith("attachment")
            assert http.get("/api/pictures").json()["pictures"] == []
            (saved,) = served.engine.status(job).pictures
            links = OwnPictures(served.engine, served.gallery).links(job, saved)
            assert links["url"] == image["url"].lstrip("/") and links["id"] == 0
            assert links["look"].startswith("data:image/svg+xml,") and ".html" in links["look"]
