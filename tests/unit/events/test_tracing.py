"""Spans: what is part of what, and what is recorded."""

import io
import json
import logging
from dataclasses import replace

import pytest
from tests.kept_spans import KeptSpans

from vexa_events.logs import JsonLines
from vexa_events.trace_context import TraceContext
from vexa_events.tracing import SpanKind, Tracer, adopt, current, note, span, traced_by, within

CALLER = TraceContext(trace_id="4bf92f3577b34da6a3ce929d0e0e4736", span_id="00f067aa0ba902b7", is_sampled=True)
OTHER = TraceContext(trace_id="5" * 32, span_id="6" * 16, is_sampled=True)


@pytest.fixture
def kept() -> KeptSpans:
    return KeptSpans()


def test_work_is_part_of_the_work_that_it_is_done_in(kept: KeptSpans) -> None:
    """And the first of what the caller does."""
    with span("outer", trace=CALLER, kind=SpanKind.SERVER, tracer=Tracer(kept)), span("inner", attributes={"n": 1}):
        note({"m": 2})

    inner, outer = kept.spans
    assert (outer.parent_id, inner.parent_id) == (CALLER.span_id, outer.context.span_id)
    assert {outer.context.trace_id, inner.context.trace_id} == {CALLER.trace_id}
    assert (outer.attributes, inner.attributes) == ({}, {"n": 1, "m": 2})
    assert inner.started_at_ns <= inner.ended_at_ns <= outer.ended_at_ns
    assert current() is None


def test_work_for_another_trace_is_linked_with_the_work_at_hand(kept: KeptSpans) -> None:
    """A tick sees to many sessions; what it does for one belongs to that one's trace."""
    with span("tick", tracer=Tracer(kept)), span("finalize", trace=CALLER):
        assert within(OTHER) == OTHER
        assert within(CALLER) == current()

    finalize, tick = kept.spans
    assert (finalize.context.trace_id, finalize.parent_id) == (CALLER.trace_id, CALLER.span_id)
    assert [link.span_id for link in finalize.links] == [tick.context.span_id]


def test_work_whose_asker_is_found_out_later_belongs_to_the_askers_trace(kept: KeptSpans) -> None:
    """From its beginning, and with all that was noted of it; the end of the work ends it once."""
    with span("outer", trace=OTHER, kind=SpanKind.SERVER, tracer=Tracer(kept)) as begun:
        note({"n": 1})
        adopt(CALLER)
        note({"m": 2})
        with span("inner"):
            pass
        adopt(None)

    inner, outer = kept.spans
    assert begun is not None
    assert (outer.name, outer.kind, outer.started_at_ns) == ("outer", SpanKind.SERVER, begun.started_at_ns)
    assert (outer.context.trace_id, outer.parent_id) == (CALLER.trace_id, CALLER.span_id)
    assert (inner.parent_id, outer.attributes) == (outer.context.span_id, {"n": 1, "m": 2})
    assert current() is None


@pytest.mark.parametrize(("ratio", "is_sampled", "count"), [(0.0, True, 1), (1.0, False, 0)])
def test_an_asker_who_is_found_out_later_decides_what_is_recorded(
    kept: KeptSpans, ratio: float, is_sampled: bool, count: int
) -> None:
    """As one does who is known from the beginning."""
    with span("work", tracer=Tracer(kept, ratio=ratio)):
        adopt(replace(CALLER, is_sampled=is_sampled))

    assert [one.parent_id for one in kept.spans] == [CALLER.span_id] * count


def test_failed_work_says_by_what(kept: KeptSpans) -> None:
    """By the error's kind: what it says may be what somebody said."""
    with pytest.raises(ValueError, match="secret"), span("work", tracer=Tracer(kept)):
        raise ValueError("a secret")

    assert kept.spans[0].fault == "ValueError"


def test_a_trace_that_the_caller_does_not_record_is_not_recorded_here(kept: KeptSpans) -> None:
    """Its ids still travel, as they came."""
    unsampled = TraceContext(trace_id=CALLER.trace_id, span_id=CALLER.span_id, is_sampled=False)

    with span("work", trace=unsampled, tracer=Tracer(kept)):
        assert current() == unsampled

    assert kept.spans == []


@pytest.mark.parametrize(("ratio", "least", "most"), [(0.0, 0, 0), (0.25, 150, 350), (1.0, 1_000, 1_000)])
def test_a_part_of_the_traces_begun_here_is_recorded(kept: KeptSpans, ratio: float, least: int, most: int) -> None:
    """A quarter of a thousand, give or take six standard deviations."""
    tracer = Tracer(kept, ratio=ratio)

    for _ in range(1_000):
        with span("work", tracer=tracer):
            pass

    assert least <= len(kept.spans) <= most


def test_without_an_exporter_only_ids_travel() -> None:
    """A trace begun here says that nobody records it."""
    with span("work", tracer=Tracer()) as begun:
        context = current()

    assert begun is None
    assert context is not None
    assert not context.is_sampled


def test_a_log_line_names_the_work_at_hand() -> None:
    """So that a line leads to its trace."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(JsonLines())
    logger = logging.getLogger("a test of tracing")
    logger.addHandler(handler)

    with traced_by(Tracer(), CALLER):
        logger.warning("inside")
    logger.warning("outside")

    inside, outside = map(json.loads, written.getvalue().splitlines())
    assert (inside["trace_id"], inside["span_id"]) == (CALLER.trace_id, CALLER.span_id)
    assert "trace_id" not in outside
