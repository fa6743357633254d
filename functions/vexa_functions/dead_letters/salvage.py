"""
Reading dead letters, the ones included that no other door would read.

What is refused here is lost: a Broker has no second dead letter sink.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from vexa_events.envelope import Event, encode_binary, parse_http
from vexa_events.errors import InvalidMessage

UNKNOWN = "unknown"
_CORE = frozenset(
    {"specversion", "id", "source", "type", "subject", "time", "dataschema", "datacontenttype", "data", "data_base64"}
)
_NOT_TEXT = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """An event as far as it can be read."""

    event: Event
    unreadable: str | None = None
    """Why it cannot be sent again; None where it can."""


def read_letter(headers: Mapping[str, str], body: bytes) -> Letter:
    """Read an event, or of one that is none as much as there is."""
    try:
        event = parse_http(headers, body)
        encode_binary(event)
    except InvalidMessage as exc:
        return Letter(event=_salvage(headers, body), unreadable=str(exc).encode("ascii", "backslashreplace").decode())
    return Letter(event=event)


def _salvage(headers: Mapping[str, str], body: bytes) -> Event:
    said = {name.lower()[3:]: unquote(value) for name, value in headers.items() if name.lower().startswith("ce-")}
    data = _json_or_text(body)
    if not said and isinstance(data, dict):
        said = {name: value for name, value in data.items() if isinstance(value, str) and name != "data"}
        data = data.get("data", data)
    clean = {_clean(name): _clean(value) for name, value in said.items()}
    return Event(
        id=clean.get("id") or hashlib.sha256(body).hexdigest(),
        source=clean.get("source") or UNKNOWN,
        type=clean.get("type") or UNKNOWN,
        data=data,
        subject=clean.get("subject"),
        time=clean.get("time"),
        dataschema=clean.get("dataschema"),
        extensions={name: value for name, value in clean.items() if name not in _CORE},
    )


def _json_or_text(body: bytes) -> Any:
    try:
        data = json.loads(body)
        json.dumps(data, allow_nan=False)
    except (ValueError, RecursionError):
        return body.decode("utf-8", "backslashreplace")
    return data


def _clean(text: str) -> str:
    return _NOT_TEXT.sub("\N{REPLACEMENT CHARACTER}", text)
