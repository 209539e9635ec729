"""Easel with ten more lines in one file: a field of each kind. Prints as JSON where they are (`tests.test_fields`).

The lines are put into the declaration as it is imported, so that this is a process of its own.
"""

from __future__ import annotations

import json
import sys
import tempfile
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType
from typing import Any

DECLARATION, END = "webui.types.requests", "    extras: Mapping[str, Any] ="
LINES = """\
    motto: str = of(Text(label="Motto", default="", prompt=True, infotext="Motto", omit=""), group=SAMPLING)
    tilt: float = of(Number(label="Tilt", minimum=0, maximum=1, default=0.5, infotext="Tilt", omit=0.5), group=SAMPLING)
    folds: int | None = of(Number(label="Folds", minimum=1, maximum=9, whole=True, infotext="Folds"), None, group=SIZE)
    paper: str = of(Choice(label="Paper", choices=(("Rice", "rice"), ("Oak", "oak")), default="oak", infotext="Paper", omit="oak"), group=SIZE)
    larger: str = of(Choice(label="Larger by", source="upscalers", infotext="Larger by", beside="paper"), "Lanczos", group=SIZE)
    framed: bool = of(Switch(label="Framed", default=False, infotext="Framed", omit=False, advanced="Frame"), group=SEED)
    grain: int = of(Seed(label="Grain", default=-1, infotext="Grain", omit=-1, when="framed"), group=SEED)
    margin: int = of(Side(label="Margin", minimum=0, maximum=64, step=8, default=8, infotext="Margin", omit=8), group=SIZE)
    hint: Image | None = of(Picture(label="Hint"), group=Group("Hints"))
    spot: Image | None = of(Mask(label="Spot", over="hint"), group=Group("Hints"))
"""  # noqa: E501
NAMES = [line.split(":")[0].strip() for line in LINES.splitlines()]
VALUES: dict[str, Any] = {
    "motto": 'more, "than" one',
    "tilt": 0.25,
    "folds": 3,
    "paper": "rice",
    "larger": "Nearest",
    "framed": True,
    "grain": 7,
    "margin": 16,
}


class Grown(SourceFileLoader):
    """The declaration with the lines before its end."""

    def get_code(self, fullname: str) -> CodeType:
        source = Path(self.path).read_text(encoding="utf-8")
        assert source.count(END) == 1
        return compile(source.replace(END, LINES + END), self.path, "exec")


class Finder(MetaPathFinder):
    def find_spec(self, fullname: str, path: Any, target: Any = None) -> ModuleSpec | None:
        spec = PathFinder.find_spec(fullname, path) if fullname == DECLARATION else None
        if spec is not None and spec.origin is not None:
            spec.loader = Grown(fullname, spec.origin)
        return spec


def found(place: Path) -> dict[str, Any]:
    """What each face says of the ten."""
    from PIL import Image

    from extensions.wildcards import change_request
    from tests.api_table import table
    from tests.ui.painter import FlatPainter, catalog
    from webui.cli.forms import generate_parser, read_request
    from webui.defaults import complete, from_infotext
    from webui.errors import RequestError
    from webui.http.schemas import submission
    from webui.metadata import infotext, parse
    from webui.settings import Settings
    from webui.store.requests import dump, load
    from webui.types import DEFAULTS, Finished, Model, Places
    from webui.ui.page import draw_page

    known, settings = catalog(), Settings.at(place)
    picture = place / "hint.png"
    Image.new("RGB", (32, 16), "red").save(picture)

    def request(**values: Any) -> Any:
        return complete("txt2img", {"prompt": "x", **values}, known, settings)

    def told(**values: Any) -> str:
        made = request(**values)
        card = Model(made.model, 4, False, (0.03, 14.6))
        image = Image.new("RGB", (8, 8))
        return infotext(Finished("job", made, 0, made.seed, image, card, "uniform", 1.0))

    def refused(name: str, value: Any) -> str:
        try:
            request(**{name: value})
        except RequestError as error:
            return f"{error.field}: {error}"
        return ""

    page = draw_page(FlatPainter(place), known, settings)
    info = page.blocks.get_api_info()["named_endpoints"]["/txt2img"]["parameters"]
    body = submission(known)["content"]["application/json"]["schema"]["properties"]
    words = [word for n, v in VALUES.items() if n != "framed" for word in (f"--{n}", str(v))]
    typed = read_request(["x", *words, "--framed", "--hint", str(picture)], known, settings)[0]
    task = known.tasks["txt2img"]
    text, usual = told(**VALUES), told()
    back = {**from_infotext(text, task, known).values}
    whole = request(**VALUES, hint=picture, spot=picture)
    kept = load(dump(whole, place), place)
    return {
        "page": [c["props"].get("elem_id") for c in page.blocks.config["components"]],
        "api": [parameter["parameter_name"] for parameter in info],
        "http": {name: body[name] for name in NAMES if name in body},
        "help": generate_parser(known).format_help(),
        "typed": {name: getattr(typed, name) for name in VALUES},
        "typed_hint": typed.hint.size,
        "usual": {name: getattr(request(), name) for name in VALUES},
        "defaults": {name: DEFAULTS.get(name, "none") for name in NAMES},
        "written": {key: value for key, value in parse(text).items()},
        "left_out": usual,
        "read": {name: back.get(name) for name in VALUES},
        "read_usual": {n: from_infotext(usual, task, known).values.get(n, "-") for n in VALUES},
        "kept": [getattr(kept, name) == getattr(whole, name) for name in VALUES],
        "kept_spot": [kept.spot.mode, *kept.spot.size],
        "refused": [
            refused("tilt", 2),
            refused("folds", 1.5),
            refused("paper", "silk"),
            refused("larger", "Nearst"),
            refused("margin", 12),
            refused("hint", b"no"),
        ],
        "prompts": task.prompts(whole),
        "drawn": change_request(
            request(motto="{wet|wet} dog"), Places(place, (), place), ["motto"]
        ).motto,
        "docs": table(list(known.tasks.values())),
    }


if __name__ == "__main__":
    sys.meta_path.insert(0, Finder())
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(found(Path(folder))))
