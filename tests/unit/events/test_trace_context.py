"""W3C trace context as it comes and goes."""

import pytest

from vexa_events.trace_context import TraceContext, context_in, read_context

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN_ID = "00f067aa0ba902b7"
SESSION = TraceContext(trace_id=TRACE_ID, span_id=SPAN_ID, is_sampled=True, state="theirs=1")


@pytest.mark.parametrize("is_sampled", [True, False])
def test_what_is_written_is_read_again(is_sampled: bool) -> None:
    """As headers and as extensions alike."""
    context = TraceContext(trace_id=TRACE_ID, span_id=SPAN_ID, is_sampled=is_sampled, state="theirs=1,others=2")

    assert context_in(context.texts()) == context


def test_an_empty_state_is_not_spelled() -> None:
    """An extension must not be empty."""
    assert read_context(SESSION.parent, "") == context_in({"traceparent": SESSION.parent})
    assert TraceContext(trace_id=TRACE_ID, span_id=SPAN_ID, is_sampled=True).texts() == {"traceparent": SESSION.parent}


@pytest.mark.parametrize(
    "parent",
    [
        "",
        "00-1-2-01",
        f"00-{'0' * 32}-{SPAN_ID}-01",
        f"00-{TRACE_ID}-{'0' * 16}-01",
        f"ff-{TRACE_ID}-{SPAN_ID}-01",
        f"00-{TRACE_ID.upper()}-{SPAN_ID}-01",
        f"00-{TRACE_ID}-{SPAN_ID}-01-more",
        f"00-{TRACE_ID}-{SPAN_ID}-01\n",
        f"00-{TRACE_ID}-{SPAN_ID}",
    ],
)
def test_what_is_no_context_counts_as_none(parent: str) -> None:
    """The standard says to begin a trace then, as if nothing had come."""
    assert read_context(parent, "theirs=1") is None


def test_a_later_version_is_read_as_far_as_it_is_known() -> None:
    """So says the standard."""
    assert read_context(f"cc-{TRACE_ID}-{SPAN_ID}-09-what-the-future-brings") == read_context(SESSION.parent)


@pytest.mark.parametrize("state", ["x" * 513, "a=\x00", "a=ü"])
def test_a_state_that_could_not_travel_is_dropped(state: str) -> None:
    """The trace goes on without it."""
    assert read_context(SESSION.parent, state) == read_context(SESSION.parent)


def test_named_work_is_the_same_whenever_it_is_asked_for() -> None:
    """A batch that is published again by somebody else is the same work."""
    part, beside = SESSION.part("s.1:2:7"), SESSION.beside("s.1:2:7")

    assert (part, beside) == (SESSION.part("s.1:2:7"), SESSION.beside("s.1:2:7"))
    assert (part.trace_id, beside.trace_id == TRACE_ID) == (TRACE_ID, False)
    assert {part.is_sampled, beside.is_sampled} == {True}
    assert context_in(beside.texts()) == beside
    assert part != SESSION.part("s.1:2:8")
