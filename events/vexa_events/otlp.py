"""
Spans on their way to a collector of telemetry: OTLP over HTTP, as JSON.

Whoever does the work never waits for it. What cannot be handed on waits in a
bounded queue; what finds no room there is counted and lost.
"""

import asyncio
import contextlib
import json
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from vexa_events.tracing import Span, Value

logger = logging.getLogger(__name__)

PATH = "/v1/traces"
MAX_WAITING = 4_096
MAX_TOGETHER = 512
FLUSH_S = 1.0
"""An instance that scales to zero lives far longer than this after its last answer."""
LONGEST_PAUSE_S = 30.0
TIMEOUT_S = 3.0
"""Of each step towards the collector of telemetry; also how long the end of a process waits for it."""
MAX_ANSWER_BYTES = 65_536
RETRIED = frozenset({429, 502, 503, 504})
_FAILED = 2
"""OTLP's status of work that failed."""


class OtlpExporter:
    """Sends ended spans soon, some together."""

    def __init__(
        self,
        endpoint: str,
        resource: Mapping[str, str],
        *,
        count: Callable[[str, int], None],
        flush_s: float = FLUSH_S,
    ) -> None:
        """
        `endpoint` is what OpenTelemetry calls OTEL_EXPORTER_OTLP_ENDPOINT; `resource` says whose spans they are.

        `count` is told how many spans were `sent`, `dropped` for want of room, or `refused`.
        """
        self._url = endpoint.rstrip("/") + PATH
        self._resource = dict(resource)
        self._count = count
        self._waiting: deque[Span] = deque()
        self._hurried = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._flush_s = flush_s
        self._pause_s = flush_s
        self._is_closing = False

    def offer(self, span: Span) -> None:
        """Take a span, or count it as lost; never wait."""
        if len(self._waiting) >= MAX_WAITING or self._is_closing:
            self._count("dropped", 1)
            return
        self._waiting.append(span)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        if len(self._waiting) == MAX_TOGETHER and self._pause_s == self._flush_s:
            self._hurried.set()

    async def aclose(self) -> None:
        """Send what waits, if that is possible at once; count what is lost."""
        self._is_closing = True
        self._hurried.set()
        if self._task is not None:
            await self._task

    async def _run(self) -> None:
        while self._waiting:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pause_s):
                    await self._hurried.wait()
            if not self._is_closing:
                self._hurried.clear()
            await self._send_some()
            if self._is_closing and self._pause_s > self._flush_s:
                self._count("dropped", len(self._waiting))
                self._waiting.clear()

    async def _send_some(self) -> None:
        """Send the oldest; keep them where trying again may help."""
        spans = [self._waiting.popleft() for _ in range(min(MAX_TOGETHER, len(self._waiting)))]
        try:
            async with asyncio.timeout(2 * TIMEOUT_S):
                status = await asyncio.to_thread(_post, self._url, self._resource, spans)
        except (OSError, TimeoutError) as exc:
            self._keep(spans, why=type(exc).__name__)
            return
        if status in RETRIED:
            self._keep(spans, why=str(status))
        elif status >= 300:
            logger.warning("spans refused", extra={"status": status, "spans": len(spans)})
            self._count("refused", len(spans))
        else:
            self._pause_s = self._flush_s
            self._count("sent", len(spans))

    def _keep(self, spans: Sequence[Span], *, why: str) -> None:
        if self._pause_s == self._flush_s:
            logger.warning("spans not taken yet", extra={"cause": why})
        self._pause_s = min(LONGEST_PAUSE_S, 2 * self._pause_s)
        room = MAX_WAITING - len(self._waiting)
        self._waiting.extendleft(reversed(spans[:room]))
        if spans[room:]:
            self._count("dropped", len(spans[room:]))


def spell(resource: Mapping[str, str], spans: Sequence[Span]) -> dict[str, Any]:
    """Spell spans as one request to export them."""
    scope = {"scope": {"name": "vexa"}, "spans": [_spelled(span) for span in spans]}
    return {"resourceSpans": [{"resource": {"attributes": _attributes(resource)}, "scopeSpans": [scope]}]}


def _spelled(span: Span) -> dict[str, Any]:
    spelled: dict[str, Any] = {
        "traceId": span.context.trace_id,
        "spanId": span.context.span_id,
        "name": span.name,
        "kind": int(span.kind),
        "startTimeUnixNano": str(span.started_at_ns),
        "endTimeUnixNano": str(span.ended_at_ns),
        "attributes": _attributes(span.attributes),
    }
    if span.parent_id:
        spelled["parentSpanId"] = span.parent_id
    if span.context.state:
        spelled["traceState"] = span.context.state
    if span.links:
        spelled["links"] = [{"traceId": link.trace_id, "spanId": link.span_id} for link in span.links]
    if span.fault is not None:
        spelled["status"] = {"code": _FAILED, "message": span.fault}
    return spelled


def _attributes(attributes: Mapping[str, Value]) -> list[dict[str, Any]]:
    return [{"key": name, "value": _value(value)} for name, value in attributes.items()]


def _value(value: Value) -> dict[str, Any]:
    match value:
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value}
        case _:
            return {"stringValue": value}


def _post(url: str, resource: Mapping[str, str], spans: Sequence[Span]) -> int:
    """Return the status; blocks, each step for a bounded time. Raises OSError."""
    import http.client  # noqa: PLC0415 - by the first export, on its thread, and by no start of a process

    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=TIMEOUT_S)
    body = json.dumps(spell(resource, spans), separators=(",", ":")).encode()
    try:
        connection.request("POST", parts.path, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read(MAX_ANSWER_BYTES)
    except http.client.HTTPException as exc:
        raise ConnectionError(type(exc).__name__) from exc
    finally:
        connection.close()
    return answer.status
