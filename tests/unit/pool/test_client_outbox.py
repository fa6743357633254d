"""What a client is sent, and what a slow one is not."""

import asyncio
import json

import pytest

from vexa_events.errors import Overloaded
from vexa_events.stream import Hello
from vexa_events.transcript import Segment
from vexa_pool.server.client_outbox import MAX_UNSENT, ClientOutbox
from vexa_pool.streaming.transcript import Hypothesis


def a_segment(seq: int) -> Segment:
    return Segment(seq=seq, start_s=seq, end_s=seq + 0.5, text=f"said {seq}")


def open_text(text: str) -> Hypothesis:
    return Hypothesis(text=text, start_s=90.0, end_s=91.0, seq=9)


async def messages_of(outbox: ClientOutbox) -> list[dict[str, object]]:
    sent: list[dict[str, object]] = []

    async def send(message: str) -> None:
        sent.append(json.loads(message))

    writer = asyncio.create_task(outbox.run(send, unread_s=30.0))
    async with asyncio.timeout(5):
        await outbox.flushed()
    writer.cancel()
    return sent


def outbox_of(*, last: int = 10) -> ClientOutbox:
    return ClientOutbox(Hello(uid="c", send_last_n_segments=last), name_segment=lambda seq: f"u-1-{seq}")


async def test_only_the_latest_hypothesis_is_sent() -> None:
    """What was overtaken before the client could read it is not sent at all."""
    outbox = outbox_of()
    for text in ("we", "we lost", "we lost no"):
        outbox.show((), open_text(text), committed_until_s=0.0)

    (message,) = await messages_of(outbox)

    assert [(s["text"], s["completed"]) for s in message["segments"]] == [("we lost no", False)]  # type: ignore[attr-defined]


async def test_every_committed_segment_is_sent_even_beyond_the_last_n() -> None:
    """A client that asked for the last two still gets five that it has not seen."""
    outbox = outbox_of(last=2)
    for seq in range(5):
        outbox.show((a_segment(seq),), None, committed_until_s=seq + 0.5)

    (message,) = await messages_of(outbox)

    assert [s["segment_id"] for s in message["segments"]] == [f"u-1-{seq}" for seq in range(5)]  # type: ignore[attr-defined]


async def test_seen_segments_are_repeated_up_to_the_last_n() -> None:
    """Clients of WhisperLive expect the last n each time, the open one behind them."""
    outbox = outbox_of(last=2)
    outbox.show(tuple(a_segment(seq) for seq in range(3)), None, committed_until_s=2.5)
    await messages_of(outbox)
    outbox.show((), open_text("next"), committed_until_s=2.5)

    (message,) = await messages_of(outbox)

    assert [s["text"] for s in message["segments"]] == ["said 1", "said 2", "next"]  # type: ignore[attr-defined]


async def test_a_message_without_segments_is_never_sent() -> None:
    """Clients index the last segment without looking."""
    outbox = outbox_of()
    outbox.show((), None, committed_until_s=1.0)
    outbox.stored(1.0)

    assert await messages_of(outbox) == [{"uid": "c", "stored_until_s": 1.0}]


def test_a_client_that_reads_nothing_is_given_up() -> None:
    """What waits for a client is bounded."""
    outbox = outbox_of()
    for seq in range(MAX_UNSENT):
        outbox.show((a_segment(seq),), None, committed_until_s=0.0)

    with pytest.raises(Overloaded):
        outbox.show((a_segment(MAX_UNSENT),), None, committed_until_s=0.0)
