"""CloudEvents over HTTP, both content modes; the only module that knows the CloudEvents library."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cloudevents.conversion import to_binary, to_structured
from cloudevents.exceptions import GenericException
from cloudevents.http import CloudEvent, from_http

from vexa_events.errors import InvalidMessage

MAX_EVENT_BYTES = 64 * 1024
"""What every CloudEvents intermediary must be able to forward."""
JSON = "application/json"
BATCH = "application/cloudevents-batch"
_CORE = frozenset({"specversion", "id", "source", "type", "subject", "time", "datacontenttype", "dataschema"})
_EXTENSION_NAME = re.compile(r"^[a-z0-9]{1,20}$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One CloudEvent with JSON data; `data` is what json.loads gave."""

    id: str
    source: str
    type: str
    data: Any
    subject: str | None = None
    time: str | None = None
    """RFC 3339; the library stamps the current time where a sender gave none."""
    dataschema: str | None = None
    extensions: Mapping[str, str] = field(default_factory=dict)


def parse_http(headers: Mapping[str, str], body: bytes) -> Event:
    """Parse a binary or structured HTTP request; raise InvalidMessage naming the fault."""
    if len(body) > MAX_EVENT_BYTES:
        raise InvalidMessage(f"event of {len(body)} bytes is over the limit of {MAX_EVENT_BYTES}")
    lowered = {name.lower(): value for name, value in headers.items()}
    if lowered.get("content-type", "").startswith(BATCH):
        raise InvalidMessage("batched CloudEvents are not accepted; post one event per request")
    try:
        parsed = from_http(lowered, body, data_unmarshaller=_loads)
    except (GenericException, ValueError, TypeError) as exc:
        raise InvalidMessage(f"not a CloudEvent: {exc}") from exc
    return _event(parsed)


def encode_binary(event: Event) -> tuple[dict[str, str], bytes]:
    """Encode as headers and body in binary content mode."""
    headers, body = to_binary(_cloud_event(event), data_marshaller=_dumps)
    return dict(headers), body


def encode_structured(event: Event) -> tuple[dict[str, str], bytes]:
    """Encode as headers and body in structured content mode: one JSON object holds all."""
    headers, body = to_structured(_cloud_event(event))
    return dict(headers), body


def encode_json(event: Event) -> str:
    """Encode as one line of CloudEvents JSON, the form in which events are kept."""
    return encode_structured(event)[1].decode()


def parse_json(text: str | bytes) -> Event:
    """Parse what encode_json made."""
    body = text.encode() if isinstance(text, str) else text
    return parse_http({"content-type": "application/cloudevents+json"}, body)


def _event(parsed: CloudEvent) -> Event:
    attributes = dict(parsed.get_attributes())
    if isinstance(parsed.data, bytes):
        raise InvalidMessage("event data must be JSON")
    extensions = {name: str(value) for name, value in attributes.items() if name not in _CORE}
    for name in extensions:
        if not _EXTENSION_NAME.match(name):
            raise InvalidMessage(f"extension name {name!r} is not 1-20 lower-case letters or digits")
    return Event(
        id=attributes["id"],
        source=attributes["source"],
        type=attributes["type"],
        data=parsed.data,
        subject=attributes.get("subject"),
        time=attributes.get("time"),
        dataschema=attributes.get("dataschema"),
        extensions=extensions,
    )


def _cloud_event(event: Event) -> CloudEvent:
    attributes: dict[str, Any] = {
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


def _loads(raw: str | bytes | None) -> Any:
    return json.loads(raw) if raw else None


def _dumps(data: Any) -> bytes:
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()
