"""Marks of a process that died say what it was at, and who ended it; those of a living one say nothing."""

import os
import subprocess
import sys
import textwrap
import threading

import pytest

from webui.crashes import Crashes
from webui.marks import SLOT, SLOTS, Marks, deaths, framed, read

HEAD = """
import ctypes, faulthandler, os, signal, sys, threading
from pathlib import Path
from webui.crashes import Crashes
from webui.marks import told_exits
crashes = Crashes(Path(sys.argv[1]), "serve")
faulthandler.enable(crashes.marks.tail)
def other():
    crashes.enter_pictures(("innocent", 0, 5))
    ready.set()
    threading.Event().wait()
ready = threading.Event()
threading.Thread(target=other, daemon=True).start()
ready.wait()
with told_exits(crashes.marks):
    crashes.enter_pictures(("job", 1, int(sys.argv[2])))
    crashes.enter_extension("guest", "wrap_denoise")
"""
ENDS = {
    "abort": "os.abort()",
    "segfault": "ctypes.string_at(0)",
    "exit": "os._exit(3)",
    "kill": "os.kill(os.getpid(), signal.SIGKILL)",
}


def die(folder, how, at=3, before=""):
    source = HEAD + textwrap.indent(f"{before}\n{how}\n", "    ")
    words = [sys.executable, "-c", source, str(folder), str(at)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.returncode not in (0, 1), done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX's signals")
@pytest.mark.parametrize("how", ENDS)
def test_who_ends_the_process_twice_is_known_by_name_and_who_runs_beside_is_not(tmp_path, how):
    die(tmp_path, ENDS[how])
    once = Crashes(tmp_path)
    assert once.picture("job", 1) == "", "made alone"
    assert once.picture("innocent", 0) is None and once.aside({"guest": "/nowhere"}) == {}
    once.close()
    die(tmp_path, ENDS[how])
    twice = Crashes(tmp_path)
    assert twice.picture("job", 1) == (
        "the process ended twice while this was painted, inside the extension 'guest'"
    )
    assert twice.picture("innocent", 0) is None
    assert "ended twice while wrap_denoise of it ran" in twice.aside({})["guest"]
    twice.forgive("guest")
    twice.close()
    assert Crashes(tmp_path).aside({}) == {}


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX's signals")
def test_a_thread_of_an_extensions_own_is_told_by_its_file(tmp_path):
    guest = tmp_path / "guests" / "guest.py"
    guest.parent.mkdir()
    guest.write_text("import os\ndef end(): os._exit(4)\n")
    run = f"sys.path.insert(0, {str(guest.parent)!r}); import guest\n"
    run += "threading.Thread(target=guest.end).start(); threading.Event().wait()"
    for _ in range(2):
        die(tmp_path / "kept", run)
        known = Crashes(tmp_path / "kept")
        found = known.aside({"other": "/nowhere", "guest": str(guest)})
        assert known.picture("job", 1) is None, "the thread that ended it was not at a picture"
        known.close()
    assert list(found) == ["guest"] and "guest.py" in found["guest"]


def test_what_went_on_is_not_what_ends_the_process(tmp_path):
    """Somebody's kill -9 in the middle of a long picture, again and again: each start brings it further."""
    for at in (3, 9, 20, 21, 40, 41):
        crashes = Crashes(tmp_path)
        assert crashes.picture("job", 0) in (None, "")
        crashes.enter_pictures(("job", 0, at))
        left(crashes)
    for expected in ("", "", "", "the process ended four times while this was painted"):
        crashes = Crashes(tmp_path)
        assert crashes.picture("job", 0) == expected
        crashes.enter_pictures(("job", 0, 41))
        left(crashes)


def test_a_process_that_is_killed_while_it_ends_as_it_was_asked_to_counts_for_nothing(tmp_path):
    """As `docker stop` does after ten seconds. What it does itself meanwhile counts."""
    for said in ("", "os._exit(3) was called"):
        crashes = Crashes(tmp_path)
        assert crashes.picture("job", 0) is None
        crashes.enter_pictures(("job", 0, 3))
        crashes.marks.asked()
        if said:
            crashes.marks.tell(said, stack=False)
        left(crashes)
    assert Crashes(tmp_path).picture("job", 0) == ""


def left(crashes):
    """As if the process were gone: its lock and its marks stay as they are."""
    os.close(crashes.marks._file)
    os.close(crashes.marks._tail)
    from webui import marks

    marks._living.discard(crashes.marks.path)
    crashes.marks._file = -1


def test_a_process_that_ends_as_it_should_leaves_nothing(tmp_path):
    marks = Marks(tmp_path)
    marks.enter(framed("picture", "job", 0, 1))
    assert deaths(tmp_path) == [], "it lives"
    marks.close()
    assert list(tmp_path.iterdir()) == [] and deaths(tmp_path) == []


def test_a_system_that_was_started_anew_blames_nobody(tmp_path, monkeypatch):
    crashes = Crashes(tmp_path)
    crashes.enter_pictures(("job", 0, 1))
    left(crashes)
    monkeypatch.setattr("webui.marks.boot", lambda: "another")
    assert Crashes(tmp_path).picture("job", 0) is None


def test_memory_that_ran_out_counts_as_the_pictures_own_doing(tmp_path, monkeypatch):
    """The system ends a process for that without a word; it counts how often it does."""
    for number in range(2):
        monkeypatch.setattr("webui.marks.kills", lambda n=number: n)
        crashes = Crashes(tmp_path)
        crashes.enter_pictures(("job", 0, 7))
        left(crashes)
        monkeypatch.setattr("webui.marks.kills", lambda n=number: n + 1)
        after = Crashes(tmp_path)
        told = after.picture("job", 0)
        after.close()
    assert told == "the process ended twice while this was painted"


def test_marks_nest_and_every_thread_has_its_own(tmp_path):
    marks = Marks(tmp_path)
    marks.enter(framed("picture", "job", 0, 1), framed("picture", "other", 2, 3))
    marks.enter(framed("extension", "gu\nest", "a\x1fhook"))
    seen = threading.Event()
    done = threading.Event()

    def work():
        marks.enter(framed("model", "m"))
        seen.set()
        done.wait()
        marks.leave()

    thread = threading.Thread(target=work)
    thread.start()
    seen.wait()
    death = read(marks.path.read_bytes())
    assert sorted(death.threads) == [
        (("model", "m"),),
        (
            ("picture", "job", "0", "1"),
            ("picture", "other", "2", "3"),
            ("extension", "gu est", "a hook"),
        ),
    ]
    done.set()
    thread.join()
    marks.leave()
    marks.leave()
    assert read(marks.path.read_bytes()) is None, "nothing was going on"
    assert marks.path.stat().st_size == SLOT * SLOTS
    marks.close()


def test_a_disk_that_says_no_costs_the_marks_alone(tmp_path, caplog):
    (tmp_path / "running").write_text("a file in the way")
    crashes = Crashes(tmp_path)
    crashes.enter_pictures(("job", 0, 1))
    crashes.leave()
    crashes.close()
    assert "what ends the process will not be known" in caplog.text


@pytest.mark.parametrize(
    "text", ["", "nonsense", "[]", '{"pictures": 3}', '{"pictures": {"a": {}}}']
)
def test_a_damaged_count_is_begun_anew(tmp_path, text):
    (tmp_path / "crashes.json").write_text(text)
    assert Crashes(tmp_path).picture("job", 0) is None
