"""CloudEvents over HTTP, both content modes; the only module that knows the CloudEvents library."""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import quote, unquote

from cloudevents.conversion import to_binary, to_dict
from cloudevents.exceptions import GenericException
from cloudevents.http import CloudEvent
from pydantic_core import from_json

from vexa_events.errors import InvalidMessage
from vexa_events.trace_context import TraceContext

MAX_EVENT_BYTES = 64 * 1024
"""What every CloudEvents intermediary must be able to forward."""
JSON = "application/json"
STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch"

_SPEC_VERSION = "1.0"
_REQUIRED = ("id", "source", "type")
_OPTIONAL = ("subject", "time", "dataschema", "datacontenttype")
_CORE = frozenset({"specversion", *_REQUIRED, *_OPTIONAL})
_RESERVED = frozenset({"data", "extensions"})
"""Names that the library takes for fields of its own."""
_EXTENSION_NAME = re.compile(r"[a-z0-9]{1,20}")
_FORBIDDEN_CHARACTER = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_UNQUOTED = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"%')
"""Characters that the HTTP binding leaves as they are in header values."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One CloudEvent with JSON data; `data` is that as Python's own values."""

    id: str
    source: str
    type: str
    data: Any
    subject: str | None = None
    time: str | None = None
    """RFC 3339; stamped with the current time on encoding where it is None."""
    dataschema: str | None = None
    extensions: Mapping[str, str] = field(default_factory=dict)

    def traced(self, context: TraceContext | None) -> "Event":
        """Say of which work the event came, by CloudEvents' distributed tracing."""
        return self if context is None else replace(self, extensions={**self.extensions, **context.texts()})


def parse_http(headers: Mapping[str, str], body: bytes) -> Event:
    """Parse a binary or structured HTTP request; raise InvalidMessage naming the fault."""
    _check_size(body)
    lowered = {name.lower(): value for name, value in headers.items()}
    content_type = _media_type(lowered.get("content-type", ""))
    if content_type.startswith(BATCH):
        raise InvalidMessage("batched CloudEvents are not accepted; post one event per request")
    # Only by its type is a body an event: a browser posts any other body to this machine for whatever page asks it to.
    return _parse_structured(body) if content_type == STRUCTURED else _parse_binary(lowered, body)


def encode_binary(event: Event) -> tuple[dict[str, str], bytes]:
    """Encode as headers and body in binary content mode; raise InvalidMessage if it cannot travel."""
    headers, body = _encoded(lambda: to_binary(_cloud_event(event), data_marshaller=_dumps))
    _check_size(body)
    quoted = {name: quote(value, safe=_UNQUOTED) for name, value in headers.items() if name.startswith("ce-")}
    return {**headers, **quoted}, body


def encode_structured(event: Event) -> tuple[dict[str, str], bytes]:
    """Encode as headers and body in structured content mode: one JSON object holds all."""
    body = _encoded(lambda: _dumps(to_dict(_cloud_event(event))))
    _check_size(body)
    return {"content-type": STRUCTURED}, body


def encode_json(event: Event) -> str:
    """Encode as one line of CloudEvents JSON, the form in which events are kept."""
    return encode_structured(event)[1].decode()


def parse_json(text: str | bytes) -> Event:
    """Parse what encode_json made."""
    try:
        body = text.encode() if isinstance(text, str) else text
    except UnicodeEncodeError as exc:
        raise InvalidMessage("event text is not Unicode") from exc
    _check_size(body)
    return _parse_structured(body)


def _parse_structured(body: bytes) -> Event:
    fields = _loads(body)
    if not isinstance(fields, dict):
        raise InvalidMessage(f"a CloudEvent must be a JSON object, got {type(fields).__name__}")
    if "data_base64" in fields:
        raise InvalidMessage("event data must be JSON, not base64")
    data = fields.pop("data", None)
    return _event({name: _canonical(name, value) for name, value in fields.items() if value is not None}, data)


def _parse_binary(headers: Mapping[str, str], body: bytes) -> Event:
    attributes = {name[3:]: _unquoted(name, value) for name, value in headers.items() if name.startswith("ce-")}
    if "content-type" in headers:
        attributes["datacontenttype"] = headers["content-type"]
    return _event(attributes, _loads(body) if body else None)


def _event(attributes: Mapping[str, str], data: Any) -> Event:
    _check_attributes(attributes)
    return Event(
        id=attributes["id"],
        source=attributes["source"],
        type=attributes["type"],
        data=data,
        subject=attributes.get("subject"),
        time=attributes.get("time"),
        dataschema=attributes.get("dataschema"),
        extensions={name: value for name, value in attributes.items() if name not in _CORE},
    )


def _check_attributes(attributes: Mapping[str, str]) -> None:
    missing = [name for name in ("specversion", *_REQUIRED) if not attributes.get(name)]
    if missing:
        raise InvalidMessage(f"not a CloudEvent: missing {', '.join(missing)}")
    if attributes["specversion"] != _SPEC_VERSION:
        raise InvalidMessage(f"specversion {attributes['specversion'][:20]!r} is not {_SPEC_VERSION}")
    _check_extension_names(name for name in attributes if name not in _CORE)
    for name, value in attributes.items():
        if _FORBIDDEN_CHARACTER.search(value):
            raise InvalidMessage(f"attribute {name} holds a control character or a lone surrogate")
    if not _is_json(attributes.get("datacontenttype", JSON)):
        raise InvalidMessage(f"event data must be JSON, got {attributes['datacontenttype'][:100]!r}")
    if "time" in attributes:
        _check_time(attributes["time"])


def _check_extension_names(names: Iterable[str]) -> None:
    for name in names:
        if not _EXTENSION_NAME.fullmatch(name) or name in _RESERVED:
            raise InvalidMessage(f"extension name {name[:100]!r} is not 1-20 lower-case letters or digits, or reserved")


def _check_time(time: str) -> None:
    try:
        moment = datetime.fromisoformat(time)
    except ValueError as exc:
        raise InvalidMessage(f"time {time[:100]!r} is not RFC 3339") from exc
    if moment.tzinfo is None:
        raise InvalidMessage(f"time {time[:100]!r} has no offset")


def _check_size(body: bytes) -> None:
    if len(body) > MAX_EVENT_BYTES:
        raise InvalidMessage(f"event of {len(body)} bytes is over the limit of {MAX_EVENT_BYTES}")


def _canonical(name: str, value: Any) -> str:
    """Spell an attribute of a structured event as the CloudEvents type system does in headers."""
    if isinstance(value, str):
        return value
    if name not in _CORE and isinstance(value, bool):
        return "true" if value else "false"
    if name not in _CORE and isinstance(value, int):
        return str(value)
    raise InvalidMessage(f"attribute {name[:100]!r} must be a string, got {type(value).__name__}")


def _unquoted(name: str, value: str) -> str:
    try:
        return unquote(value, errors="strict")
    except UnicodeDecodeError as exc:
        raise InvalidMessage(f"header {name} is not percent-encoded UTF-8") from exc


def _media_type(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def _is_json(content_type: str) -> bool:
    media_type = _media_type(content_type)
    return media_type == JSON or media_type.endswith("+json")


def _cloud_event(event: Event) -> CloudEvent:
    _check_extension_names(event.extensions)
    attributes = {
        "id": event.id,
        "source": event.source,
        "type": event.type,
        "datacontenttype": JSON,
        "subject": event.subject,
        "time": event.time,
        "dataschema": event.dataschema,
        **event.extensions,
    }
    return CloudEvent({name: value for name, value in attributes.items() if value is not None}, event.data)


def _encoded(encode: Callable[[], T]) -> T:
    try:
        return encode()
    except (GenericException, ValueError, TypeError, RecursionError) as exc:
        raise InvalidMessage(f"event cannot be encoded: {exc}") from exc


def _loads(raw: bytes) -> Any:
    """Parse strictly: no constants beside JSON's own, no half characters, no depth that a stack would not take."""
    try:
        return from_json(raw, allow_inf_nan=False)
    except ValueError as exc:
        raise InvalidMessage(f"not JSON: {exc}") from exc


def _dumps(data: Any) -> bytes:
    return json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
