"""
Every rule of delivery that the local Broker takes from Knative, with where it stands.

A row says how the subscriber answers and what must come of it. Sources:

- RETRIES: knative/eventing `pkg/kncloudevents/retries.go`, the function SelectiveRetry
- DISPATCH: knative/eventing `pkg/kncloudevents/event_dispatcher.go`
- FILTER: knative/eventing `pkg/broker/filter/filter_handler.go`
- INGRESS: knative/eventing `pkg/broker/ingress/ingress_handler.go`
- TTL: knative/eventing `pkg/broker/ttl.go`
- DELIVERY: knative.dev/docs, "Handling delivery failure"
- SPEC: knative/specs `specs/eventing/data-plane.md`
"""

from collections.abc import Sequence
from dataclasses import dataclass

from starlette.responses import Response

from vexa_events.envelope import Event, encode_binary, encode_structured

BROKER_URL = "http://broker.example"
EVENT = Event(id="1", source="/vexa/test", type="vexa.test.posted.v1", data={"n": 1})
REPLY = Event(id="2", source="/vexa/test", type="vexa.test.replied.v1", data={"n": 2})
HANG = -1
"""Stands for an answer that never comes."""
HOLD = -2
"""Stands for 204, once the test lets go."""
RETRY_TWICE = "retry: 2, backoffPolicy: linear, backoffDelay: PT0.01S, timeout: PT5S"


@dataclass(frozen=True, kw_only=True)
class Rule:
    """What the subscriber answers, and what must come of it."""

    name: str
    source: str
    answers: Sequence[int | Response]
    """In turn; the last one again and again."""
    attempts: int
    code: int | None = None
    """`knativeerrorcode` at the dead letter sink; None where the event is delivered."""
    delivery: str = RETRY_TWICE
    sink_answers: Sequence[int | Response] = (204,)
    letters: int = 1
    """Attempts at the sink, where there is a dead letter."""
    dest: str = "{url}/events"
    ttl: str | None = None


def event_answer(event: Event = REPLY, status: int = 200) -> Response:
    headers, body = encode_binary(event)
    return Response(body, status_code=status, headers=headers)


def structured_answer() -> Response:
    headers, body = encode_structured(REPLY)
    return Response(body, headers=headers)


RULES = [
    *(
        Rule(name=f"{status} without a body is success", source="SPEC, FILTER", answers=[status], attempts=1)
        for status in (200, 201, 202, 204)
    ),
    *(
        Rule(name=f"{status} is retried", source="RETRIES", answers=[status, 204], attempts=2)
        for status in (404, 408, 409, 429, 500, 501, 502, 503, 504)
    ),
    *(
        Rule(
            name=f"{status} goes to the dead letter sink at once",
            source="RETRIES",
            answers=[status],
            attempts=1,
            code=status,
        )
        for status in (300, 301, 304, 400, 401, 403, 405, 410, 413, 415, 422, 425)
    ),
    Rule(
        name="no answer is retried",
        source="RETRIES",
        answers=[HANG, 204],
        attempts=2,
        delivery=RETRY_TWICE.replace("PT5S", "PT2S"),
    ),
    Rule(
        name="no answer ends as 500",
        source="DISPATCH",
        answers=[HANG],
        attempts=3,
        code=500,
        delivery=RETRY_TWICE.replace("PT5S", "PT0.1S"),
    ),
    Rule(name="retry counts retries, not attempts", source="DELIVERY", answers=[503], attempts=3, code=503),
    Rule(
        name="a block without retry has none, whatever the Broker's says",
        source="DELIVERY",
        answers=[503],
        attempts=1,
        code=503,
        delivery="timeout: PT5S",
    ),
    Rule(
        name="without a block the Broker's counts", source="DELIVERY", answers=[503], attempts=10, code=503, delivery=""
    ),
    Rule(
        name="a 2xx with another body is 502 and retried",
        source="FILTER",
        answers=[Response("OK")],
        attempts=3,
        code=502,
    ),
    Rule(
        name="a 2xx with half an event is 502 and retried",
        source="FILTER",
        answers=[Response("{}", headers={"ce-specversion": "1.0", "ce-id": "1"})],
        attempts=3,
        code=502,
    ),
    Rule(
        name="a later empty 2xx heals a body that was no event",
        source="FILTER",
        answers=[Response("OK"), 204],
        attempts=2,
    ),
    Rule(name="a binary reply is success", source="SPEC", answers=[event_answer()], attempts=1),
    Rule(name="a structured reply is success", source="SPEC", answers=[structured_answer()], attempts=1),
    Rule(
        name="an event in an error is no reply",
        source="DISPATCH",
        answers=[event_answer(status=422)],
        attempts=1,
        code=422,
    ),
    Rule(
        name="a reply that is refused makes its event a dead letter, and nobody is asked again",
        source="DISPATCH, TTL",
        answers=[event_answer()],
        attempts=1,
        code=400,
        ttl="2",
        dest=f"{BROKER_URL}/vexa/default",
    ),
    Rule(
        name="the dead letter sink is retried like a subscriber",
        source="DISPATCH",
        answers=[422],
        attempts=1,
        code=422,
        sink_answers=[503, 503, 204],
        letters=3,
    ),
    Rule(
        name="what the dead letter sink says beside its status counts for nothing",
        source="DISPATCH",
        answers=[422],
        attempts=1,
        code=422,
        sink_answers=[Response("OK")],
    ),
]
