"""The gallery: what is found, in which order, by whom; favourites; what a link leads to."""

from __future__ import annotations

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest
from PIL import Image

from tests.store.pictures import gallery_at, picture
from webui.errors import RequestError
from webui.store.gallery import UnknownPicture
from webui.types import SavedPicture, Search


def names(gallery, owner=None, **asked) -> list[str]:
    return [one.name for one in gallery.search(Search(**asked), owner).pictures]


def test_a_picture_is_known_with_its_settings(gallery, outputs):
    picture(outputs / "day" / "one.png", "a cat", negative="dogs", at=1000.5, size=(24, 40))
    gallery.scan()
    (found,) = gallery.search(Search()).pictures
    assert (found.name, found.path) == ("day/one.png", outputs / "day" / "one.png")
    assert (found.width, found.height, found.made_s) == (24, 40, 1000.5)
    assert (found.prompt, found.negative_prompt, found.seed) == ("a cat", "dogs", 12)
    assert (found.model, found.sampler, found.task) == ("tiny", "Euler a", "txt2img")
    assert found.parameters.startswith("a cat\nNegative prompt: dogs\nSteps: 4")
    assert (found.owner, found.job, found.favourite, found.trashed_s) == ("", "", False, None)


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("cat", ["cat"]),
        ("CAT", ["cat"]),
        ("gre", ["duck", "cat"]),  # each word is a beginning
        ("gre cat", ["cat"]),  # all must be found, in any order
        ("eyes green", ["cat"]),
        ("een", []),
        ("blurry", ["duck"]),  # of the negative prompt
        ("blurry pond", ["duck"]),  # of both
        ("cafe", ["duck"]),  # "café" is found with and without its accent
        ("café", ["duck"]),
        ("green-eyed", []),  # signs part words, which must stand together
        ("green_eyes", ["cat"]),
        ("猫", ["kanji"]),  # words that no space parts are found inside a sentence
        ("い猫", ["kanji"]),
        ("猫白", []),
        ("ﾈｺ", ["kanji"]),  # half-width signs are the same letters
        ("ネコ", ["kanji"]),
        ("((", ["cat"]),  # signs alone
        ("%", []),
        ("", ["kanji", "duck", "cat"]),
    ],
)
def test_words_are_found(gallery, outputs, words, found):
    picture(outputs / "cat.png", "a Cat with ((green eyes:1.2))", at=1)
    picture(outputs / "duck.png", "a duck on a greenish pond, café", negative="blurry", at=2)
    picture(outputs / "kanji.png", "白い猫とネコ、庭で", at=3)
    gallery.scan()
    assert [name.removesuffix(".png") for name in names(gallery, words=words)] == found


@pytest.mark.parametrize(
    "words",
    [
        *('"', '""', "'", "cat OR dog", "cat AND", "NOT cat", "cat*", "* cat", "NEAR(cat dog)"),
        *(
            "prompt:cat",
            "^cat",
            "cat^2",
            "{cat}",
            "-cat",
            "cat; DROP TABLE pictures",
            "%' OR 1=1 --",
        ),
        *("\\", "_", "\0", "a" * 1000, "🐈", "‮cat", "( ( (", "cat\x00dog", "\ud800"),
    ],
)
def test_no_words_are_a_command(gallery, outputs, words):
    """As a query of their own: nothing breaks, and what they would mean to a database is not done."""
    picture(outputs / "dog.png", "only dog")
    gallery.scan()
    try:
        found = names(gallery, words=words)
    except RequestError:
        found = []
    assert found == [] or words.strip("\0") == ""
    assert names(gallery) == ["dog.png"]


def test_filters_are_met_together(gallery, outputs):
    picture(outputs / "a.png", "red", model="one", sampler="DDIM", at=1)
    picture(outputs / "b.png", "red", model="one", at=2, more=", Denoising strength: 0.5")
    picture(outputs / "c.png", "blue", model="two", at=3)
    gallery.scan()
    assert names(gallery, model="one") == ["b.png", "a.png"]
    assert names(gallery, model="one", sampler="DDIM") == ["a.png"]
    assert names(gallery, task="img2img") == ["b.png"]
    assert names(gallery, model="one", words="blue") == []
    assert gallery.facets() == {
        "model": [("one", 2), ("two", 1)],
        "sampler": [("Euler a", 2), ("DDIM", 1)],
        "task": [("txt2img", 2), ("img2img", 1)],
        "day": [(datetime.fromtimestamp(1).date().isoformat(), 3)],
    }


def test_days_are_those_of_this_place_from_midnight_to_midnight(gallery, outputs):
    for hour, name in ((0, "first"), (23, "last")):
        picture(outputs / f"{name}.png", at=datetime(2026, 3, 5, hour, 59 * (hour > 0)).timestamp())
    picture(outputs / "next.png", at=datetime(2026, 3, 6).timestamp())
    gallery.scan()
    assert names(gallery, from_day="2026-03-05", to_day="2026-03-05") == ["last.png", "first.png"]
    assert names(gallery, from_day="2026-03-06") == ["next.png"]
    assert names(gallery, to_day="2026-03-04") == []
    assert gallery.facets()["day"] == [("2026-03-06", 1), ("2026-03-05", 2)]
    for wrong in ("yesterday", "2026-02-30", "1"):
        with pytest.raises(RequestError, match="give a day as"):
            gallery.search(Search(from_day=wrong))


def test_pages_have_every_picture_once_while_more_come(gallery, outputs):
    """Several were made at the same time; new ones come in front while somebody pages."""
    for number in range(23):
        picture(outputs / f"{number:02d}.png", f"picture {number}", at=1000 + number // 5)
    gallery.scan()
    everything, seen, behind = names(gallery), [], ""
    while True:
        page = gallery.search(Search(limit=5, after=behind))
        seen += [one.name for one in page.pictures]
        assert page.total >= 23
        behind = page.next
        if not behind:
            break
        picture(outputs / f"new{len(seen)}.png", f"picture {len(seen)} new", at=2000)
        gallery.scan()
    assert seen == everything and len(set(seen)) == 23
    for wrong in ("x", "1_", "1_2_3", "nan_1", "1; DROP", "_"):
        with pytest.raises(RequestError, match="after"):
            gallery.search(Search(after=wrong))


def test_the_count_is_of_all_that_fit(gallery, outputs):
    for number in range(12):
        picture(outputs / f"{number}.png", "red" if number % 3 else "blue", at=number)
    gallery.scan()
    assert gallery.search(Search(limit=5)).total == 12
    assert gallery.search(Search(limit=5, words="red")).total == 8
    gallery.trash([gallery.search(Search(words="red")).pictures[0].id])
    assert gallery.search(Search(limit=5, words="red")).total == 7


def test_words_and_filters_are_counted_together(gallery, outputs):
    for number in range(12):
        model = "one" if number % 2 else "two"
        picture(outputs / f"{number}.png", "red" if number % 3 else "blue", model=model, at=number)
    gallery.scan()
    first = gallery.search(Search(limit=2, words="red", model="one"))
    second = gallery.search(Search(limit=2, words="red", model="one", after=first.next))
    assert [one.name for one in (*first.pictures, *second.pictures)] == [
        *("11.png", "7.png", "5.png", "1.png"),
    ]
    assert (first.total, second.total, second.next) == (4, 4, "")
    gallery.favour([first.pictures[0].id], True)
    assert gallery.search(Search(limit=1, words="red", favourites=True)).total == 1
    assert gallery.search(Search(limit=1, words="red"), "").total == 8


def test_everybody_sees_their_own_and_the_first_login_what_is_nobodys(tmp_path, outputs):
    gallery = gallery_at(tmp_path, logins=("ann", "bob", "eve"))
    for owner in ("ann", "bob", "visitor-0123", ""):
        path = picture(outputs / f"{owner or 'copied'}.png", f"by {owner}", at=5)
        gallery.add(SavedPicture(path, 1, 32, 16, ""), "txt2img", owner, "j" if owner else "")
    everything = {one.name: one.id for one in gallery.search(Search()).pictures}
    assert len(everything) == 4  # who need not log in sees all
    assert set(names(gallery, "ann")) == {"ann.png", "visitor-0123.png", "copied.png"}
    assert names(gallery, "bob") == ["bob.png"] and names(gallery, "eve") == []
    assert gallery.search(Search(), "bob").total == 1
    assert gallery.facets("bob")["model"] == [("tiny", 1)] and gallery.facets("eve")["model"] == []
    for number in (everything["ann.png"], everything["copied.png"]):
        for refused in (
            lambda n=number: gallery.get(n, "bob"),
            lambda n=number: gallery.thumbnail(n, "bob"),
            lambda n=number: gallery.favour([n], True, "bob"),
            lambda n=number: gallery.trash([n], "bob"),
            lambda n=number: gallery.files([n], "bob"),
        ):
            with pytest.raises(UnknownPicture):
                refused()
    assert gallery.at(outputs / "ann.png", "bob") is None
    assert gallery.at(outputs / "bob.png", "bob") is not None
    # among those that one may see, another's is passed over
    assert gallery.trash([everything["bob.png"], everything["ann.png"]], "bob") == [
        everything["bob.png"]
    ]
    assert (
        names(gallery, "bob", trash=True) == ["bob.png"] and names(gallery, "ann", trash=True) == []
    )
    assert gallery.empty_trash("ann") == 0 and gallery.empty_trash("bob") == 1
    gallery.close()


def test_a_picture_of_ours_is_there_at_once_and_keeps_its_task(gallery, outputs):
    before = gallery.version
    path = picture(outputs / "one.png")
    gallery.add(SavedPicture(path, 12, 32, 16, ""), "morph", "ann", "job1")
    found = gallery.at(path)
    assert (found.task, found.owner, found.job) == ("morph", "ann", "job1")
    assert gallery.version > before
    gallery.scan()
    assert gallery.at(path) == found
    gallery.add(SavedPicture(outputs / "nowhere.png", 1, 1, 1, ""), "morph", "ann", "job1")
    assert len(names(gallery)) == 1


def test_a_favourite_is_one_until_it_is_none(gallery, outputs):
    for name in "ab":
        picture(outputs / f"{name}.png", name)
    gallery.scan()
    number = gallery.at(outputs / "a.png").id
    before = gallery.version
    assert gallery.favour([number, 999], True) == [number]
    assert gallery.version > before
    assert names(gallery, favourites=True) == ["a.png"]
    assert gallery.is_favourite(outputs / "a.png") and not gallery.is_favourite(outputs / "b.png")
    gallery.favour([number], False)
    assert names(gallery, favourites=True) == []
    with pytest.raises(UnknownPicture):
        gallery.favour([999], True)
    with pytest.raises(RequestError, match="at least one"):
        gallery.favour([], True)


def test_what_was_known_is_known_after_a_restart(tmp_path, outputs):
    picture(outputs / "a.png")
    gallery = gallery_at(tmp_path)
    gallery.scan()
    (before,) = gallery.search(Search()).pictures
    gallery.favour([before.id], True)
    version = gallery.version
    gallery.close()
    gallery = gallery_at(tmp_path)
    (after,) = gallery.search(Search()).pictures
    assert after.id == before.id and after.favourite and gallery.version >= version
    gallery.close()


@pytest.mark.parametrize("how", ["damaged", "deleted", "deleted, and stopped half-way"])
def test_an_index_is_made_again_from_the_files(tmp_path, outputs, how):
    """With all that was known: the trash lies in its folder, and favourites are written down beside the index."""
    for name in "abcd":
        picture(outputs / f"{name}.png", name, at=1000 + ord(name))
    shutil.copy2(outputs / "a.png", outputs / "copy of a.png")  # another picture, and no favourite
    gallery = gallery_at(tmp_path)
    gallery.scan()
    gallery.favour([gallery.at(outputs / f"{name}.png").id for name in "abc"], True)
    gallery.trash([gallery.at(outputs / "b.png").id])
    gallery.close()
    path = tmp_path / "kept" / "gallery.db"
    if how == "damaged":
        path.write_bytes(b"no database" * 1000)
    else:
        path.unlink()
    (outputs / "c.png").rename(outputs / "renamed.png")
    gallery = gallery_at(tmp_path)
    assert (gallery.set_aside is not None) == (how == "damaged")
    if how.endswith("half-way"):
        gallery.add(SavedPicture(outputs / "d.png", 1, 32, 16, ""), "txt2img", "", "j")
        gallery.favour([gallery.at(outputs / "d.png").id], True)
        gallery.favour([gallery.at(outputs / "d.png").id], False)
        gallery.close()
        gallery = gallery_at(tmp_path)
    gallery.scan()
    assert set(names(gallery)) == {"a.png", "d.png", "renamed.png", "copy of a.png"}
    assert set(names(gallery, favourites=True)) == {"a.png", "renamed.png"}
    assert names(gallery, trash=True) == names(gallery, trash=True, favourites=True) == ["b.png"]
    gallery.favour([gallery.at(outputs / "a.png").id], False)
    gallery.close()
    gallery = gallery_at(tmp_path)  # what the index knows is not taken from elsewhere
    gallery.scan()
    assert names(gallery, favourites=True) == ["renamed.png"]
    gallery.close()


def test_a_link_leads_to_the_file_as_it_is_now(gallery, outputs):
    path = picture(outputs / "a.png", "old", at=1000)
    gallery.scan()
    before = gallery.at(path)
    picture(path, "new", colour="blue", at=2000)  # nobody has looked since
    after = gallery.get(before.id)
    assert (after.id, after.prompt, after.made_s) == (before.id, "new", 2000)
    assert after.stamp != before.stamp and after.url != before.url
    with Image.open(gallery.thumbnail(before.id)) as small:
        red, _, blue = small.convert("RGB").getpixel((5, 5))
    assert blue > 200 > red
    path.unlink()
    with pytest.raises(UnknownPicture, match="no longer there"):
        gallery.get(before.id)
    assert names(gallery) == []
    with pytest.raises(UnknownPicture):
        gallery.get(before.id)


def test_a_link_out_of_the_folder_is_not_followed(gallery, outputs, tmp_path):
    path = picture(outputs / "day" / "a.png", at=1000)
    secret = picture(tmp_path / "elsewhere" / "a.png", "secret", at=1000)
    gallery.scan()
    number = gallery.at(path).id
    path.unlink()
    path.symlink_to(secret)
    with pytest.raises(UnknownPicture):
        gallery.get(number)
    path.unlink()
    (outputs / "day").rmdir()
    (outputs / "day").symlink_to(secret.parent)
    (outputs / "more").symlink_to(secret.parent)
    gallery.scan()
    with pytest.raises(UnknownPicture):
        gallery.get(number)
    assert names(gallery) == [] and names(gallery, words="secret") == []


def test_an_outputs_folder_behind_a_link_is_one_like_others(tmp_path):
    real = tmp_path / "disk"
    real.mkdir()
    (tmp_path / "outputs").symlink_to(real)
    gallery = gallery_at(tmp_path)
    path = picture(tmp_path / "outputs" / "a.png")
    gallery.add(SavedPicture(path, 1, 32, 16, ""), "txt2img", "", "j")
    gallery.scan()
    assert gallery.at(path).id == gallery.at(real / "a.png").id
    assert gallery.get(gallery.at(path).id).name == "a.png"
    assert gallery.at(tmp_path / "a.png") is None
    gallery.close()


def test_pictures_are_added_scanned_and_sought_at_the_same_time(tmp_path, outputs):
    """Each once, with the owner that its job has, whichever thread saw it first."""
    gallery = gallery_at(tmp_path)

    def add(number: int) -> None:
        path = picture(outputs / f"{number % 3}" / f"{number}.png", f"number {number}")
        gallery.add(SavedPicture(path, 1, 32, 16, ""), "txt2img", "ann", f"job{number}")

    with ThreadPoolExecutor(6) as threads:
        work = [threads.submit(add, number) for number in range(60)]
        work += [threads.submit(gallery.scan) for _ in range(12)]
        work += [threads.submit(names, gallery, words="number") for _ in range(30)]
        for one in work:
            one.result()
    gallery.scan()
    found = gallery.search(Search(limit=100)).pictures
    assert len(found) == 60 and {one.job for one in found} == {f"job{n}" for n in range(60)}
    assert {one.owner for one in found} == {"ann"}
    gallery.close()


def test_names_that_are_no_text_do_no_harm(gallery, outputs):
    path = picture(outputs / "a.png")
    try:
        os.rename(path, os.fsencode(outputs) + b"/b\xff.png")
    except OSError:
        pytest.skip("this disk has no such names")
    picture(outputs / "ü 猫 %2e;'.png", "b")
    gallery.scan()
    assert names(gallery) == ["ü 猫 %2e;'.png"]
