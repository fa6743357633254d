"""When a batch is sent, and sent again."""

from vexa_events.live import StoredMark
from vexa_events.transcript import Span, SpanKind, TranscriptCommitted
from vexa_pool.server.unacknowledged import Unacknowledged


def a_batch(seq: int) -> TranscriptCommitted:
    span = Span(from_s=float(seq), until_s=float(seq + 1), kind=SpanKind.SILENCE)
    return TranscriptCommitted(
        meeting_id=1,
        user_id=1,
        session_uid="s",
        stream_uid="u",
        epoch=2,
        batch_seq=seq,
        from_s=span.from_s,
        until_s=span.until_s,
        spans=(span,),
    )


def holding(*batches: TranscriptCommitted) -> Unacknowledged:
    pending = Unacknowledged(epoch=2)
    for batch in batches:
        pending.add(batch)
    return pending


def sent(pending: Unacknowledged, now_s: float) -> int:
    batch = pending.due(now_s)
    assert batch is not None
    pending.accepted(batch, now_s)
    return batch.batch_seq


def test_batches_are_sent_in_order() -> None:
    """The next one goes out once the sink has the one before."""
    pending = holding(a_batch(0), a_batch(1))

    assert [sent(pending, 0.0), sent(pending, 0.0)] == [0, 1]
    assert pending.is_sent
    assert pending.due(0.0) is None


def test_a_batch_that_failed_comes_again_before_any_other() -> None:
    """Order outlives a failing sink."""
    pending = holding(a_batch(0), a_batch(1))
    pending.failed(0.0)

    assert pending.due(0.1) is None
    assert sent(pending, 2.0) == 0


def test_the_oldest_unacknowledged_batch_is_repeated_ever_more_slowly() -> None:
    """2, 4, 8 … and at most 60 seconds lie between repetitions."""
    pending, now_s, pauses = holding(a_batch(0), a_batch(1)), 0.0, []
    sent(pending, now_s)
    sent(pending, now_s)

    for _ in range(7):
        wait_s = pending.wait_s(now_s)
        assert wait_s is not None
        pauses.append(wait_s)
        now_s += wait_s
        assert sent(pending, now_s) == 0

    assert pauses == [2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]


def test_what_is_stored_is_dropped() -> None:
    """An acknowledgement covers every batch that ends before it."""
    pending = holding(a_batch(0), a_batch(1), a_batch(2))

    assert pending.acknowledge(StoredMark(epoch=2, until_s=2.0))
    assert sent(pending, 0.0) == 2
    assert not pending.acknowledge(StoredMark(epoch=2, until_s=2.0))


def test_after_a_loss_the_next_one_that_is_late_is_repeated_at_once() -> None:
    """A sink that lost many events is given them again as fast as each is stored."""
    pending = holding(a_batch(0), a_batch(1))
    sent(pending, 0.0)
    sent(pending, 0.0)
    assert sent(pending, 10.0) == 0

    pending.acknowledge(StoredMark(epoch=2, until_s=1.0))

    assert sent(pending, 10.5) == 1


def test_a_newer_epoch_drops_everything() -> None:
    """Another connection carries the stream now; this one's text must not appear."""
    pending = holding(a_batch(0))

    assert pending.acknowledge(StoredMark(epoch=3, until_s=0.5))
    assert pending.is_fenced
    assert pending.is_empty


def test_an_older_epochs_mark_changes_nothing() -> None:
    """The mark of the connection before this one says nothing about these batches."""
    pending = holding(a_batch(0))

    assert not pending.acknowledge(StoredMark(epoch=1, until_s=50.0))
    assert not pending.is_empty
