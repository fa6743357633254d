"""Which trace a batch belongs to, and what is recorded of its publishing."""

import pytest
from tests.kept_spans import KeptSpans

from vexa_events.errors import Unavailable
from vexa_events.registry import committed_event
from vexa_events.trace_context import TraceContext
from vexa_events.tracing import Tracer
from vexa_events.transcript import Span as Interval
from vexa_events.transcript import SpanKind, TranscriptCommitted
from vexa_pool.server.batch_traces import BatchTraces

SESSION = TraceContext(trace_id="4bf92f3577b34da6a3ce929d0e0e4736", span_id="00f067aa0ba902b7", is_sampled=True)


@pytest.fixture
def kept() -> KeptSpans:
    return KeptSpans()


def publish(traces: BatchTraces, seq: int, kept: KeptSpans, error: Exception | None = None) -> TraceContext | None:
    """Publish a batch of one second, or fail to."""
    said = Interval(from_s=seq, until_s=seq + 1, kind=SpanKind.SILENCE)
    batch = TranscriptCommitted(
        meeting_id=7,
        user_id=3,
        session_uid="s",
        stream_uid="s.1",
        epoch=1,
        batch_seq=seq,
        from_s=seq,
        until_s=seq + 1,
        spans=(said,),
        segments=(),
    )
    with traces.publishing(committed_event(batch), batch, Tracer(kept)) as context:
        if error is not None:
            raise error
    return context


def test_batches_of_a_stream_that_goes_on_begin_traces_linked_with_the_sessions(kept: KeptSpans) -> None:
    """Each one of its own."""
    traces = BatchTraces(SESSION)
    for seq in (0, 1):
        traces.add(seq)

    contexts = [publish(traces, seq, kept) for seq in (0, 1)]

    assert [span.context for span in kept.spans] == contexts
    assert len({SESSION.trace_id, *(span.context.trace_id for span in kept.spans)}) == 3
    assert [(span.parent_id, list(span.links)) for span in kept.spans] == [("", [SESSION])] * 2


def test_the_last_words_are_part_of_the_sessions_trace(kept: KeptSpans) -> None:
    """Those that are added once nothing follows; what waits from before stays as it was."""
    traces = BatchTraces(SESSION)
    traces.add(0)
    traces.close()
    for seq in (1, 2):
        traces.add(seq)

    for seq in (0, 1, 2):
        publish(traces, seq, kept)

    before, *last = kept.spans
    assert before.context.trace_id != SESSION.trace_id
    assert {(span.context.trace_id, span.parent_id) for span in last} == {(SESSION.trace_id, SESSION.span_id)}


def test_what_failed_is_recorded_once_it_succeeds(kept: KeptSpans) -> None:
    """And has the same context then, however often it is published."""
    traces = BatchTraces(SESSION)
    traces.add(0)

    with pytest.raises(Unavailable):
        publish(traces, 0, kept, Unavailable("the sink is away"))
    first, again = publish(traces, 0, kept), publish(BatchTraces(SESSION), 0, kept)

    assert first == again
    assert len(kept.spans) == 2


def test_a_session_without_a_trace_has_batches_without(kept: KeptSpans) -> None:
    """A bot that was launched before traces were kept."""
    traces = BatchTraces(None)
    traces.add(0)

    assert publish(traces, 0, kept) is None
    assert kept.spans == []
