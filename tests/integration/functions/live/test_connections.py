"""Who may watch, and how a connection ends."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
import websockets
from tests.integration.functions.live.watching import WITHIN_S, Talk, connect, hear, hear_the_end, say
from tests.telemetry import otlp_receiver
from tests.waiting import DEADLINE_S, eventually

from vexa_events.live import LiveKind, LiveMessage, LiveSegment


async def test_another_users_meeting_is_not_found(talk: Talk, url: str, make_key: Any) -> None:
    """Neither carrier tells a stranger that the meeting exists."""
    await talk.commit(f"{talk.session_uid}.0", "confidential")
    key = await make_key("bob@example.org")

    async with connect(url, key) as socket:
        await say(socket, action="subscribe", meetings=[{**talk.ref, "since": "0-0"}])
        said = [await hear(socket), await hear(socket)]
    async with httpx.AsyncClient(timeout=DEADLINE_S) as client:
        events = await client.get(f"{url}/transcripts/replay/standup/stream", headers={"x-api-key": key})

    assert said == [
        {"type": "subscribed", "meetings": []},
        {"type": "error", "error": "meeting_not_found", "meetings": [talk.ref]},
    ]
    assert events.status_code == 404
    assert "confidential" not in events.text


async def test_a_socket_that_found_no_meeting_stays_open(talk: Talk, url: str, api_key: str) -> None:
    """Who misspells a meeting may subscribe to the right one afterwards."""
    async with connect(url, api_key) as socket:
        await say(socket, action="subscribe", meetings=[{**talk.ref, "native_id": "misspelled"}])
        said = [await hear(socket), await hear(socket)]
        await say(socket, action="ping")
        alive = await hear(socket)
        await say(socket, action="subscribe", meetings=[talk.ref])
        found = await hear(socket)

    assert [message["type"] for message in said] == ["subscribed", "error"]
    assert alive == {"type": "pong"}
    assert [meeting["native_id"] for meeting in found["meetings"]] == [talk.ref["native_id"]]


async def test_a_reader_that_takes_nothing_is_dropped_with_a_code(
    talk: Talk, start_gateway: Any, api_key: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The gateway keeps little for a slow reader: it is told to come back with its last id."""
    caplog.set_level("INFO")
    url = await start_gateway(LIVE_SEND_TIMEOUT_S="0.3")
    stream = f"{talk.session_uid}.0"
    big = "x" * 16_000
    async with connect(url, api_key, takes_little=True) as socket:
        await say(socket, action="subscribe", meetings=[talk.ref])
        await hear(socket)
        segments = tuple(
            LiveSegment(
                segment_id=f"{stream}-1-{number}", stream_uid=stream, start_s=0, end_s=1, text=big, completed=False
            )
            for number in range(50)
        )
        for _ in range(12):
            await talk.live.publish(
                LiveMessage(
                    kind=LiveKind.MUTABLE,
                    meeting_id=talk.meeting_id,
                    session_uid=talk.session_uid,
                    stream_uid=stream,
                    at=datetime.now(UTC),
                    segments=segments,
                )
            )
        async with asyncio.timeout(WITHIN_S):
            while "watcher too slow" not in caplog.messages:
                await asyncio.sleep(0.02)
        code = await hear_the_end(socket)

    assert code == 4408


async def test_connections_end_in_good_order_when_their_time_is_up(
    talk: Talk, start_gateway: Any, api_key: str
) -> None:
    """Both carriers end before a proxy would cut them: 1001, and a complete answer."""
    url = await start_gateway(MAX_SOCKET_S="1.5", LIVE_HEARTBEAT_S="0.1")

    async with connect(url, api_key) as socket:
        code = await hear_the_end(socket)
    headers = {"x-api-key": api_key}
    async with httpx.AsyncClient(timeout=WITHIN_S) as client:
        events = await client.get(f"{url}/transcripts/replay/standup/stream", headers=headers)

    assert code == 1001
    assert events.headers["content-type"].startswith("text/event-stream")
    assert events.text.startswith("retry: ")
    assert ": heartbeat\n\n" in events.text


async def test_without_its_stores_the_feed_says_unavailable(talk: Talk, start_gateway: Any, api_key: str) -> None:
    """4503 when nobody can tell whose key it is, and when the feed cannot be read; never 4401."""
    no_database = await start_gateway(DATABASE_URL="postgresql://nobody@127.0.0.1:9/none")
    no_valkey = await start_gateway(REDIS_URL="redis://127.0.0.1:9")

    codes = []
    for url in (no_database, no_valkey):
        async with connect(url, api_key) as socket:
            with suppress(websockets.ConnectionClosed):
                await say(socket, action="subscribe", meetings=[talk.ref])
            codes.append(await hear_the_end(socket))

    assert codes == [4503, 4503]


async def test_a_key_without_the_scope_may_not_watch(talk: Talk, url: str, make_key: Any) -> None:
    """A key for bots alone reads no transcripts, live ones included."""
    key = await make_key("ann@example.org", "bots")

    async with connect(url, key) as socket:
        said = await hear(socket)
    async with httpx.AsyncClient(timeout=DEADLINE_S) as client:
        events = await client.get(f"{url}/transcripts/replay/standup/stream", headers={"x-api-key": key})

    assert said == {"type": "error", "error": "invalid_api_key"}
    assert events.status_code == 403


async def test_live_connections_are_counted(talk: Talk, start_gateway: Any, api_key: str) -> None:
    """An instance carries so many watchers and tells the next to try again."""
    url = await start_gateway(MAX_LIVE_CONNECTIONS="1")

    async with connect(url, api_key) as first:
        await say(first, action="ping")
        await hear(first)
        async with connect(url, api_key) as second:
            said = await hear(second)
        async with httpx.AsyncClient(timeout=DEADLINE_S) as client:
            events = await client.get(f"{url}/transcripts/replay/standup/stream", headers={"x-api-key": api_key})

    assert said == {"type": "error", "error": "overloaded"}
    assert events.status_code == 503


async def test_watching_is_one_span_of_the_watchers_trace(talk: Talk, start_gateway: Any, api_key: str) -> None:
    """It tells how the connection ended."""
    trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
    with otlp_receiver() as (endpoint, spans):
        url = await start_gateway(OTEL_EXPORTER_OTLP_ENDPOINT=endpoint)
        headers = {"x-api-key": api_key, "traceparent": f"00-{trace_id}-00f067aa0ba902b7-01"}
        async with websockets.connect(f"{url.replace('http', 'ws')}/ws", additional_headers=headers) as socket:
            await say(socket, action="subscribe", meetings=[talk.ref])
            await hear(socket)
        await eventually(lambda: spans)

    (watched,) = spans
    told = {entry["key"]: next(iter(entry["value"].values())) for entry in watched["attributes"]}
    assert (watched["name"], watched["traceId"], watched["parentSpanId"]) == ("watch", trace_id, "00f067aa0ba902b7")
    assert told == {"http.route": "/ws", "websocket.close_code": "1000"}
