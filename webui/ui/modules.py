"""The page's JavaScript: modules that import each other (assets/*.js), sent as one.

As files of their own they would be some seventy requests before the page can be used, a third of its time. So each
becomes a function that gives what it exports, one after the other in the order in which a browser would run them. Knows
the few forms in which our modules say `import` and `export`, and refuses others; knows nothing of what is in them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

__all__ = ["joined"]

IMPORT = re.compile(r'^import (?:(?:\* as (\w+)|\{([^{}]*)\}) from )?"\./([\w-]+\.js)";$', re.M)
EXPORT = re.compile(r"^export (?=(?:(?:async )?function|class|const) (\w+))", re.M)
COMMENT = re.compile(r"/\*.*?\*/", re.S)  # types are named there, some by import("...")
LEFT = re.compile(
    r"^(?:import|export)\b.*|\bimport\(\s*[\"'`].*", re.M
)  # a module of Gradio's may be asked for


def joined(modules: Mapping[str, str], start: str = "main.js") -> str:
    """One module that runs `start` and what it imports. It exports `modules`: by each file's name what that exports.

    `modules` are the texts by their files' names. Raises ValueError for what a browser would refuse (a module or a name
    that is not there) and for what this does not know: circles, other forms of import and export.
    """
    exports = {name: EXPORT.findall(text) for name, text in modules.items()}
    parts = [_function(name, modules[name], exports) for name in _in_order(modules, start, ())]
    return "const $modules = {};\n" + "".join(parts) + "export { $modules as modules };\n"


def _in_order(
    modules: Mapping[str, str], name: str, above: tuple[str, ...], done: set[str] | None = None
) -> Iterator[str]:
    """What `name` imports, each once and before who imports it, then itself."""
    done = set() if done is None else done
    if name in above:
        raise ValueError(f"{name}: it imports itself, by {', '.join(above)}")
    if name in done:
        return
    for found in IMPORT.finditer(modules[name]):
        if found[3] not in modules:
            raise ValueError(f"{name}: there is no module {found[3]}")
        yield from _in_order(modules, found[3], (*above, name), done)
    done.add(name)
    yield name


def _function(name: str, text: str, exports: Mapping[str, list[str]]) -> str:
    """A module as a function that is called at once."""

    def taken(found: re.Match[str]) -> str:
        whole, names, source = found[1], found[2], found[3]
        given = f'$modules["{source}"]'
        if whole:
            asked = re.findall(rf"(?<![\w./-]){whole}\.(\w+)", text)
        else:
            pairs = [one.strip().split(" as ") for one in (names or "").split(",") if one.strip()]
            asked = [pair[0] for pair in pairs]
        if lacking := set(asked) - set(exports[source]):
            raise ValueError(f"{name}: {source} exports no {', '.join(sorted(lacking))}")
        if whole:
            return f"const {whole} = {given};"
        return (
            f"const {{ {', '.join(': '.join(pair) for pair in pairs)} }} = {given};"
            if pairs
            else ""
        )

    body = EXPORT.sub("", IMPORT.sub(taken, text))
    if left := LEFT.search(COMMENT.sub("", body)):
        raise ValueError(f"{name}: write it in another form: {left[0]}")
    given = ", ".join(exports[name])
    return f'$modules["{name}"] = (() => {{\n{body}return {{ {given} }};\n}})();\n'
