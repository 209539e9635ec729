"""`ext new NAME`: a working extension to start from, with its test. Knows text and folders; runs nothing of it."""

from __future__ import annotations

import keyword
import re
import sys
from pathlib import Path
from string import Template

from webui.errors import RequestError
from webui.settings import ROOT

__all__ = ["new"]

EXTENSION = '''\
"""Darkens the corners of finished pictures. (This first line is what the Extensions tab shows.)

A post-processor is a function from a picture to a picture. What else an extension can be is in
docs/writing-extensions.md.
"""

from webui.api import Number, PostProcessor, hookimpl

__version__ = "0.1"
NEEDS_API = ">=1.0,<2"  # the versions of webui.api that this was written for

# A control is data: the page draws it, the API and the command line take it by its name.
AMOUNT = Number(
    name="${name}_amount",
    label="${title} amount",
    minimum=0,
    maximum=1,
    step=0.05,
    default=0.0,
    info="0 leaves the picture as it is",
)


def darken_corners(picture, request, studio):
    """The picture with darker corners, or None to leave it. The control's value is an extra."""
    amount = request.extras[AMOUNT.name]
    if amount == 0:
        return None
    from PIL import Image  # large libraries are imported where they are used, torch above all

    shade = Image.radial_gradient("L").resize(picture.size)  # black in the middle, white around
    shade = shade.point([round(level * amount) for level in range(256)])
    return Image.composite(Image.new("RGB", picture.size), picture, shade)


@hookimpl
def register_postprocessors():
    return [PostProcessor("${name}", darken_corners, controls=(AMOUNT,), label="${title}")]
'''

TEST = '''\
"""The promises that every extension keeps, and what this one is for.

From Easel's folder: python launch.py test ${folder}
"""

from pathlib import Path

import numpy as np

from webui.testing import check_extension

pytest_plugins = ["webui.testing"]

HERE = Path(__file__).parent


def test_it_keeps_its_promises():
    check_extension(HERE)


def test_the_corners_get_darker_and_the_middle_stays(easel_engine):
    easel = easel_engine(HERE)  # a tiny random model: the pictures are noise, but real ones
    before = np.asarray(easel.picture(), dtype=int)
    after = np.asarray(easel.picture(extras={"${name}_amount": 1.0}), dtype=int)
    assert after[0, 0].mean() < before[0, 0].mean() / 10
    assert abs(after - before)[31:33, 31:33].max() <= 5


def test_it_leaves_the_picture_alone_unless_it_is_asked_for(easel_engine):
    picture = easel_engine(HERE).picture()
    assert picture == easel_engine().picture()
'''

README = """\
# ${title}

An extension of Easel. It darkens the corners of finished pictures.

- Use it: put this folder into Easel's `extensions/`, or start Easel with `--extensions-dir` and the folder it is in.
- Try it: open "${title}" on the page, or `python launch.py generate "a cat" --${option}-amount 0.5`.
- Test it: `python launch.py test ${folder}`.

How to write one: `docs/writing-extensions.md` in Easel's folder.
"""


def new(name: str, folder: Path) -> Path:
    """Writes the template of an extension to `folder/name` and gives that path.

    Raises `RequestError` where the name cannot be an extension's, or is taken.
    """
    check_name(name)
    path = folder / name
    for taken in (path, folder / f"{name}.py", ROOT / "extensions" / name):
        if taken.exists() or taken.with_suffix(".py").exists():
            raise RequestError(f"{name}: there is {taken} already; choose another name", "name")
    values = {
        "name": name,
        "title": name.replace("_", " ").capitalize(),
        "option": name.replace("_", "-"),
        "folder": str(path),
    }
    files = {"__init__.py": EXTENSION, f"test_{name}.py": TEST, "README.md": README}
    try:
        path.mkdir(parents=True)
        for file, text in files.items():
            (path / file).write_text(Template(text).substitute(values), encoding="utf-8")
    except OSError as error:
        raise RequestError(f"{path} cannot be written: {error.strerror}", "name") from error
    return path


def check_name(name: str) -> None:
    """Raises `RequestError` unless `name` can be that of a module and of its controls."""
    if not re.fullmatch("[a-z][a-z0-9_]*", name) or name.endswith("_"):
        words = re.findall("[a-z0-9]+", name.lower())
        near = re.sub(r"^\d+_?", "", "_".join(words))
        hint = f"; {near!r} would do" if near and not refused(near) else ""
        what = "use small letters, digits and _, a letter first"
        raise RequestError(f"{name!r} cannot be an extension's name: {what}{hint}", "name")
    if refused(name):
        what = f"Python has it; {name + '_for_easel'!r} would do"
        raise RequestError(f"{name!r} cannot be an extension's name: {what}", "name")


def refused(name: str) -> bool:
    """Whether Python has the name: as a keyword, or as a module that tests would import instead."""
    return keyword.iskeyword(name) or name in sys.stdlib_module_names
