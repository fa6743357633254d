"""More watchers at one gateway than a client of Valkey has connections as a rule."""

import asyncio
from datetime import UTC, datetime

import httpx
import redis.asyncio as redis
from tests.waiting import DEADLINE_S

from vexa_events.live import FIELD, LiveKind, LiveMessage, LiveSegment, feed_key
from vexa_functions.live_feed import MAX_CONNECTIONS

WATCHERS = MAX_CONNECTIONS + 20
OPENED_AT_ONCE = 10


class Crowd:
    """Watchers of one meeting."""

    def __init__(self, api: httpx.AsyncClient) -> None:
        self._api = api
        self._opening = asyncio.Semaphore(OPENED_AT_ONCE)
        self.watching = 0

    async def watch(self) -> None:
        """Return once the words have come."""
        await self._opening.acquire()
        async with self._api.stream("GET", "/transcripts/replay/standup/stream") as answer:
            assert answer.status_code == 200, await answer.aread()
            self._opening.release()
            self.watching += 1
            async for line in answer.aiter_lines():
                if "spoken words" in line:
                    return


async def test_every_watcher_sees_what_is_said_and_requests_go_on(
    api: httpx.AsyncClient, valkey: "redis.Redis"
) -> None:
    """Each one waits on a connection of its own; neither the last of them nor an ordinary request is turned away."""
    created = await api.post("/bots", json={"platform": "replay", "native_meeting_id": "standup"})
    patient = httpx.AsyncClient(base_url=api.base_url, headers=api.headers, timeout=DEADLINE_S, limits=httpx.Limits())
    crowd = Crowd(patient)

    async with patient, asyncio.timeout(DEADLINE_S), asyncio.TaskGroup() as tasks:
        for _ in range(WATCHERS):
            tasks.create_task(crowd.watch())
        while crowd.watching < WATCHERS:
            await asyncio.sleep(0.05)
        listed = await api.get("/meetings")
        await valkey.xadd(feed_key(created.json()["id"]), {FIELD: said(created.json()["id"]).model_dump_json()})

    assert (crowd.watching, listed.status_code) == (WATCHERS, 200)


def said(meeting_id: int) -> LiveMessage:
    segment = LiveSegment(
        segment_id="s.0-1-0", stream_uid="s.0", start_s=0.0, end_s=1.0, text="spoken words", completed=False
    )
    return LiveMessage(
        kind=LiveKind.MUTABLE,
        meeting_id=meeting_id,
        session_uid="s",
        stream_uid="s.0",
        at=datetime.now(UTC),
        segments=(segment,),
    )
