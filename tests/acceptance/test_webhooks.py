"""A user's own server is told of a meeting, from the bot through the Broker to the signed request."""

import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

SECRET = "a secret that both sides know"
TOLD_WITHIN_S = 180.0
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = f"00-{TRACE_ID}-00f067aa0ba902b7-01"
BATCH = "vexa.transcript.committed.v1"
STORED = (("vexa-collector", f"process {BATCH}"), ("vexa-collector", "store batch"))
ASKED = (("vexa-gateway", "POST /bots"), ("vexa-bots", "POST /bots"))
REPORTED = (("vexa-bots", "POST /internal/sessions/{session_uid}/statuses"), ("vexa-bots", "enter completed"))
FINALIZED = (("vexa-collector", "process vexa.bot.completed.v1"), ("vexa-collector", "finalize session"))
STEPS = (
    (*ASKED, ("vexa-bots", "launch bot")),
    (*ASKED, ("vexa-bots", "publish vexa.bot.requested.v1")),
    (*ASKED, ("vexa-bots", "POST /internal/sessions/{session_uid}/epochs")),
    (*ASKED, ("vexa-pool", "open stream")),
    (*ASKED, ("vexa-pool", f"publish {BATCH}"), *STORED),
    (
        *ASKED,
        *REPORTED,
        *FINALIZED,
        ("vexa-webhooks", "process vexa.meeting.finalized.v1"),
        ("vexa-webhooks", "send webhook"),
    ),
)
"""What hangs on what, as service and name."""


@dataclass
class Receiver:
    """What a user's server was sent."""

    url: str = ""
    posts: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    @property
    def told(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in list(self.posts)]

    def wait_for(self, event_type: str) -> dict[str, Any]:
        """Return the notice of a kind once it has come."""
        deadline = time.monotonic() + TOLD_WITHIN_S
        while time.monotonic() < deadline:
            for notice in self.told:
                if notice["event_type"] == event_type:
                    return notice
            time.sleep(0.2)
        pytest.fail(f"{event_type} was not told; told was {[notice['event_type'] for notice in self.told]}")


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    """A server of a user, on this machine."""
    remembered = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            remembered.posts.append(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name that the base class gives
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    remembered.url = f"http://127.0.0.1:{server.server_port}/hook"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield remembered
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def told(reader: Any, receiver: Receiver) -> dict[str, Any]:
    """A meeting that a user with a webhook asked for in a trace of their own; the notice of its transcript."""
    answer = reader.api.put("/user/webhook", json={"webhook_url": receiver.url, "webhook_secret": SECRET})
    assert answer.status_code == 200, answer.text
    reader.send_bot("long-pause", traceparent=CALLER, tracestate="theirs=1")
    reader.wait("long-pause", lambda read: read["coverage"]["stored_s"] > 0, timeout_s=180)

    reader.api.delete("/bots/replay/long-pause")
    ready = receiver.wait_for("transcription.ready")
    receiver.wait_for("meeting.completed")
    return ready


def test_a_user_is_told_of_a_meeting_from_start_to_transcript(
    reader: Any, receiver: Receiver, told: dict[str, Any]
) -> None:
    """Every state once, the end by its name, and the finished transcript, each signed."""
    deliveries = reader.api.get("/user/webhooks/deliveries").json()["deliveries"]

    states = [
        notice["data"]["meeting"]["status"]
        for notice in receiver.told
        if notice["event_type"] == "meeting.status_change"
    ]
    ids = [notice["event_id"] for notice in receiver.told]
    assert {"joining", "active", "completed"} <= set(states)
    assert len(ids) == len(set(ids))
    assert told["data"]["meeting"]["id"] == reader.transcript("long-pause")["id"]
    assert {delivery["event_id"] for delivery in deliveries} >= set(ids)
    for headers, body in receiver.posts:
        expected = hmac.new(SECRET.encode(), headers["x-webhook-timestamp"].encode() + b"." + body, hashlib.sha256)
        assert headers["x-webhook-signature"] == f"sha256={expected.hexdigest()}"


def test_one_trace_goes_from_the_request_to_the_last_word_and_to_the_user(
    stack: Any, receiver: Receiver, told: dict[str, Any]
) -> None:
    """Every step hangs on the one that led to it, and the first on what the caller was doing."""
    trace = wait_for_trace(stack.spans, {name for names in STEPS for _, name in names})

    for steps in STEPS:
        assert chain(trace, *steps[-1]) == list(steps), sorted((span["service"], span["name"]) for span in trace)
    assert {span["traceState"] for span in trace} == {"theirs=1"}
    assert {headers["traceparent"].split("-")[1] for headers, _ in receiver.posts} == {TRACE_ID}


def test_batches_of_a_meeting_that_goes_on_have_traces_of_their_own(stack: Any, told: dict[str, Any]) -> None:
    """Each is linked with the session's trace, which would be endless with them in it."""
    session_uid = told["data"]["session_uid"]

    batches = [span for span in stack.spans if span["name"] == f"publish {BATCH}" and span.get("links")]

    own = [span for span in batches if said_of(span)["vexa.session_uid"] == session_uid]
    assert own
    assert {link["traceId"] for span in own for link in span["links"]} == {TRACE_ID}
    assert len({span["traceId"] for span in own}) == len(own)
    for span in own:
        of_it = [other for other in stack.spans if other["traceId"] == span["traceId"]]
        assert chain(of_it, "vexa-collector", "store batch") == [("vexa-pool", f"publish {BATCH}"), *STORED]


def wait_for_trace(spans: list[dict[str, Any]], names: set[str]) -> list[dict[str, Any]]:
    """Return the spans of the caller's trace once all of these have come."""
    deadline = time.monotonic() + TOLD_WITHIN_S
    while time.monotonic() < deadline:
        trace = [span for span in list(spans) if span["traceId"] == TRACE_ID]
        if names <= {span["name"] for span in trace}:
            return trace
        time.sleep(0.2)
    pytest.fail(f"of the trace only came {sorted((span['service'], span['name']) for span in trace)}")


def chain(trace: list[dict[str, Any]], service: str, name: str) -> list[tuple[str, str]]:
    """Name a span of the trace, the last of its name, and all that it is part of, the outermost first."""
    by_id = {span["spanId"]: span for span in trace}
    span = max(
        (one for one in trace if (one["service"], one["name"]) == (service, name)),
        key=lambda one: int(one["startTimeUnixNano"]),
    )
    found = [span]
    while found[0].get("parentSpanId") in by_id:
        found.insert(0, by_id[found[0]["parentSpanId"]])
    return [(one["service"], one["name"]) for one in found]


def said_of(span: dict[str, Any]) -> dict[str, Any]:
    """Return the attributes of a span."""
    return {entry["key"]: next(iter(entry["value"].values())) for entry in span["attributes"]}
