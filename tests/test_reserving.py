"""Names of their own: n savings give n files, whatever the pattern, the pictures and what lies there already."""

from __future__ import annotations

import os
import random
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from tests.test_metadata import finished
from tests.test_naming import FACTS
from webui.errors import EaselError, RequestError
from webui.images import save
from webui.naming import PATTERN, TOKENS, Facts, Pattern, Saving
from webui.reserving import publish, taken

# What patterns are made of; what files of others may be called; what pictures say of themselves.
PIECES = [
    *(f"[{token}]" for token in TOKENS),
    *("[number]",) * 12,
    *("[datetime<%Y%m%d>]", "[datetime<%H.%M>]", "-", "_", " ", ".", "a:", "img2", "con", "nul."),
    *("x" * 30, "é" * 10, "👍" * 12, "5", "00001", "part", ". ", "..", " .", "e\u0301", "\ud800"),
]
OTHERS = ["x.txt", "00003.png", "00000", ".00000.part", ".00002.part", "notes 1234567.txt", ".x"]
PROMPTS = [
    "",
    "a cat",
    "A CAT",
    "cat 1",
    "12345",
    "a-123-b",
    "é" * 300,
    "👍" * 100,
    ".x",
    "con",
    " ",
]


def random_pattern(dice: random.Random) -> Pattern:
    while True:
        try:
            return Pattern("".join(dice.choices(PIECES, k=dice.randint(1, 6))))
        except RequestError:
            continue


def random_facts(dice: random.Random) -> Facts:
    return replace(
        FACTS,
        seed=dice.choice([7, 0, 99999, 123456789, 2**40, dice.randrange(10**9)]),
        prompt=dice.choice(PROMPTS),
        index=dice.randrange(4),
        steps=dice.choice([1, 20, 150]),
        model=dice.choice(["v1", "anime/v2", "12345"]),
    )


def stored(folder: Path, pattern: Pattern, facts: Facts, content: bytes, ending: str) -> Path:
    stem, part, descriptor = taken(folder, pattern, facts)
    os.write(descriptor, content)
    os.close(descriptor)
    path = folder / (stem + ending)
    publish(part, path)
    return path


@pytest.mark.parametrize("seed", range(12))
def test_every_saving_gives_a_file_and_changes_no_other(tmp_path, seed):
    dice = random.Random(seed)
    for number in range(25):
        folder, pattern = tmp_path / str(number), random_pattern(dice)
        folder.mkdir()
        for name in dice.choices(OTHERS, k=dice.randrange(4)):
            (folder / name).write_bytes(name.encode())
        for used in dice.sample(range(14), dice.randrange(4)):  # of earlier pictures, in any case
            name = pattern.stem(random_facts(dice), used).upper() + dice.choice([".PNG", ".txt"])
            (folder / name).write_bytes(b"earlier " + name.encode())
        before = {path: path.read_bytes() for path in folder.iterdir()}
        facts = random_facts(dice)
        began, made = time.process_time(), {}
        for content in (b"%d" % i for i in range(10)):
            facts = facts if number % 2 else random_facts(dice)
            ending = dice.choice([".png", ".jpg", ".webp"])
            made[stored(folder, pattern, facts, content, ending)] = content
        assert time.process_time() - began < 5, pattern.text  # it takes some milliseconds
        assert len({path.stem.casefold() for path in (*made, *before)}) >= 10
        assert len({path.stem.casefold() for path in made}) == len(made) == 10, pattern.text
        for path, content in (*made.items(), *before.items()):
            assert path.read_bytes() == content, pattern.text
            assert len(path.name.encode()) < 230 and not (path in made and path.name[0] == ".")
        assert set(folder.iterdir()) == {*made, *before}


NUMBERED = [
    *("[date][number]", "[seed][number]", "[datetime<%Y%m%d>][number]", "a:[number]", "[number]."),
    *("[number] [prompt]", "[number][seed]", "[number][index]", "[width]x[height][number]"),
    *(".[number]", "[seed].[number]", "x.[number]", "[prompt]-[number]", "img2[number]", PATTERN),
    *(
        "[number]-[date]",
        "[prompt][number]",
        "con.[number]",
        "[number]  [prompt]",
        "[number]x[number]",
    ),
    *(
        "\u00e9" * 150 + "[number]",
        "[prompt]" * 20 + "[number]",
        "[number][prompt]",
        "[model] [number]",
    ),
    *("[number][number]", "e\u0301[number]", "[steps]. .[number]. .", "[date]2[number]2[seed]"),
]


@pytest.mark.parametrize("text", NUMBERED)
@pytest.mark.parametrize("same", [True, False])
def test_numbers_go_up_by_one_and_are_read_back(tmp_path, text, same):
    """Whatever stands around them, for the same picture again and for others."""
    dice, pattern, folder = random.Random(text), Pattern(text.rpartition("/")[2]), tmp_path
    names = []
    for number in range(16):
        seed = 965400086 if same else dice.randrange(10**9)
        prompt = "" if same else dice.choice(["a cat", "dogs, 2", "\u00e9" * 300, ""])
        facts = replace(FACTS, seed=seed, prompt=prompt, index=0 if same else number % 4)
        names.append(stored(folder, pattern, facts, b"", ".png").name)
        assert names[-1] == pattern.stem(facts, number) + ".png"
    assert [pattern.number_of(name) for name in names] == list(range(16))


@pytest.mark.parametrize("text", [PATTERN, "[number]", "x_[number]", "[prompt]-[number]"])
def test_numbers_go_on_beyond_five_digits(tmp_path, text):
    pattern = Pattern(text.rpartition("/")[2])
    for number in (99999, 100000):
        (tmp_path / f"{pattern.stem(FACTS, number)}.png").touch()
    assert taken(tmp_path, pattern, FACTS)[0] == pattern.stem(FACTS, 100001)


def test_a_number_that_is_none_is_passed_over(tmp_path):
    """Names of cameras and dates, and the long ones that once came of a number and a seed read as one."""
    for name in (
        "20240101-7.png",
        "1000000001400000000000000000042-1.png",
        "00004-7.png",
        "x-9.png",
    ):
        (tmp_path / name).touch()
    assert taken(tmp_path, Pattern("[number]-[seed]"), FACTS)[0] == "00005-42"


def test_a_name_that_a_file_had_once_is_not_given_again(tmp_path):
    numbered, named = Pattern("[number]-[seed]"), Pattern("[seed]")
    assert taken(tmp_path, numbered, FACTS, ["00008-1.png", "notes.txt"])[0] == "00009-42"
    assert taken(tmp_path, named, FACTS, ["42.png", "42-1.jpg"])[0] == "42-2"


@pytest.mark.parametrize("text", ["[number]", "[seed]", "[date][number]"])
def test_a_folder_full_of_reservations_ends_with_a_sentence(tmp_path, text, monkeypatch):
    """As a file system may behave that knows every file already."""

    def there(*given: object) -> int:
        raise FileExistsError

    monkeypatch.setattr("webui.reserving.os.open", there)
    with pytest.raises(EaselError, match="no free name was found"):
        save(finished(), tmp_path, saving=Saving(pattern=text))


# --- A file that is there stays -------------------------------------------------------------------


def no_links(*given: object) -> None:
    raise PermissionError(1, "Operation not permitted")


@pytest.mark.parametrize("links", [True, False], ids=["links", "no links"])
@pytest.mark.parametrize("pattern", [PATTERN, "[seed]"])
def test_a_file_that_appears_under_the_name_meanwhile_stays(tmp_path, monkeypatch, links, pattern):
    if not links:
        monkeypatch.setattr("webui.reserving.os.link", no_links)
    told: list[Path] = []

    def squat(path: Path) -> None:
        told.append(path)
        if len(told) < 4:
            path.write_bytes(b"theirs")

    saved = save(finished(), tmp_path, reserve=squat, saving=Saving(pattern=pattern))
    assert saved.path == told[-1] and len(told) == 4
    assert [path.read_bytes() for path in told[:-1]] == [b"theirs"] * 3
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert sorted(files) == sorted(told) and saved.path.stat().st_size > 100


@pytest.mark.parametrize("links", [True, False], ids=["links", "no links"])
def test_a_reserved_name_that_another_file_has_by_now_is_given_up(tmp_path, monkeypatch, links):
    if not links:
        monkeypatch.setattr("webui.reserving.os.link", no_links)
    theirs, heard = tmp_path / "day" / "00003-965400086.png", []
    theirs.parent.mkdir()
    theirs.write_bytes(b"theirs")
    saving = Saving(pattern="day/[number]-[seed]")
    saved = save(finished(), tmp_path, reserved=theirs, reserve=heard.append, saving=saving)
    assert saved.path == theirs.with_name("00004-965400086.png") and heard == [saved.path]
    assert theirs.read_bytes() == b"theirs"
    assert sorted(theirs.parent.iterdir()) == [theirs, saved.path]


@pytest.mark.parametrize("links", [True, False], ids=["links", "no links"])
@pytest.mark.parametrize("pattern", ["[date][number]", "[seed].[number]", "[prompt]"])
def test_threads_never_share_a_name(tmp_path, monkeypatch, links, pattern):
    if not links:
        monkeypatch.setattr("webui.reserving.os.link", no_links)
    saving = Saving(pattern=pattern)
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: save(finished(), tmp_path, saving=saving), range(24)))
    assert sorted(one.path for one in made) == sorted(tmp_path.iterdir())
    assert len({one.path for one in made}) == 24


def test_what_is_sealed_is_what_appears(tmp_path):
    import hashlib

    told: list[tuple[Path, str]] = []
    saved = save(finished(), tmp_path, sealed=lambda *given: told.append(given))
    assert told == [(saved.path, hashlib.sha256(saved.path.read_bytes()).hexdigest())]


def test_a_kept_job_saves_beside_files_that_came_while_nobody_ran(tmp_path):
    """As the server saves: what was reserved before a kill may be another's file by now, and what was deleted leaves
    its number."""
    from tests.store.test_jobs import job
    from webui import app
    from webui.settings import Settings
    from webui.store.jobs import JobStore

    store = JobStore(tmp_path / "kept")
    store.accept(job("job", state="running"), None)
    made = app.compose(Settings.at(tmp_path), store=store)
    theirs = tmp_path / "outputs" / "day" / "00000-965400086.png"
    theirs.parent.mkdir(parents=True)
    store.reserve("job", 0, theirs, 1, "")
    theirs.write_bytes(b"theirs")
    assert store.unfinished()[0].pictures == {}
    first = made.engine._write(finished())
    assert first.path == theirs.with_name("00001-965400086.png")
    assert theirs.read_bytes() == b"theirs" and store.reserved("job", 0) == first.path
    assert store.unfinished()[0].pictures == {0: first}
    store.reserve("job", 1, theirs.with_name("00002-965400086.png"), 1, "")
    again = made.engine._write(replace(finished(), index=1))
    assert again.path.name == "00002-965400086.png"
    again.path.unlink()
    store.reserve("job", 2, theirs.with_name("00001-7.png"), 1, "")
    (theirs.parent / "00001-7.png").write_bytes(b"theirs")
    assert made.engine._write(replace(finished(), index=2)).path.name == "00003-965400086.png"
    made.close()


@pytest.mark.parametrize("format", ["png", "webp"])
def test_a_saving_that_is_tried_again_behind_its_end_gives_the_same_file(tmp_path, format):
    """The picture had its name already when the disk had no room for a word about it."""
    first = save(finished(), tmp_path, saving=Saving(format=format))
    again = save(finished(), tmp_path, reserved=first.path, saving=Saving(format=format))
    assert again.path == first.path
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [first.path]
