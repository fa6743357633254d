"""The OpenAPI document as a page for people: plain HTML, no script, nothing from elsewhere."""

import base64
import hashlib
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8882; --accent: #3b6fd4; }
body { font: 16px/1.55 system-ui, sans-serif; margin: 0 auto; max-width: 56rem; padding: 2rem 1rem 6rem; }
h1 { font-size: 1.6rem; } h2 { margin-top: 3rem; text-transform: capitalize; }
details { border: 1px solid var(--line); border-radius: .5rem; margin: .5rem 0; padding: .5rem .9rem; }
summary { cursor: pointer; overflow-wrap: anywhere; } summary:focus-visible { outline: 2px solid var(--accent); }
code, pre { font: .88em/1.5 ui-monospace, monospace; }
pre { background: var(--soft); overflow-x: auto; padding: .7rem; }
.method { color: var(--accent); display: inline-block; font-weight: 700; min-width: 4.2rem; }
.what { display: block; opacity: .8; } table { border-collapse: collapse; width: 100%; }
td, th { border-top: 1px solid var(--line); padding: .3rem .6rem .3rem 0; text-align: left; vertical-align: top; }
nav a { margin-right: 1rem; } a { color: var(--accent); }
"""
_STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
CONTENT_SECURITY_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_KEY_BY_CALLER = {"user": "X-API-Key", "administrator": "X-Admin-API-Key", "anybody": "no key"}
_REF = "#/components/schemas/"


def docs_page(document: Mapping[str, Any]) -> str:
    """Render the document."""
    groups: dict[str, list[str]] = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            groups.setdefault(operation["tags"][0], []).append(_operation(method, path, operation))
    names = [*groups, "schemas"]
    links = " ".join(f'<a href="#{escape(name)}">{escape(_title(name))}</a>' for name in names)
    sections = "".join(_section(name, parts) for name, parts in groups.items())
    schemas = _section("schemas", (_schema(*pair) for pair in document["components"]["schemas"].items()))
    info = document["info"]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(info['title'])} API</title><style>{STYLE}</style></head><body>"
        f"<h1>{escape(info['title'])} API</h1><p>{escape(info['description'])}</p>"
        f'<nav>{links} <a href="/openapi.json">openapi.json</a></nav>{sections}{schemas}</body></html>'
    )


def _title(name: str) -> str:
    return name.replace("_", " ")


def _section(name: str, parts: Iterable[str]) -> str:
    return f'<section id="{escape(name)}"><h2>{escape(_title(name))}</h2>{"".join(parts)}</section>'


def _operation(method: str, path: str, operation: Mapping[str, Any]) -> str:
    about = operation["x-vexa"]
    needs = f"Needs {_KEY_BY_CALLER[about['caller']]}"
    scope = f", scope <code>{escape(about['scope'])}</code>" if about["scope"] else ""
    return (
        f'<details><summary><span class="method">{method.upper()}</span> <code>{escape(path)}</code>'
        f'<span class="what">{escape(operation["summary"])}</span></summary><p>{escape(needs)}{scope}.</p>'
        f"{_parameters(operation['parameters'])}{_body(operation)}{_responses(operation['responses'])}</details>"
    )


def _parameters(parameters: Iterable[Mapping[str, Any]]) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(each['name'])}</code></td><td>{escape(each['in'])}</td>"
        f"<td>{_type(each['schema'])}</td><td>{escape(each.get('description', ''))}</td></tr>"
        for each in parameters
    )
    return f"<table><tr><th>Name</th><th>In</th><th>Type</th><th></th></tr>{rows}</table>" if rows else ""


def _body(operation: Mapping[str, Any]) -> str:
    if "requestBody" not in operation:
        return ""
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    return f"<p>Body: {_type(schema)}{'' if operation['requestBody']['required'] else ', or none'}</p>"


def _responses(responses: Mapping[str, Mapping[str, Any]]) -> str:
    rows = "".join(
        f"<tr><td>{escape(status)}</td><td>{escape(response['description'])}</td><td>{_contents(response)}</td></tr>"
        for status, response in responses.items()
    )
    return f"<table><tr><th>Status</th><th></th><th>Answer</th></tr>{rows}</table>"


def _contents(response: Mapping[str, Any]) -> str:
    contents: Mapping[str, Any] = response.get("content", {})
    return ", ".join(
        _type(content["schema"]) if media == "application/json" else f"<code>{escape(media)}</code>"
        for media, content in contents.items()
    )


def _schema(name: str, schema: Mapping[str, Any]) -> str:
    required = schema.get("required", ())
    rows = "".join(
        f"<tr><td><code>{escape(field)}</code>{'' if field in required else ' (optional)'}</td>"
        f"<td>{_type(about)}</td><td>{escape(about.get('description', ''))}</td></tr>"
        for field, about in schema.get("properties", {}).items()
    )
    values = ", ".join(f"<code>{escape(str(value))}</code>" for value in schema.get("enum", ()))
    return (
        f'<details id="{escape(name)}"><summary><code>{escape(name)}</code>'
        f'<span class="what">{escape(schema.get("description", ""))}</span></summary>'
        f"{values}{f'<table>{rows}</table>' if rows else ''}</details>"
    )


def _type(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        name = escape(schema["$ref"].removeprefix(_REF))
        return f'<a href="#{name}">{name}</a>'
    choices = schema.get("anyOf") or schema.get("oneOf")
    if choices:
        return " or ".join(_type(choice) for choice in choices)
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    bounds = [f"{word} {schema[word]}" for word in ("pattern", "minimum", "maximum", "maxLength") if word in schema]
    kind = str(schema.get("const") or schema.get("format") or schema.get("type", "anything"))
    return escape(", ".join([kind, *bounds]))
