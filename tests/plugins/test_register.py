"""Who comes first has the name, the loser is told; and what every task's controls become."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from tests.plugins.conftest import status
from tests.ui.painter import catalog
from webui.cli.forms import read_request
from webui.defaults import complete, from_infotext
from webui.engine.postprocessing import finished_picture
from webui.engine.samplers import SAMPLERS
from webui.engine.schedules import SCHEDULES
from webui.engine.tasks import TASKS
from webui.http.schemas import submission
from webui.metadata import infotext
from webui.registry import Registry
from webui.settings import Settings
from webui.types import Finished

PICTURE = Image.new("RGB", (64, 64))

HEAD = "from webui.api import *\nfrom webui.api import hookimpl\ndef f(*given): yield\n"


def registering(hook: str, values: str) -> str:
    return f"{HEAD}@hookimpl\ndef register_{hook}(): return {values}\n"


NUMBER = "Number(name={!r}, label='A label', minimum=0, maximum=1, default={})"


def post(control: str) -> str:
    return f"[PostProcessor('x', f, controls=({control},))]"


def number(name: str, default: object = 0) -> str:
    return NUMBER.format(name, default)


WHOLE = "Number(name='steps', label='S', minimum=1, maximum=2, default=3)"


@pytest.mark.parametrize(
    ("hook", "values", "says"),
    [
        ("samplers", "[Sampler('heun', f)]", "sampler 'heun': the name is taken by 'Heun' (built-in)"),
        ("samplers", "[Sampler('k_euler', f)]", "sampler 'k_euler': the name is taken by 'Euler' (built-in)"),
        ("schedules", "[Schedule('Karras', f)]", "schedule 'Karras': the name is taken by 'karras' (built-in)"),
        ("upscalers", "[Upscaler('lanczos', f)]", "upscaler 'lanczos': the name is taken by 'Lanczos'"),
        ("tasks", "[Task('txt2img', 'X', f)]", "task 'txt2img': the name is taken by 'txt2img' (built-in)"),
        ("tasks", "[Task('serve', 'X', f)]", "task 'serve': the name is taken by a command or endpoint"),
        ("tasks", "[Task('a b', 'X', f)]", "task 'a b': a task's name is a word"),
        ("samplers", "[Sampler('', f)]", "register_samplers: '' is no name"),
        ("samplers", "[Sampler(3, f)]", "register_samplers: 3 is no name"),
        ("samplers", "[Sampler('x', 3)]", "sampler 'x': make is of type int, not a function"),
        ("samplers", "[Sampler('x', f, aliases=('y'))]", "aliases is 'y'; write it as a tuple: ('one',)"),
        ("samplers", "[Sampler('x', f, schedule='karas')]", "no schedule 'karas'; did you mean 'karras'?"),
        ("samplers", "[Sampler('x', f, options=('eta',))]", "options hold of type str, which is no control"),
        ("samplers", "[Sampler('x', f, options=ETA)]", "options is of type Number; write it as a tuple of controls"),
        ("samplers", "[Sampler('x', f, noise='pink')]", "noise is 'pink'; use 'normal' or 'brownian'"),
        ("schedules", "[Schedule('x', f, options=(1,))]", "options hold of type int, which is no control"),
        ("schedules", f"[Schedule('x', f, options={number('s')})]", "options is of type Number; write it as a tuple"),
        ("samplers", f"[Sampler('x', f, options=({number('a b')},))]", "control 'a b': a control's name is a word"),
        ("samplers", "[Schedule('x', f)]", "returned a value of type Schedule where Sampler belongs"),
        ("samplers", "Sampler('x', f)", "returned a value of type Sampler; return a list of Sampler"),
        ("samplers", "'x'", "returned a value of type str; return a list of Sampler"),
        ("samplers", "None", "returned nothing; return a list of Sampler"),
        ("samplers", "(Sampler('x', f) for _ in '1')", "returned a value of type generator"),
        ("conditioners", "[Conditioner('x', f, tasks=('txt2im',))]", "no task 'txt2im'; did you mean 'txt2img'?"),
        ("conditioners", "[Conditioner('x', f, tasks='txt2img')]", "tasks is 'txt2img'; write it as a tuple"),
        ("conditioners", "[Conditioner('x', f, priority='1')]", "priority is '1', not a whole number"),
        ("postprocessors", post(number("steps")), "control 'steps': the name is taken by a field of every request"),
        ("conditioners", f"[Conditioner('x', f, controls={number('s')})]", "write it as a tuple: (control,)"),
        ("postprocessors", post(number("a b")), "control 'a b': a control's name is a word"),
        ("postprocessors", post(number("s", 2)), "'s': it does not take its own default: s 2: use 0 to 1"),
        ("postprocessors", post(number("s", "'one'")), "'s': it does not take its own default: s 'one'"),
        ("postprocessors", post("Control(name='s', label='S', default={1})"), "'s': it holds a value of type set"),
        ("postprocessors", post("Choice(name='s', label='S', choices=[('A', b'')])"), "'s': it holds a value of type"),
        ("controls", f"[Group('G', ({number('steps')},))]", "control 'steps': the name is taken by a field"),
        ("controls", "[Group('G', ('x',))]", "group 'G': controls hold of type str, which is no control"),
        ("tasks", f"[Task('x', 'X', f, ({WHOLE},))]", "control 'steps': it does not take its own default"),
    ],
)  # fmt: skip
def test_what_cannot_be_taken_is_told_and_left_out(write, load, hook, values, says):
    write("wrong", registering(hook, values))
    extensions = load(reserved=("serve",))
    wrong = status(extensions, "wrong")
    assert wrong.state == "on"
    assert len(wrong.problems) == 1 and says in wrong.problems[0], wrong.problems
    parts = extensions.parts
    assert set(parts.samplers) == set(SAMPLERS) and set(parts.schedules) == set(SCHEDULES)
    assert set(parts.tasks) == set(TASKS)
    extras = [c.name for task in parts.tasks.values() for c in task.flat_controls()]
    assert "s" not in extras and "a b" not in extras


def test_the_first_extension_has_the_name_and_the_later_one_is_told(write, load):
    write("a_first", registering("samplers", "[Sampler('Mine', f, aliases=('my own',))]"))
    write("b_later", registering("samplers", "[Sampler('my_own', f), Sampler('Other', f)]"))
    extensions = load()
    assert [n for n in extensions.parts.samplers if n not in SAMPLERS] == ["Mine", "Other"]
    assert status(extensions, "a_first").problems == ()
    (said,) = status(extensions, "b_later").problems
    assert (
        said
        == "sampler 'my_own': the name is taken by 'Mine' (extension 'a_first'); it is left out"
    )


def test_an_extra_belongs_to_the_first_extension_that_declares_it(write, load):
    write("a", registering("controls", f"[Group('A', ({number('amount')},))]"))
    write("b", registering("controls", f"[Group('B', ({number('amount')}, {number('own')}))]"))
    extensions = load()
    groups = [
        g for g in extensions.parts.tasks["txt2img"].controls if getattr(g, "label", "") in "AB"
    ]
    assert [(g.label, [c.name for c in g.controls]) for g in groups] == [
        ("A", ["amount"]),
        ("B", ["own"]),
    ]
    (said,) = status(extensions, "b").problems
    assert (
        said
        == "control 'amount': the name is taken by a control of another (extension 'a'); it is left out"
    )


def test_tasks_have_the_groups_that_belong_to_them(write, load):
    def conditioner(name: str, tasks: str) -> str:
        return f"Conditioner({name!r}, f, controls=({number(name)},), tasks={tasks})"

    few = conditioner("few", "('inpaint',)")
    write("one", registering("conditioners", f"[{conditioner('all', '()')}, {few}]"))
    write(
        "two",
        registering(
            "postprocessors",
            f"[PostProcessor('post', f, controls=({number('post')},), label='After')]",
        ),
    )
    write(
        "three",
        registering(
            "tasks", "[Task('still', 'Still', f, samples=False), Task('moving', 'Moving', f)]"
        ),
    )
    tasks = load().parts.tasks

    def added(name):
        known = TASKS[name].controls if name in TASKS else ()
        return [group.label for group in tasks[name].controls[len(known) :]]

    assert added("txt2img") == ["all", "After"]
    assert added("inpaint") == ["all", "few", "After"]
    assert added("still") == ["After"]
    assert added("moving") == ["all", "Sampler options", "After"]  # it does not show eta itself
    assert tasks["txt2img"].controls[: len(TASKS["txt2img"].controls)] == TASKS["txt2img"].controls


def test_options_of_samplers_are_a_group_of_every_task_that_samples(write, load):
    """One control may be that of several samplers, of several extensions; a field of a request, such as eta, is drawn
    already. Another control of the same name is refused."""
    churn = number("churn", 0.5)
    write(
        "a",
        registering(
            "samplers",
            f"[Sampler('A', f, options=({churn}, ETA)), Sampler('A2', f, options=({churn},))]",
        ),
    )
    write("b", registering("samplers", f"[Sampler('B', f, options=({churn}, {number('own')}))]"))
    write(
        "b2", registering("schedules", f"[Schedule('S', f, options=({churn}, {number('bend')}))]")
    )
    write("c2", registering("schedules", f"[Schedule('Z', f, options=({number('bend', 1)},))]"))
    write("c", registering("samplers", f"[Sampler('C', f, options=({number('churn', 0.1)},))]"))
    write("d", registering("controls", f"[Group('D', ({number('own')},))]"))
    write("e", registering("tasks", "[Task('still', 'Still', f, samples=False)]"))
    extensions = load()
    tasks = extensions.parts.tasks
    for name in TASKS:
        *_, group, other = tasks[name].controls
        assert (group.label, other.label) == ("Sampler options", "Schedule options")
        assert not group.open and not other.open
        assert [(one.name, one.default) for one in group.controls] == [("churn", 0.5), ("own", 0)]
        assert [one.name for one in other.controls] == ["bend"]  # what both have stands once
    assert tasks["still"].controls == ()
    assert {"A", "A2", "B"} <= set(
        extensions.parts.samplers
    ) and "C" not in extensions.parts.samplers
    (said,) = status(extensions, "c").problems
    assert (
        "control 'churn': the name is taken by a sampler's option that is another control" in said
    )
    (said,) = status(extensions, "c2").problems
    assert "'bend': the name is taken by a schedule's option that is another control" in said
    assert "S" in extensions.parts.schedules and "Z" not in extensions.parts.schedules
    (said,) = status(extensions, "d").problems
    assert "control 'own': the name is taken" in said


def test_what_goes_around_runs_by_priority_then_name(write, load):
    for name, priority in (("b", 0), ("a", 0), ("c", -1), ("d", 5)):
        write(
            name,
            f"{HEAD}@hookimpl(priority={priority})\ndef wrap_denoise(call): pass\n"
            f"@hookimpl\ndef register_conditioners(): return [Conditioner('{name}', f, priority={priority})]\n",
        )
    parts = load().parts
    assert [wrapper.name for wrapper in parts.wrappers] == ["c", "a", "b", "d"]
    assert [conditioner.name for conditioner in parts.conditioners] == ["c", "a", "b", "d"]


def test_an_option_is_read_and_told_on_every_face(write, load):
    """One line of a sampler's or schedule's declaration: page, command line, APIs, infotext."""
    folds = (
        "Choice(name='folds', label='Folds', choices=(('Two', (2, 'x')), ('None', ())), default=())"
    )
    bend = "Number(name='bend', label='Bend', minimum=0.5, maximum=2, step=0.5, infotext='Bent by')"
    write("a", registering("samplers", f"[Sampler('Folding', f, options=({folds},))]"))
    write("b", registering("schedules", f"[Schedule('bent', f, options=({bend},))]"))
    parts = load().parts
    own = replace(
        catalog(),
        tasks=Registry("task", parts.tasks.items()),
        samplers=Registry("sampler_name", parts.samplers.items()),
        schedules=Registry("scheduler", parts.schedules.items()),
    )
    settings = Settings.at(Path("nowhere"))
    words = ["a cat", "--sampler", "folding", "--schedule", "bent", "--folds", "two", "--bend", "2"]
    request, _ = read_request(words, own, settings)
    assert dict(request.extras) == {"eta": None, "folds": [2, "x"], "bend": 2.0}
    told = submission(own)["content"]["application/json"]["schema"]["properties"]["extras"]
    assert told["properties"]["folds"]["enum"] == [[2, "x"], []]
    assert told["properties"]["bend"]["maximum"] == 2
    drawn = [group.label for group in parts.tasks["inpaint"].controls[-2:]]
    assert drawn == ["Sampler options", "Schedule options"]
    studio = SimpleNamespace(
        wrapped=set(), samplers={"Folding"}, schedules={"bent"}, broken_off=None
    )
    whole = replace(
        parts, tasks={"txt2img": replace(parts.tasks["txt2img"], make=lambda *_: PICTURE)}
    )
    run = finished_picture(request, studio, whole)
    with pytest.raises(StopIteration) as stop:
        next(run)
    picture, notes, _, _ = stop.value.value
    assert notes == {"Folds": [2, "x"], "Bent by": 2.0}
    made = Finished("job", request, 0, 1, picture, None, "bent", 1.0, notes=notes)
    text = infotext(made)
    assert 'Folds: "[2, \\"x\\"]", Bent by: 2.0' in text
    taken = from_infotext(text, parts.tasks["txt2img"], own).values
    assert (taken["folds"], taken["bend"], taken["eta"]) == ([2, "x"], 2.0, None)
    assert complete("txt2img", {"extras": {"folds": taken["folds"]}}, own, settings)
