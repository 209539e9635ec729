"""A whole extension: loaded as Easel loads it, and everything that it registers held to its promises."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from types import ModuleType
from typing import Any

from webui.defaults import check
from webui.errors import RequestError
from webui.registry import Catalog, Registry
from webui.settings import ROOT
from webui.testing.contracts import (
    check_conditioner,
    check_postprocessor,
    check_sampler,
    check_schedule,
    check_task,
    check_upscaler,
    check_wrapper,
)
from webui.testing.examples import example_picture, example_request, example_values
from webui.testing.loading import Loaded, load_extension
from webui.testing.properties import names_its_errors, random_state_kept, random_states
from webui.testing.runs import mark
from webui.types import Choice, Mask, ModelCard, Parts, Picture, SavedPicture

__all__ = ["catalog_of", "check_extension", "loads_without_torch"]

HEAVY = ("torch", "diffusers", "transformers")


def check_extension(
    source: Path | str | ModuleType,
    extras: Mapping[str, Any] | None = None,
    *,
    models_dirs: Sequence[Path] = (),
    **values: Any,
) -> None:
    """Loads the extension at `source` (folder, file or module) and checks all that it registers.

    Every control gets a value with which the extension does something: that of `extras`, else a guess
    (`example_values`). `models_dirs` hold files that it needs, `values` are further fields of the request.
    Raises `AssertionError` with the first promise that is broken.
    """
    with tempfile.TemporaryDirectory(prefix="easel-testkit-", ignore_cleanup_errors=True) as folder:
        data_dir = Path(folder)
        loaded = load_extension(source, data_dir, models_dirs)
        given = {**example_values(loaded.controls()), **(extras or {})}
        refuses_nonsense(loaded)
        loaded.extensions.start()
        try:
            loaded.expect_no_problems()
            check_parts(loaded, given, values)
            check_hooks(loaded, given, values, data_dir)
        finally:
            loaded.extensions.stop()
        loaded.expect_no_problems()
        names_errors(load_extension(source, data_dir, models_dirs))
    loads_without_torch(source)


def loads_without_torch(source: Path | str | ModuleType) -> None:
    """In a fresh interpreter, importing it and asking for what it registers loads no torch."""
    path = source.__file__ if isinstance(source, ModuleType) else source
    code = (
        "import sys, pathlib, tempfile; from webui.testing.loading import load_extension\n"
        "with tempfile.TemporaryDirectory() as folder:\n"
        "    load_extension(sys.argv[1], pathlib.Path(folder), strict=False)\n"
        f"print(*[name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(Path(path or "").absolute())],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise AssertionError(f"{path} cannot be loaded by itself:\n{done.stderr}")
    if loads := done.stdout.split():
        raise AssertionError(
            f"{path} loads {', '.join(loads)} when Easel starts, and the page waits for it; import it inside functions"
        )


def refuses_nonsense(loaded: Loaded) -> None:
    """Every control that reads a value refuses what it cannot mean with a `RequestError` that names it."""
    for control in loaded.controls():
        if isinstance(control, Picture | Mask) or (isinstance(control, Choice) and control.source):
            continue  # faces open pictures, and look names up
        try:
            control.read(object())
        except RequestError as error:
            if error.field == control.name:
                continue
            what = f"refuses nonsense in the name of {error.field!r}"
        except Exception as error:  # the boundary: `read` can be the extension's own
            what = f"fails at nonsense with {error!r}; raise RequestError(sentence, self.name)"
        else:
            what = (
                "takes any value; raise RequestError(sentence, self.name) for what it cannot mean"
            )
        raise AssertionError(f"control {control.name!r}: it {what}")


def check_parts(loaded: Loaded, extras: Mapping[str, Any], values: Mapping[str, Any]) -> None:
    base = loaded.base()
    for sampler in loaded.own("samplers"):
        check_sampler(sampler, base=base, **values)
    for schedule in loaded.own("schedules"):
        check_schedule(schedule, base=base, **values)
    for upscaler in loaded.own("upscalers"):
        check_upscaler(upscaler, base=base, **values)
    for conditioner in loaded.own("conditioners"):
        check_conditioner(conditioner, extras, base=base, **values)
    for wrapper in loaded.own("wrappers"):
        check_wrapper(wrapper, extras, base=base, **values)
    for postprocessor in loaded.own("postprocessors"):
        check_postprocessor(postprocessor, extras, base=base, **values)
    for task in loaded.own("tasks"):
        check_task(task, extras, base=loaded.parts, **values)
    loaded.expect_no_problems()


def check_hooks(
    loaded: Loaded, extras: Mapping[str, Any], values: Mapping[str, Any], data_dir: Path
) -> None:
    """`change_request` gives the same for the same request, and something valid; `image_saved` can be told."""
    catalog = catalog_of(loaded.parts)
    tasks = [loaded.parts.tasks["txt2img"], *loaded.own("tasks")]
    for task in tasks:
        own = {control.name for control in task.flat_controls()}
        given = {name: value for name, value in extras.items() if name in own}
        request = example_request(task, given, **values)
        with random_state_kept():
            before = random_states()
            changed = [
                loaded.extensions.change(request, lambda new: check(new, catalog)) for _ in range(2)
            ]
            moved = random_states() != before
        if moved or mark(changed[0]) != mark(changed[1]):
            raise AssertionError(
                f"change_request of {loaded.name!r}: the same request becomes two different ones, or the global random "
                "state is used; draw from random.Random(request.seed)"
            )
    folder = data_dir / "outputs" / date.today().isoformat()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "00000-1.png"
    example_picture().save(path)
    saved = SavedPicture(path, request.seed, 96, 64, "a red cat on the grass\nSteps: 3")
    loaded.extensions.saved(saved, request.without_pictures())


def names_errors(loaded: Loaded) -> None:
    """An error inside any function that it registers comes out with its name."""
    functions = {
        "samplers": ("make", 3), "upscalers": ("upscale", 3), "conditioners": ("prepare", 3),
        "postprocessors": ("process", 3), "wrappers": ("wrap", 2), "tasks": ("make", 2), "schedules": ("make", 4),
    }  # fmt: skip
    for kind, (function, arguments) in functions.items():
        for value in loaded.own(kind):
            what = f"{kind.removesuffix('s')} {value.name!r}"
            names_its_errors(what, loaded.name, getattr(value, function), arguments)


def catalog_of(parts: Parts, models: Sequence[ModelCard] | None = None) -> Catalog:
    """The names that a request may use, as the app makes them of an engine's parts."""
    tiny = [ModelCard("tiny", Path("tiny"))] if models is None else list(models)
    return Catalog(
        tasks=Registry("task", parts.tasks.items(), lambda one: (one.label,)),
        samplers=Registry("sampler_name", parts.samplers.items(), lambda one: one.aliases),
        schedules=Registry(
            "scheduler", parts.schedules.items(), lambda one: (one.label, *one.aliases)
        ),
        list_models=lambda: tiny,
        upscalers=Registry(
            "upscaler", parts.upscalers.items(), lambda one: (one.label, *one.aliases)
        ),
    )
