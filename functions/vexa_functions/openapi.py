"""
The OpenAPI document of the public surface, generated from the operations of all functions.

    python -m vexa_functions.openapi [--check]

The gateway serves what this wrote and forwards by it, so it passes on nothing
that the document does not name.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterable, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from vexa_functions.hosting.operations import Caller, Operation

DOCUMENT = Path(__file__).parent / "gateway" / "openapi.json"
FUNCTIONS = ("gateway", "bots", "collector", "webhooks", "admin", "dead_letters")
SECURITY_BY_CALLER: dict[Caller, list[dict[str, list[str]]]] = {
    Caller.USER: [{"apiKey": []}],
    Caller.ADMINISTRATOR: [{"adminKey": []}],
    Caller.ANYBODY: [],
}
ERRORS_BY_CALLER = {Caller.USER: (401, 403, 429, 503), Caller.ADMINISTRATOR: (401, 403, 429, 503), Caller.ANYBODY: ()}
MEANING_BY_STATUS = {
    200: "Done",
    201: "Created",
    202: "Accepted",
    204: "Done; nothing to tell",
    401: "The key is missing",
    403: "The key is not valid, or does not allow this",
    404: "You have nothing of that name",
    408: "The body did not arrive in time",
    409: "Its state forbids this now",
    413: "The body is too large",
    422: "What was sent is not valid; the detail names the field",
    429: "Too many requests; Retry-After says how many seconds to wait",
    503: "Something that this depends on is down or full; try again after Retry-After seconds",
}
PATH_PARAMETERS: dict[str, dict[str, Any]] = {
    "id": {"type": "integer", "minimum": 0},
    "email": {"type": "string", "minLength": 3, "maxLength": 320},
}
_NAME_IN_PATH = {"type": "string", "minLength": 1, "maxLength": 255}
"""Every other one."""
SCHEMA_BY_MEDIA: dict[str, dict[str, Any]] = {
    "application/json": {"type": "object"},
    "text/event-stream": {
        "type": "object",
        "description": "One event; its data is a message of the live feed as JSON.",
        "required": ["id", "event", "data"],
        "properties": {name: {"type": "string"} for name in ("id", "event", "data")},
    },
}
_TEXT = {"type": "string"}
"""Every other form of an answer that no model describes."""
_PATH_PARAMETER = re.compile(r"{([a-z_]+)(?::([a-z]+))?}")
_REF = "#/components/schemas/{model}"
_ERROR = {
    "type": "object",
    "required": ["detail"],
    "properties": {"detail": {"description": "What was wrong", "anyOf": [{"type": "string"}, {"type": "array"}]}},
}
_Models = dict[tuple[type[BaseModel], JsonSchemaMode], dict[str, Any]]


def operations() -> list[tuple[str, Operation]]:
    """List every public operation with its function, in the order in which they are matched."""
    present = [name for name in FUNCTIONS if find_spec(f"vexa_functions.{name}.app") is not None]
    tables = [(name, import_module(f"vexa_functions.{name}.app")) for name in present]
    return [(name, operation) for name, module in tables for operation in module.OPERATIONS if operation.is_public]


def document(described: Sequence[tuple[str, Operation]]) -> dict[str, Any]:
    """Describe the operations as OpenAPI 3.1."""
    models, schemas = _schemas(operation for _, operation in described)
    paths: dict[str, dict[str, Any]] = {}
    for function, operation in described:
        path = _PATH_PARAMETER.sub(r"{\1}", operation.path)
        paths.setdefault(path, {})[operation.method.lower()] = _describe(function, operation, models)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Vexa",
            "version": "1",
            "description": "Send a bot to a meeting and read its transcript, live and afterwards. "
            "Errors are objects with a `detail`. Beside these routes there is the live feed over WebSocket at `/ws`.",
        },
        "paths": paths,
        "components": {
            "schemas": {**schemas, "Error": _ERROR},
            "securitySchemes": {
                "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
                "adminKey": {"type": "apiKey", "in": "header", "name": "X-Admin-API-Key"},
            },
        },
    }


def render(described: Sequence[tuple[str, Operation]]) -> str:
    """Spell the document as it is kept."""
    return json.dumps(document(described), indent=1, ensure_ascii=False) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the document, or tell whether the one that is kept is current."""
    parser = argparse.ArgumentParser(prog="python -m vexa_functions.openapi", description="Generate the OpenAPI.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail when the document is not current")
    current = render(operations())
    if not parser.parse_args(arguments).check:
        DOCUMENT.write_text(current)
    elif not DOCUMENT.exists() or DOCUMENT.read_text() != current:
        sys.exit(f"{DOCUMENT.name} is not current: run python -m vexa_functions.openapi")


def _schemas(described: Iterable[Operation]) -> tuple[_Models, dict[str, Any]]:
    wanted: dict[tuple[type[BaseModel], JsonSchemaMode], None] = {}
    for operation in described:
        if operation.body is not None:
            wanted[operation.body, "validation"] = None
        for model in operation.answers.values():
            if model is not None:
                wanted[model, "serialization"] = None
    found, defined = models_json_schema(list(wanted), ref_template=_REF)
    models = {key: found[key] for key in wanted}
    return models, dict(sorted(defined.get("$defs", {}).items()))


def _describe(function: str, operation: Operation, models: _Models) -> dict[str, Any]:
    described: dict[str, Any] = {
        "summary": operation.summary,
        "operationId": operation.handler.__name__,
        "tags": [function],
        "security": SECURITY_BY_CALLER[operation.caller],
        "parameters": [*_path_parameters(operation), *_other_parameters(operation)],
        "responses": {str(status): content for status, content in _responses(operation, models)},
        "x-vexa": {"function": function, "path": operation.path, "caller": operation.caller, "scope": operation.scope},
    }
    if operation.body is not None:
        described["requestBody"] = {
            "required": not operation.body_is_optional,
            "content": {"application/json": {"schema": models[operation.body, "validation"]}},
        }
    return described


def _path_parameters(operation: Operation) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": PATH_PARAMETERS.get(name, _NAME_IN_PATH)}
        for name, _ in _PATH_PARAMETER.findall(operation.path)
    ]


def _other_parameters(operation: Operation) -> list[dict[str, Any]]:
    return [
        {
            "name": parameter.name,
            "in": parameter.where,
            "required": parameter.is_required,
            "description": parameter.meaning,
            "schema": dict(parameter.schema),
        }
        for parameter in operation.parameters
    ]


def _responses(operation: Operation, models: _Models) -> Iterable[tuple[int, dict[str, Any]]]:
    for status, model in operation.answers.items():
        content = {media: {"schema": SCHEMA_BY_MEDIA.get(media, _TEXT)} for media in operation.media_types}
        if model is not None:
            content = {"application/json": {"schema": models[model, "serialization"]}, **content}
        described = {"description": MEANING_BY_STATUS[status]}
        yield status, {**described, "content": content} if content else described
    error = {"application/json": {"schema": {"$ref": _REF.format(model="Error")}}}
    for status in sorted(_error_statuses(operation)):
        yield status, {"description": MEANING_BY_STATUS[status], "content": error}


def _error_statuses(operation: Operation) -> set[int]:
    implied = {*ERRORS_BY_CALLER[operation.caller], *operation.errors}
    if operation.body is not None:
        implied |= {408, 413, 422}
    if operation.parameters:
        implied.add(422)
    if _PATH_PARAMETER.search(operation.path):
        implied |= {404, 422}
    return implied - set(operation.answers)


if __name__ == "__main__":
    main()
