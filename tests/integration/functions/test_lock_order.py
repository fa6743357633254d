"""Rows of one meeting are held in one order, whoever holds them, so that nobody waits in a circle."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx
import pytest
from tests.waiting import until_locked_out

from vexa_events.identity import BotStatus, StreamKind
from vexa_events.session_token import SessionClaims, issue_session_token
from vexa_functions.bots.lifecycle import enter
from vexa_functions.store.tables import Store

STANDUP = {"platform": "replay", "native_meeting_id": "standup"}
AT = "2030-01-01T10:00:00Z"
MEETING = "SELECT FROM meetings FOR UPDATE"
SESSION = "SELECT FROM sessions FOR UPDATE"
FIRST_STREAM = "SELECT FROM streams WHERE stream_uid = (SELECT min(stream_uid) FROM streams) FOR UPDATE"
SECOND_STREAM = "SELECT FROM streams WHERE stream_uid = (SELECT max(stream_uid) FROM streams) FOR UPDATE"
ORDER = (MEETING, SESSION, FIRST_STREAM, SECOND_STREAM)
ROUNDS = 6


@dataclass(frozen=True, kw_only=True)
class Parties:
    """Everybody who holds rows of one meeting."""

    bots: httpx.AsyncClient
    collector: httpx.AsyncClient
    user: dict[str, str]
    claims: SessionClaims
    token: str

    async def tell(self, what: str, body: dict[str, Any]) -> httpx.Response:
        path = f"/internal/sessions/{self.claims.session_uid}/{what}"
        return await self.bots.post(path, json=body, headers={"authorization": f"Bearer {self.token}"})

    async def report(self, status: str) -> httpx.Response:
        return await self.tell("statuses", {"status": status, "at": AT, "streams": self._reports()})

    async def beat(self) -> httpx.Response:
        return await self.tell("heartbeats", {"streams": self._reports()})

    async def open_epoch(self) -> httpx.Response:
        return await self.tell("epochs", {"stream_uid": self.stream(1), "kind": "participant", "start_s": 0.0})

    async def attribute(self, revision: int = 1) -> httpx.Response:
        told = {"stream_uid": self.stream(0), "speaker": "Maya", "revision": revision, "evidence": "tile"}
        return await self.tell("attributions", told)

    async def hint(self, seq: int = 0) -> httpx.Response:
        shown = {"seq": seq, "from_s": float(seq), "until_s": seq + 1.0, "speaker": "Maya"}
        return await self.tell("hints", {"hints": [shown], "evidence": "tile"})

    async def configure(self) -> httpx.Response:
        return await self.bots.put("/bots/replay/standup/config", json={"language": "de"}, headers=self.user)

    async def stop(self) -> httpx.Response:
        return await self.bots.delete("/bots/replay/standup", headers=self.user)

    async def tick(self) -> httpx.Response:
        return await self.collector.post("/internal/tick")

    async def delete(self) -> httpx.Response:
        return await self.collector.delete("/meetings/replay/standup", headers=self.user)

    def stream(self, number: int) -> str:
        return f"{self.claims.session_uid}.{number}"

    def _reports(self) -> list[dict[str, Any]]:
        return [{"stream_uid": self.stream(number), "captured_until_s": 9.0} for number in (1, 0)]


Act = Callable[[Parties], Awaitable[httpx.Response]]
RUNNING: dict[str, Act] = {
    "admitted": lambda parties: parties.report("active"),
    "over": lambda parties: parties.report("completed"),
    "heartbeat": Parties.beat,
    "epoch": Parties.open_epoch,
    "attribution": Parties.attribute,
    "hint": Parties.hint,
    "configured": Parties.configure,
    "stopped": Parties.stop,
}
ENDED: dict[str, Act] = {
    "admitted, told late": lambda parties: parties.report("active"),
    "heartbeat, sent late": Parties.beat,
    "finalized": Parties.tick,
    "deleted": Parties.delete,
}


@pytest.fixture
async def asked(
    bots: httpx.AsyncClient, impatient_collector: httpx.AsyncClient, user: dict[str, str], signing_key: str
) -> Callable[[], Awaitable[Parties]]:
    """Ask for a bot."""

    async def ask() -> Parties:
        created = (await bots.post("/bots", json=STANDUP, headers=user)).json()
        uid = (await bots.get("/bots/status", headers=user)).json()["running_bots"][0]["container_name"]
        claims = SessionClaims.model_validate({"sub": uid, "meeting": created["id"], "user": created["user_id"]})
        token = issue_session_token(claims, key=signing_key, now=datetime.now(UTC), lifetime=timedelta(minutes=5))
        return Parties(bots=bots, collector=impatient_collector, user=user, claims=claims, token=token)

    return ask


@pytest.fixture
async def parties(asked: Callable[[], Awaitable[Parties]], store: Store) -> Parties:
    """A meeting with two streams."""
    parties = await asked()
    await parties.report("active")
    async with store.transaction() as tables:
        for number in range(2):
            uid = parties.stream(number)
            await tables.streams.add(uid, parties.claims.session_uid, kind=StreamKind.PARTICIPANT, start_s=0.0)
    return parties


@pytest.fixture
async def holder(postgres_url: str) -> AsyncIterator[Any]:
    """A connection that holds a row, and looks which others are free."""
    connection = await asyncpg.connect(postgres_url)
    yield connection
    await connection.close()


async def end(store: Store, session_uid: str) -> None:
    async with store.transaction() as tables:
        session = await tables.sessions.lock(session_uid)
        assert session is not None
        await enter(tables, session, BotStatus.FAILED, at=datetime.now(UTC), reason="bot_lost")


async def acts_in_order(act: Act, parties: Parties, holder: Any, postgres_url: str) -> None:
    """Hold each row in turn while somebody acts: whoever waits for it must hold none that comes later."""
    for position, row in enumerate(ORDER):
        async with asyncio.TaskGroup() as group, holder.transaction():
            await holder.execute(row)
            acting = group.create_task(_answer(act, parties))
            await until_locked_out(postgres_url, acting)
            for later in ORDER[position + 1 :]:
                await holder.execute(f"{later} NOWAIT")
        assert acting.result().status_code < 500


async def _answer(act: Act, parties: Parties) -> httpx.Response:
    return await act(parties)


@pytest.mark.parametrize("act", RUNNING.values(), ids=RUNNING)
async def test_rows_of_a_running_meeting_are_held_in_order(
    act: Act, parties: Parties, holder: Any, postgres_url: str
) -> None:
    """Meeting, session, streams."""
    await acts_in_order(act, parties, holder, postgres_url)


@pytest.mark.parametrize("act", ENDED.values(), ids=ENDED)
async def test_rows_of_a_meeting_that_has_ended_are_held_in_order(
    act: Act, parties: Parties, store: Store, holder: Any, postgres_url: str
) -> None:
    """A bot's late word, the finalizer and the user who deletes meet here."""
    await end(store, parties.claims.session_uid)

    await acts_in_order(act, parties, holder, postgres_url)


async def test_nobody_is_refused_where_all_act_at_once(asked: Callable[[], Awaitable[Parties]], store: Store) -> None:
    """Postgres ends a circle by failing one of those who wait in it, who then answers 503."""
    codes = []
    for number in range(ROUNDS):
        parties = await asked()
        telling = [parties.report("active"), parties.attribute(number), parties.hint(number), parties.beat()]
        codes += await asyncio.gather(*telling, parties.open_epoch(), parties.stop())
        await end(store, parties.claims.session_uid)
        late = [parties.report("active"), parties.attribute(number + 1), parties.hint(number + 1), parties.beat()]
        codes += await asyncio.gather(*late, parties.tick(), parties.delete())

    assert {answer.status_code for answer in codes if answer.status_code >= 500} == set()
