"""What the Broker sends the collector: one event a request."""

from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import Request
from starlette.responses import Response

from vexa_events.envelope import Event
from vexa_events.errors import InvalidMessage
from vexa_events.identity import BotStatus
from vexa_events.lifecycle import SpeakerHinted, StreamAttributed
from vexa_events.registry import SPEAKER_HINTED, STREAM_ATTRIBUTED, TRANSCRIPT_COMMITTED, bot_type, read_data
from vexa_events.tracing import note, span
from vexa_events.transcript import TranscriptCommitted
from vexa_functions.collector.deps import CollectorDeps
from vexa_functions.hosting.events import read_event
from vexa_functions.hosting.metrics import EVENTS, Outcome, counted
from vexa_functions.hosting.operations import Caller, Operation
from vexa_functions.hosting.serving import deps_of

PATH = "/events"
NO_CONTENT = 204


async def take_event(request: Request) -> Response:
    """
    Handle one event; 204 with an empty body is what a Broker takes as success.

    Effects raise InvalidMessage (dead letter) or Unavailable (retry) only: the
    statuses of NotFound and Conflict would be retried, which heals neither.
    """
    event = await read_event(request)
    effect = EFFECT_BY_TYPE.get(event.type)
    if effect is None:
        EVENTS.add(1, "other", Outcome.REFUSED)
        raise InvalidMessage(f"the collector does not take {event.type}")
    with counted(event.type) as event_counted:
        event_counted.outcome = await effect(await deps_of(request, CollectorDeps), event)
    return Response(status_code=NO_CONTENT)


async def _store_batch(deps: CollectorDeps, event: Event) -> Outcome:
    batch = read_data(event, TranscriptCommitted)
    with span("store batch", attributes=_about(batch)):
        outcome = await deps.ingest.take_batch(batch)
        note({"vexa.outcome": outcome})
    return outcome


async def _repaint(deps: CollectorDeps, event: Event) -> Outcome:
    await deps.ingest.take_attribution(read_data(event, StreamAttributed))
    return Outcome.TAKEN


async def _repaint_mixed(deps: CollectorDeps, event: Event) -> Outcome:
    await deps.ingest.take_hints(read_data(event, SpeakerHinted))
    return Outcome.TAKEN


async def _finalize(deps: CollectorDeps, _: Event) -> Outcome:
    await deps.finalizer.sweep()
    return Outcome.TAKEN


def _about(batch: TranscriptCommitted) -> dict[str, str | int | float]:
    return {
        "db.system.name": "postgresql",
        "vexa.meeting_id": batch.meeting_id,
        "vexa.session_uid": batch.session_uid,
        "vexa.stream_uid": batch.stream_uid,
        "vexa.until_s": batch.until_s,
    }


EFFECT_BY_TYPE: Mapping[str, Callable[[CollectorDeps, Event], Awaitable[Outcome]]] = {
    TRANSCRIPT_COMMITTED: _store_batch,
    STREAM_ATTRIBUTED: _repaint,
    SPEAKER_HINTED: _repaint_mixed,
    bot_type(BotStatus.COMPLETED): _finalize,
    bot_type(BotStatus.FAILED): _finalize,
}
OPERATIONS = (
    Operation(
        method="POST",
        path=PATH,
        handler=take_event,
        summary="Take an event",
        caller=Caller.BROKER,
        answers={204: None},
    ),
)
