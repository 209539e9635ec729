"""What runs around requests: changing them, hearing of pictures, start and end, the switch; with real threads."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from tests.engine.conftest import request
from tests.plugins.conftest import status
from webui.errors import RequestError
from webui.types import SavedPicture

HEAD = """
import time
from dataclasses import replace
from webui.api import RequestError, hookimpl
"""


def valid(changed):
    if changed.sampler_name == "Nonsense":
        raise RequestError("sampler_name 'Nonsense' is not known", "sampler_name")


def changing(body: str, mark: str = "@hookimpl") -> str:
    return f"{HEAD}\n{mark}\ndef change_request(request):\n    {body}\n"


# --- change_request -------------------------------------------------------------------------------


def test_each_sees_what_the_one_before_returned(write, load):
    for name, mark in (("a", "@hookimpl(priority=1)"), ("b", "@hookimpl"), ("c", "@hookimpl")):
        write(name, changing(f"return replace(request, prompt=request.prompt + '{name}')", mark))
    write("d", changing("return None"))
    assert load().change(request(prompt=""), valid).prompt == "bca"


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero (bad.py, line 8)"),
        ("raise SystemExit", "it called sys.exit(None)"),
        ("return 'x'", "returned a value of type str; return a request or None"),
        ("return replace(request, task='inpaint')", "changed the task from 'txt2img'"),
        ("return replace(request, image='x.png')", "changed image to something that is no picture"),
        ("return replace(request, sampler_name='Nonsense')", "invalid request: sampler_name 'Nonsense'"),
        ("time.sleep(20)", "did not come back within 0.5 s"),
    ],
)  # fmt: skip
def test_what_fails_changes_nothing_and_is_told(write, load, body, says):
    write("bad", changing(body))
    write("good", changing("return replace(request, prompt='changed')"))
    extensions = load()
    assert extensions.change(request(prompt="as it was"), valid) == request(prompt="changed")
    (said,) = status(extensions, "bad").problems
    assert said.startswith("change_request: ") and says in said
    assert status(extensions, "good").problems == ()


def test_a_request_error_on_purpose_refuses(write, load):
    write("strict", changing("raise RequestError('prompt: no unicorns', 'prompt')"))
    extensions = load()
    with pytest.raises(RequestError, match="no unicorns") as caught:
        extensions.change(request(), valid)
    assert caught.value.field == "prompt"
    assert status(extensions, "strict").problems == ()


def test_a_picture_stays_a_picture(write, load):
    write("turn", changing("return replace(request, image=request.image.rotate(90))"))
    picture = Image.linear_gradient("L").convert("RGB")
    changed = load().change(request(image=picture), valid)
    assert changed.image == picture.rotate(90)


def test_one_that_hangs_is_told_while_it_does_and_set_aside_after_three_times(
    write, load, tmp_path
):
    """It waits for a file, so that the test says when it comes back."""
    go = tmp_path / "go"
    wait = f"import pathlib\n    while not pathlib.Path({str(go)!r}).exists(): time.sleep(0.01)"
    write("stuck", changing(wait))
    extensions = load()
    for _ in range(3):
        extensions.change(request(), valid)
    stuck = status(extensions, "stuck")
    assert stuck.state == "set aside" and "change_request for" in stuck.hanging
    assert extensions.change(request(), valid) == request()
    go.touch()
    for thread in threading.enumerate():
        if thread.name == "easel-stuck-change_request":
            thread.join(10)
    assert status(extensions, "stuck").hanging == ""


# --- image_saved, startup, shutdown ---------------------------------------------------------------


SAVED = SavedPicture(Path("outputs/x.png"), 7, 64, 64, "a cat\nSteps: 4")
NOTING = """
from webui.api import hookimpl
from pathlib import Path

LOG = Path({log!r})

def note(*words):
    with LOG.open("a") as file:
        print({name!r}, *words, file=file)

@hookimpl
def startup(places):
    note("startup", places.data_dir == LOG.parent)

@hookimpl
def image_saved(picture, request):
    note("saved", picture.seed, request.image, request.extras.get("map"), request.extras.get("n"))

@hookimpl
def shutdown():
    note("shutdown")
"""


def test_a_life_from_startup_to_shutdown(write, load, tmp_path):
    log = tmp_path / "log"
    for name in ("a", "b"):
        write(name, NOTING.format(log=str(log), name=name))
    write("bad", f"{HEAD}\n@hookimpl\ndef image_saved(): 1 / 0\n")
    extensions = load()
    extensions.start()
    picture = Image.new("RGB", (8, 8))
    given = request(image=picture, extras={"map": picture, "n": 3})
    for seed in (7, 8):
        extensions.saved(replace(SAVED, seed=seed), given)
    extensions.stop()
    assert log.read_text().splitlines() == [
        *("a startup True", "b startup True"),
        *("a saved 7 None None 3", "b saved 7 None None 3"),
        *("a saved 8 None None 3", "b saved 8 None None 3"),
        *("b shutdown", "a shutdown"),
    ]
    (said,) = status(extensions, "bad").problems
    assert "ZeroDivisionError" in said and said.endswith("(2 times)")


def test_saving_never_waits_for_a_hook(write, load, tmp_path):
    write("stuck", f"{HEAD}\n@hookimpl\ndef image_saved(): time.sleep(20)\n")
    write("waits", NOTING.format(log=str(tmp_path / "log"), name="waits"))
    extensions = load()
    extensions.start()
    for _ in range(50):
        extensions.saved(SAVED, request())  # would take 50 times 0.5 s if it waited
    assert "saved" not in (tmp_path / "log").read_text()
    extensions.stop()
    assert status(extensions, "stuck").state == "set aside"  # 3 pictures, then it is not called
    assert (tmp_path / "log").read_text().count("saved") == 50


@pytest.mark.parametrize("body", ["raise RuntimeError('no network')", "time.sleep(20)"])
def test_a_startup_that_fails_sets_aside_and_the_start_goes_on(write, load, tmp_path, body):
    write(
        "a_bad",
        f"{HEAD}\n@hookimpl\ndef startup(): {body}\n@hookimpl\ndef change_request(): 1 / 0\n",
    )
    write("good", NOTING.format(log=str(tmp_path / "log"), name="good"))
    extensions = load()
    extensions.start()
    assert status(extensions, "a_bad").state == "set aside"
    assert (tmp_path / "log").read_text() == "good startup True\n"
    assert extensions.change(request(), valid) == request()
    extensions.stop()


def test_a_hanging_hook_is_named_in_the_log_while_it_hangs(write, load, caplog):
    write("stuck", f"{HEAD}\n@hookimpl\ndef shutdown(): time.sleep(20)\n")
    extensions = load()
    extensions.start()
    extensions.stop()
    told = [r.message for r in caplog.records if "has not come back for" in r.message]
    assert len(told) == 1 and "'stuck': shutdown" in told[0] and "stuck.py" in told[0]


# --- the switch -----------------------------------------------------------------------------------


def test_switching_takes_effect_at_once_and_is_kept(write, load):
    write("shout", changing("return replace(request, prompt=request.prompt.upper())"))
    kept = []
    extensions = load(keep=kept.append, disabled=("gone",))
    assert extensions.change(request(prompt="a"), valid).prompt == "A"
    off = extensions.switch("shout", False)
    assert (off.state, off.restart) == ("off", "")
    assert extensions.change(request(prompt="a"), valid).prompt == "a"
    on = extensions.switch("shout", True)
    assert (on.state, on.restart) == ("on", "")
    assert extensions.change(request(prompt="a"), valid).prompt == "A"
    assert kept == [["gone", "shout"], ["gone"]]


def test_menus_go_after_a_restart_and_come_after_one(write, load):
    source = "from webui.api import *\n@hookimpl\ndef register_samplers(): return [Sampler('S', print)]\n"
    write("menu", source)
    extensions = load()
    assert "restart" in extensions.switch("menu", False).restart
    assert "S" in extensions.parts.samplers
    again = load(disabled=("menu",))
    assert "S" not in again.parts.samplers
    assert (status(again, "menu").state, status(again, "menu").restart) == ("off", "")
    assert again.switch("menu", True).restart == "it is on after a restart"
    assert load().switch("menu", True).state == "on"


def test_one_that_is_set_aside_cannot_be_switched_on(write, load):
    write("bad", changing("1 / 0"))
    extensions = load()
    for _ in range(3):
        extensions.change(request(), valid)
    assert extensions.switch("bad", True).state == "set aside"
    assert extensions.switch("bad", True).restart == "a restart tries it again"


def test_an_unknown_name_is_a_sentence(write, load):
    write("film_grain", "")
    with pytest.raises(RequestError, match="no extension 'film_gain'; did you mean 'film_grain'"):
        load().switch("film_gain", True)
