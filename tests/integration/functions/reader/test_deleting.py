"""What is left of a meeting that its user deletes, whatever comes while or after that."""

import asyncio
from typing import Any

import asyncpg
import httpx
from tests.integration.functions.reader.speaking import STANDUP, Spoken, a_meeting

from vexa_events.callbacks import Attribution
from vexa_events.envelope import Event, encode_binary
from vexa_events.live import feed_key, stored_key
from vexa_events.registry import committed_event
from vexa_functions.store.tables import Store


async def test_a_meeting_that_has_not_ended_is_not_deleted(reader: httpx.AsyncClient, spoken: Spoken) -> None:
    """409 says what to do first."""
    answer = await reader.delete("/meetings/replay/standup")

    assert (answer.status_code, "stop its bot first" in answer.json()["detail"]) == (409, True)


async def test_a_deleted_meeting_leaves_no_word_and_no_name(
    reader: httpx.AsyncClient, spoken: Spoken, store: Store, valkey: Any, postgres_url: str
) -> None:
    """Text, speakers, ids, passcode, notes and the live feed are gone; the row and its times stay."""
    await reader.patch("/meetings/replay/standup", json={"data": {"name": "Salaries"}})
    await spoken.end()
    await reader.post("/internal/tick")
    async with store.transaction() as tables:
        await tables.webhook_deliveries.add(
            spoken.user_id, fact_id="f", event_id="e", event_type="t", meeting_id=spoken.meeting_id, body="standup"
        )
    await valkey.xadd(feed_key(spoken.meeting_id), {"message": "hello"})

    deleted = await reader.delete("/meetings/replay/standup")

    assert (deleted.status_code, deleted.json()["message"]) == (
        200,
        f"Meeting {spoken.meeting_id} is deleted: its transcript is erased.",
    )
    everything = await _dump(postgres_url)
    left = [
        secret for secret in ("everyone", "Maya", "standup", "secret", "Salaries", "said so") if secret in everything
    ]
    assert left == []
    assert await valkey.exists(feed_key(spoken.meeting_id)) == 0
    async with store.reading() as tables:
        assert await tables.meetings.count() == 1
    assert (await reader.get(STANDUP)).status_code == 404
    assert (await reader.get(f"/meetings/{spoken.meeting_id}")).status_code == 404
    assert (await reader.get("/meetings")).json() == {"meetings": []}


async def test_deleting_again_changes_nothing_and_reaches_no_older_meeting(
    reader: httpx.AsyncClient, store: Store, ann_id: int
) -> None:
    """A request that is sent twice deletes once; older meetings with the same ids are named by their row."""
    older = await a_meeting(store, ann_id)
    await older.say("kept")
    await older.end()
    newer = await a_meeting(store, ann_id)
    await newer.end()

    answers = [await reader.delete("/meetings/replay/standup") for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json() == answers[1].json()
    assert [segment["text"] for segment in (await reader.get(STANDUP)).json()["segments"]] == ["kept"]
    named = await reader.delete("/meetings/replay/standup", params={"meeting_id": older.meeting_id})
    assert named.status_code == 200
    assert (await reader.get("/meetings")).json() == {"meetings": []}


async def test_text_that_comes_after_the_deletion_is_let_go(
    reader: httpx.AsyncClient, spoken: Spoken, valkey: Any, postgres_url: str
) -> None:
    """The batch is acknowledged, so that its worker forgets it, and is neither stored nor shown nor kept aside."""
    await spoken.end()
    await reader.delete("/meetings/replay/standup")
    headers, body = encode_binary(committed_event(spoken.batch(5, "afterwards")))

    answer = await reader.post("/events", headers=headers, content=body)

    assert answer.status_code == 204
    assert "afterwards" not in await _dump(postgres_url)
    assert await valkey.exists(feed_key(spoken.meeting_id)) == 0
    assert '"until_s":6.0' in await valkey.get(stored_key(spoken.stream_uid))


async def test_text_that_comes_during_the_deletion_is_let_go(
    reader: httpx.AsyncClient, spoken: Spoken, postgres_url: str
) -> None:
    """A batch is stored before and erased, or finds the meeting deleted; whichever comes first, no word stays."""
    await spoken.end()
    sent = [encode_binary(committed_event(spoken.batch(5 + number, f"word{number}"))) for number in range(12)]
    posts = [reader.post("/events", headers=headers, content=body) for headers, body in sent]

    answers = await asyncio.gather(*posts[:6], reader.delete("/meetings/replay/standup"), *posts[6:])

    assert [answer.status_code for answer in answers] == [204] * 6 + [200] + [204] * 6
    left = await _dump(postgres_url)
    assert [number for number in range(12) if f"word{number}" in left] == []


async def test_text_that_was_given_up_after_the_deletion_is_let_go(
    reader: httpx.AsyncClient, spoken: Spoken, dead_letters: httpx.AsyncClient, postgres_url: str
) -> None:
    """A dead letter may come minutes after its event was stored by another delivery."""
    await spoken.end()
    await reader.delete("/meetings/replay/standup")
    headers, body = encode_binary(committed_event(spoken.batch(5, "afterwards")))

    answer = await dead_letters.post("/", headers=headers, content=body)

    assert answer.status_code == 204
    assert "afterwards" not in await _dump(postgres_url)


async def test_an_event_that_nobody_has_taken_yet_goes_with_its_meeting(
    reader: httpx.AsyncClient, spoken: Spoken, store: Store, postgres_url: str
) -> None:
    """Published later it would be kept for another week, ids and all."""
    await spoken.end()
    async with store.transaction() as tables:
        await tables.outbox.add(
            Event(
                id="e",
                source="/vexa/bots",
                type="vexa.bot.completed.v1",
                data={"meeting_id": spoken.meeting_id, "native_meeting_id": "standup"},
            )
        )

    await reader.delete("/meetings/replay/standup")

    assert "standup" not in await _dump(postgres_url)


async def test_a_name_that_is_learnt_after_the_deletion_is_let_go(
    reader: httpx.AsyncClient, spoken: Spoken, store: Store, postgres_url: str
) -> None:
    """Nobody is named in a meeting that was deleted."""
    await spoken.end()
    await reader.delete("/meetings/replay/standup")
    late = Attribution(stream_uid=spoken.stream_uid, speaker="Zoë", revision=2, evidence="Zoë's tile")

    async with store.transaction() as tables:
        is_new = await tables.streams.attribute(spoken.session_uid, late)

    assert not is_new
    assert "Zoë" not in await _dump(postgres_url)


async def _dump(postgres_url: str) -> str:
    """Write out every row of every table."""

    connection = await asyncpg.connect(postgres_url)
    try:
        names = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        rows = [
            row[0] for name in names for row in await connection.fetch(f"SELECT t::text FROM {name['tablename']} t")
        ]
    finally:
        await connection.close()
    return "\n".join(rows)
