"""The page's JavaScript: all of it is reached and one name is global; and how modules become one file."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.ui.node import node
from webui.ui.modules import joined
from webui.ui.theme import ASSETS, scripts

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
OURS = {path.name: path.read_text(encoding="utf-8") for path in ASSETS.glob("*.js")}


def run(script: str, then: str) -> object:
    """What `then` gives, in node, of `$modules` after a joined script has run."""
    code = script.replace(
        "export { $modules as modules };", f"console.log(JSON.stringify({then}));"
    )
    return json.loads(node("--input-type=module", script=code))


# --- Ours -----------------------------------------------------------------------------------------


def test_every_module_is_part_of_the_page() -> None:
    assert {*re.findall(r'^\$modules\["(.*?)"\] = ', scripts(), re.M)} == OURS.keys()


def test_python_names_what_the_page_offers_and_nothing_else_is_global() -> None:
    """`js_on_load` and `js` are texts that no tool looks into."""
    offered = re.search(r"globalThis\.Easel = Object\.freeze\(\{(.*?)\}\)", OURS["main.js"], re.S)
    assert offered
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "webui" / "ui").glob("*.py")]
    asked = {name for text in texts for name in re.findall(r"\bEasel\.(\w+)\(", text)}
    assert asked == {name.strip() for name in offered[1].split(",") if name.strip()}
    globals_ = re.findall(r"\b(?:globalThis|window)\.(\w+) = ", "".join(OURS.values()))
    assert globals_ == ["Easel"]


def test_the_modules_without_elements_hold_in_node() -> None:
    """Their own tests, beside this file."""
    assert "# fail 0" in node(
        "--test", "--test-reporter=tap", *sorted((HERE / "assets").glob("*.test.js"))
    )


def test_the_lock_file_says_what_not_where_from() -> None:
    """Each package by its version and hash; from where npm fetches it is everybody's own setting."""
    packages = json.loads((ROOT / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    of_others = {name: one for name, one in packages.items() if name}
    assert of_others and all("resolved" not in one for one in of_others.values())
    assert all(one["integrity"].startswith("sha512-") for one in of_others.values())


# --- Any ------------------------------------------------------------------------------------------

NUMBERS = """// What a number is.
export const ONE = 1;
export class Two {
  value = 2;
}
export async function three() {
  return "import and export";
}
/** @type {import("./other.js").State} */
export const state = { asked: 0 };
"""


def test_what_is_exported_is_what_the_importer_gets() -> None:
    """Under its name, under another, and as a whole; and it is one thing for all who import it."""
    main = """
import * as all from "./numbers.js";
import {
  ONE,
  Two as Second,
} from "./numbers.js";
import "./other.js";

export function told() {
  return [all.ONE, ONE, new Second().value, all.state.asked];
}
"""
    other = 'import { state } from "./numbers.js";\nstate.asked += 1;\n'
    script = joined({"main.js": main, "numbers.js": NUMBERS, "other.js": other})
    assert run(script, "$modules['main.js'].told()") == [1, 1, 2, 1]
    assert run(script, "Object.keys($modules)") == ["numbers.js", "other.js", "main.js"]
    assert run(script, "Object.keys($modules['numbers.js'])") == ["ONE", "Two", "three", "state"]


def test_modules_keep_their_own_names() -> None:
    one = "const ONE = 5;\nconst modules = 2;\nexport const twice = modules * ONE;\n"
    two = "export const ONE = 7;\n"
    main = 'import { ONE } from "./two.js";\nimport { twice } from "./one.js";\nexport const told = [ONE, twice];\n'
    script = joined({"main.js": main, "one.js": one, "two.js": two})
    assert run(script, "$modules['main.js'].told") == [7, 10]


@pytest.mark.parametrize(
    ("main", "said"),
    [
        ('import { FOUR } from "./numbers.js";\n', "main.js: numbers.js exports no FOUR"),
        ('import * as n from "./numbers.js";\nn.four();\n', "main.js: numbers.js exports no four"),
        ('import "./letters.js";\n', "main.js: there is no module letters.js"),
        ('import "./main.js";\n', "main.js: it imports itself"),
        (
            'import numbers from "./numbers.js";\n',
            "main.js: write it in another form: import numbers",
        ),
        ('import "https://example.org/x.js";\n', "main.js: write it in another form: import"),
        ("export default 3;\n", "main.js: write it in another form: export default"),
        ("export let three = 3;\n", "main.js: write it in another form: export let"),
        ('const n = await import("./numbers.js");\n', "main.js: write it in another form: import("),
    ],
)
def test_what_would_not_be_the_same_is_refused(main: str, said: str) -> None:
    with pytest.raises(ValueError, match="^" + re.escape(said)):
        joined({"main.js": main, "numbers.js": NUMBERS})


def test_a_circle_is_refused() -> None:
    """In one something would be used before it is there."""
    one, two = 'import "./two.js";\n', 'import "./one.js";\n'
    with pytest.raises(ValueError, match=r"it imports itself, by main\.js, one\.js, two\.js"):
        joined({"main.js": 'import "./one.js";\n', "one.js": one, "two.js": two})
