"""The OpenAPI description as a page that needs no script and nothing from elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

__all__ = ["STRICT", "head", "page"]

STRICT = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"

HEAD = """<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; overflow-wrap: anywhere }
h2 { margin-top: 2.5rem; border-top: 1px solid #8886; padding-top: 1rem; font-size: 1.1rem }
table { border-collapse: collapse; width: 100% }
td { border-bottom: 1px solid #8884; padding: .3rem .8rem .3rem 0; vertical-align: top }
th { text-align: left }
td:first-child { white-space: nowrap }
pre { overflow-x: auto; padding: .8rem; border: 1px solid #8884; border-radius: .5rem }
code { font-size: .95em }
@media (max-width: 40rem) {
  td { display: block; border: 0; padding: 0 }
  tr { display: block; border-bottom: 1px solid #8884; padding: .4rem 0 }
}
</style>"""


def head(title: str) -> str:
    """How such a page begins."""
    return HEAD.replace("{title}", escape(title), 1)


def page(schema: Mapping[str, Any]) -> str:
    """The routes of an OpenAPI document, each with its parameters, its body and its answers, as HTML."""
    body = [
        f"<h1>{escape(schema['info']['title'])} {escape(schema['info']['version'])}</h1>",
        f"<p>{escape(schema['info'].get('description', ''))}</p>",
        '<p>For programs: <a href="openapi.json">openapi.json</a>.</p>',
    ]
    for path, methods in schema["paths"].items():
        for method, route in methods.items():
            body.append(f"<h2><code>{method.upper()} {escape(path)}</code></h2>")
            body.append(f"<p>{_words(route.get('description', ''))}</p>")
            body.extend(_table("Parameters", _parameters(route)))
            body.extend(_table("Body", _body(route)))
            body.extend(_table("Answers", _answers(route, schema)))
    return head("Easel: HTTP API") + "\n".join(body)


def _words(text: str) -> str:
    """A description, with what stands between backticks as code."""
    return re.sub(r"`(.+?)`", r"<code>\1</code>", escape(text))


def _table(title: str, rows: Iterator[tuple[str, str, str]]) -> Iterator[str]:
    found = list(rows)
    if found:
        yield f"<h3>{title}</h3><table>"
        for name, kind, words in found:
            cells = f"<code>{escape(name)}</code>", escape(kind), _words(words)
            yield "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"
        yield "</table>"


def _parameters(route: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    for parameter in route.get("parameters", ()):
        words = parameter.get("description", "") or parameter["schema"].get("description", "")
        yield parameter["name"], f"{parameter['in']}: {_kind(parameter['schema'])}", words


def _body(route: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    for content in route.get("requestBody", {}).get("content", {}).values():
        yield from _properties(content["schema"], "")


def _properties(schema: Mapping[str, Any], before: str) -> Iterator[tuple[str, str, str]]:
    for name, value in schema.get("properties", {}).items():
        yield before + name, _kind(value), value.get("description", "")
        yield from _properties(value, f"{before}{name}.")


def _answers(route: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    for status, answer in route["responses"].items():
        for content in answer.get("content", {}).values():
            reference = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
            if reference:
                meant = schema["components"]["schemas"][reference]
                yield status, ", ".join(meant["properties"]), meant.get("description", "")
                break
        else:
            yield status, "", answer.get("description", "")


def _kind(schema: Mapping[str, Any]) -> str:
    """A type in a few words: "integer, 1 to 150", "one of a, b"."""
    if "anyOf" in schema:
        return " or ".join(_kind(one) for one in schema["anyOf"] if one.get("type") != "null")
    if "enum" in schema:
        return "one of " + ", ".join(map(str, schema["enum"]))
    words = "base64" if "contentEncoding" in schema else str(schema.get("type", ""))
    if schema.get("type") == "array":
        words = f"list, {_kind(schema['items'])}"
    if "minimum" in schema and "maximum" in schema:
        words += f", {schema['minimum']:g} to {schema['maximum']:g}"
    if schema.get("default") not in (None, ""):
        words += f"; {schema['default']} when left out"
    return words
