"""Reading the event that a request brings, and whose work it is to handle it."""

from starlette.requests import Request

from vexa_events.envelope import Event, parse_http
from vexa_events.trace_context import context_in
from vexa_events.tracing import SpanKind, adopt, recorded
from vexa_functions.hosting.door import read_body

MAX_ATTRIBUTE_CHARS = 256


async def read_event(request: Request) -> Event:
    """Read an event in either content mode; raise InvalidMessage where there is none."""
    event = parse_http(request.headers, await read_body(request))
    handle(event)
    return event


def handle(event: Event) -> None:
    """
    Let the work at hand be what is done about an event.

    It belongs to the trace in the event's extensions, which is where the event
    arose: a trace among the headers is the Broker's, which brings it.
    """
    adopt(context_in(event.extensions))
    work = recorded()
    if work is None:
        return
    work.kind = SpanKind.CONSUMER
    work.name = f"process {event.type[:MAX_ATTRIBUTE_CHARS]}"
    facts = {"event_id": event.id, "event_source": event.source, "event_type": event.type}
    if event.subject is not None:
        facts["event_subject"] = event.subject
    work.attributes |= {f"cloudevents.{name}": value[:MAX_ATTRIBUTE_CHARS] for name, value in facts.items()}
