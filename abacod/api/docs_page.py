"""The OpenAPI document as one page of HTML that needs nothing from anywhere: no script, no other address."""

from __future__ import annotations

import base64
import hashlib
import json
import shlex
from collections.abc import Iterable, Iterator
from html import escape
from typing import Any, Final

from abacod.api.schemas import Schema

_STYLE: Final = """
:root{color-scheme:light dark;--line:#8884;--soft:#8882;--link:#06c}
@media(prefers-color-scheme:dark){:root{--link:#6af}}
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
a{color:var(--link)}
code,pre{font:14px/1.45 ui-monospace,monospace}
pre{background:var(--soft);padding:.7rem;overflow-x:auto;border-radius:4px}
details{border:1px solid var(--line);border-radius:4px;margin:.4rem 0;padding:.4rem .7rem}
summary{cursor:pointer}
summary b{display:inline-block;min-width:4.2rem}
table{border-collapse:collapse;width:100%;margin:.4rem 0}
td,th{border-top:1px solid var(--line);padding:.25rem .5rem;text-align:left;vertical-align:top;overflow-wrap:anywhere}
nav a{margin-right:1rem}
"""

_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

POLICY: Final = f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; frame-ancestors 'none'"
"""The page may load nothing, and nobody may put it into a frame."""


def page(document: Schema) -> str:
    """The page for an OpenAPI document of ours."""
    info = document["info"]
    tags = [tag["name"] for tag in document["tags"]]
    body = [
        f"<h1>{escape(info['title'])} {escape(info['version'])}</h1>",
        *(f"<p>{_prose(text)}</p>" for text in info["description"].split("\n\n")),
        '<p>For programs: <a href="openapi.json">openapi.json</a></p>',
        f"<nav>{''.join(_link(tag, tag) for tag in [*tags, 'Schemas'])}</nav>",
    ]
    for tag in tags:
        body.append(f'<h2 id="{escape(tag)}">{escape(tag)}</h2>')
        body += [_operation(document, *each) for each in _operations(document, tag)]
    body.append('<h2 id="Schemas">Schemas</h2>')
    body += [_named(name, schema) for name, schema in document["components"]["schemas"].items()]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,">'
        f"<title>{escape(info['title'])} API</title><style>{_STYLE}</style></head><body>{''.join(body)}</body></html>"
    )


def _operations(document: Schema, tag: str) -> Iterator[tuple[str, str, Schema]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if tag in operation["tags"]:
                yield path, method.upper(), operation


def _operation(document: Schema, path: str, method: str, operation: Schema) -> str:
    parts = [f"<p>{_prose(operation['description'])}</p>"] if "description" in operation else []
    if operation["parameters"]:
        parts.append(
            _table(
                "Parameters",
                (
                    (f"{item['name']} ({item['in']})", item["required"], item["schema"], item.get("description", ""))
                    for item in operation["parameters"]
                ),
            )
        )
    if "requestBody" in operation:
        parts.append("<h4>Body</h4><ul>")
        parts += [f"<li>{_media(kind, media)}</li>" for kind, media in operation["requestBody"]["content"].items()]
        parts.append("</ul>")
    parts.append("<h4>Answers</h4><ul>")
    for status, answer in operation["responses"].items():
        shown = answer
        if "$ref" in answer:
            shown = document["components"]["responses"][answer["$ref"].rpartition("/")[2]]
        medias = "; ".join(_media(kind, media) for kind, media in shown.get("content", {}).items())
        parts.append(f"<li><b>{status}</b> {escape(shown['description'])} {medias}</li>")
    parts.append(f"</ul><pre>{escape(_curl(document, path, method, operation))}</pre>")
    return (
        f'<details id="{escape(operation["operationId"])}"><summary><b>{method}</b> <code>{escape(path)}</code> '
        f"{escape(operation['summary'])}</summary>{''.join(parts)}</details>"
    )


def _named(name: str, schema: Schema) -> str:
    required = schema.get("required", ())
    rows = (
        (field, field in required, content, content.get("description", ""))
        for field, content in schema.get("properties", {}).items()
    )
    about = f"<p>{_prose(schema.get('description', ''))}</p>"
    return (
        f'<details id="{escape(name)}"><summary><code>{escape(name)}</code></summary>'
        f"{about}{_table('Fields', rows)}</details>"
    )


def _table(title: str, rows: Iterable[tuple[str, bool, Schema, str]]) -> str:
    lines = (
        f"<tr><td><code>{escape(name)}</code>{' *' if required else ''}</td>"
        f"<td>{_type(schema)}</td><td>{_prose(about)}</td></tr>"
        for name, required, schema, about in rows
    )
    return f"<table><tr><th>{title} (* always)</th><th>type</th><th></th></tr>{''.join(lines)}</table>"


def _media(kind: str, media: Schema) -> str:
    schema = media["schema"]
    result = schema.get("properties", {}).get("result")
    shown = f"result: {_type(result)}" if result is not None else _type(schema)
    return f"<code>{escape(kind)}</code> {shown} {_prose(schema.get('description', ''))}"


def _type(schema: Any) -> str:
    """A schema in a few words, as HTML."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return _link(name, name)
    if "anyOf" in schema:
        return " or ".join(_type(each) for each in schema["anyOf"])
    if "const" in schema:
        return f"<code>{escape(json.dumps(schema['const']))}</code>"
    if "enum" in schema:
        return " or ".join(f"<code>{escape(str(value))}</code>" for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    if schema.get("type") == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"object of {_type(schema['additionalProperties'])}"
    return escape(str(schema.get("type", "anything")))


def _link(name: str, text: str) -> str:
    return f'<a href="#{escape(name)}">{escape(text)}</a>'


def _prose(text: str) -> str:
    """Text with `code` in it, as HTML."""
    pieces = escape(text).split("`")
    return "".join(f"<code>{piece}</code>" if number % 2 else piece for number, piece in enumerate(pieces))


def _curl(document: Schema, path: str, method: str, operation: Schema) -> str:
    words = ["curl"] + ([] if method == "GET" else ["-X", method])
    content = operation.get("requestBody", {}).get("content", {})
    command = shlex.join(words)
    if operation["security"]:
        command += ' -H "X-Tapis-Token: $TOKEN"'
    if "application/json" in content:
        example = shlex.quote(json.dumps(_example(document, content["application/json"]["schema"])))
        command += f" -H 'Content-Type: application/json' -d {example}"
    elif content:
        command += f" -H 'Content-Type: {next(iter(content))}' --data-binary @file"
    return f"{command} {shlex.quote(document['servers'][0]['url'] + path)}"


def _example(document: Schema, schema: Schema) -> Any:
    """The least that a body needs."""
    if "$ref" in schema:
        return _example(document, document["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    return {name: f"<{name}>" for name in schema.get("required", ())}
