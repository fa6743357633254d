"""Which requests are passed on, to whom, and what they need: read from the OpenAPI document."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from vexa_functions.hosting.operations import Caller

DOCUMENT = Path(__file__).with_name("openapi.json")
OWN = "gateway"
PASSED_ON = frozenset({b"accept", b"content-type"})
ADMIN_KEY_HEADER = b"x-admin-api-key"
_PARAMETER = re.compile(r"{[a-z_]+(:path)?}")
_STEPS = frozenset({".", ".."})


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """One operation of a function behind."""

    function: str
    path: str
    """As a pattern."""
    caller: Caller
    scope: str | None
    headers: frozenset[bytes]
    """Request headers that are passed on, lower case."""


class Table:
    """Every operation of the functions behind, by path and method."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._methods: list[dict[str, Passage]] = []
        patterns = []
        for path, methods in _by_path(document).items():
            patterns.append(f"({_pattern(path)})")
            self._methods.append(methods)
        self._any = re.compile("|".join(patterns)) if patterns else re.compile(r"(?!)")

    def methods_of(self, path: str) -> Mapping[str, Passage]:
        """Return what a path takes, by method; empty where nothing is behind it."""
        found = self._any.fullmatch(path)
        if found is None or found.lastindex is None or not _STEPS.isdisjoint(path.split("/")):
            return {}
        return self._methods[found.lastindex - 1]


@cache
def read_document() -> dict[str, Any]:
    """Read the OpenAPI document that comes with the gateway."""
    document: dict[str, Any] = json.loads(DOCUMENT.read_text())
    return document


def _by_path(document: Mapping[str, Any]) -> dict[str, dict[str, Passage]]:
    by_path: dict[str, dict[str, Passage]] = {}
    for operations in document["paths"].values():
        for method, operation in operations.items():
            about = operation["x-vexa"]
            if about["function"] != OWN:
                by_path.setdefault(about["path"], {})[method.upper()] = Passage(
                    function=about["function"],
                    path=about["path"],
                    caller=Caller(about["caller"]),
                    scope=about["scope"],
                    headers=_headers(operation["parameters"], Caller(about["caller"])),
                )
    for methods in by_path.values():
        if "GET" in methods:
            methods.setdefault("HEAD", methods["GET"])
    return by_path


def _headers(parameters: Sequence[Mapping[str, Any]], caller: Caller) -> frozenset[bytes]:
    own = frozenset(each["name"].lower().encode() for each in parameters if each["in"] == "header")
    return PASSED_ON | own | ({ADMIN_KEY_HEADER} if caller is Caller.ADMINISTRATOR else frozenset())


def _pattern(path: str) -> str:
    """Spell a path as one expression without groups; a parameter is one step unless it is declared as the rest."""
    pieces, end = [], 0
    for found in _PARAMETER.finditer(path):
        pieces += [re.escape(path[end : found.start()]), ".+" if found[1] else "[^/]+"]
        end = found.end()
    return "".join([*pieces, re.escape(path[end:])])
