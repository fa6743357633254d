"""
Spans: which work was done, when, and as part of what.

Context variables hold the work at hand, so that log lines, events and requests
that come of it can name it. Where nothing is exported, only ids travel, and
the work of a trace has the id of whoever asked for it.
"""

import random
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import NamedTuple, Protocol

from vexa_events.trace_context import TraceContext

Value = str | int | float | bool


class SpanKind(IntEnum):
    """What the work is to others; the numbers are OTLP's."""

    INTERNAL = 1
    SERVER = 2
    CLIENT = 3
    PRODUCER = 4
    CONSUMER = 5


@dataclass(slots=True, kw_only=True)
class Span:
    """One piece of work; whoever does it may add to it until it ends."""

    name: str
    kind: SpanKind
    context: TraceContext
    parent_id: str
    """Empty where the work is part of nothing."""
    started_at_ns: int
    """Since 1970."""
    ended_at_ns: int = 0
    attributes: dict[str, Value] = field(default_factory=dict)
    links: Sequence[TraceContext] = ()
    """Work of other traces that this belongs with."""
    fault: str | None = None
    """Why it failed, where it did."""


class Exporter(Protocol):
    """Where ended spans go."""

    def offer(self, span: Span) -> None:
        """Take a span, or count it as lost; never wait."""

    async def aclose(self) -> None:
        """Hand on what waits, for a bounded time."""


class Tracer:
    """Makes the spans of one process, or of one function of several in a process."""

    def __init__(self, exporter: Exporter | None = None, *, ratio: float = 1.0) -> None:
        """`ratio` is the part of the traces begun here that is recorded; what comes with a trace follows that."""
        self._exporter = exporter
        self._bound = int(ratio * (1 << 64))

    def part_of(self, whole: TraceContext | None) -> TraceContext:
        """Return the context of new work: part of a trace, or the first of its own; unrecorded work has no id."""
        if whole is None:
            return self._new_trace()
        if self._exporter is None or not whole.is_sampled:
            return whole
        return replace(whole, span_id=_new_span_id())

    def begin(
        self,
        name: str,
        context: TraceContext,
        *,
        kind: SpanKind = SpanKind.INTERNAL,
        parent: TraceContext | None = None,
        links: Sequence[TraceContext] = (),
        attributes: Mapping[str, Value] | None = None,
    ) -> Span | None:
        """Begin a piece of work; None where it is not recorded."""
        if self._exporter is None or not context.is_sampled:
            return None
        return Span(
            name=name,
            kind=kind,
            context=context,
            parent_id="" if parent is None else parent.span_id,
            started_at_ns=time.time_ns(),
            attributes=dict(attributes or {}),
            links=links,
        )

    def end(self, span: Span) -> None:
        """End a piece of work that this tracer began."""
        span.ended_at_ns = max(span.started_at_ns, time.time_ns())
        if self._exporter is not None:
            self._exporter.offer(span)

    async def aclose(self) -> None:
        """Hand on what is left."""
        if self._exporter is not None:
            await self._exporter.aclose()

    def _new_trace(self) -> TraceContext:
        number = random.getrandbits(128) or 1
        is_sampled = self._exporter is not None and (number & 0xFFFF_FFFF_FFFF_FFFF) < self._bound
        return TraceContext(trace_id=f"{number:032x}", span_id=_new_span_id(), is_sampled=is_sampled)


class _Work(NamedTuple):
    tracer: Tracer
    context: TraceContext | None
    span: Span | None = None


_work: ContextVar[_Work] = ContextVar("work", default=_Work(Tracer(), None))  # noqa: B039 - immutable


def current() -> TraceContext | None:
    """Return the work at hand; None where there is none."""
    return _work.get().context


def within(trace: TraceContext | None) -> TraceContext | None:
    """Return the work at hand where it belongs to a trace, or to any if none is told; else that trace."""
    at_hand = current()
    is_of_it = trace is None or (at_hand is not None and at_hand.trace_id == trace.trace_id)
    return at_hand if is_of_it else trace


def recorded() -> Span | None:
    """Lend what is recorded of the work at hand; None where nothing is."""
    return _work.get().span


def note(attributes: Mapping[str, Value]) -> None:
    """Add to the work at hand, where it is recorded."""
    span = recorded()
    if span is not None:
        span.attributes.update(attributes)


def adopt(whole: TraceContext | None) -> None:
    """Make the work at hand part of what turns out to have asked for it; nothing changes where that is not told."""
    tracer, context, known = _work.get()
    if whole is None or context is None:
        return
    context = tracer.part_of(whole)
    span = tracer.begin("", context, parent=whole)
    if span is not None and known is not None:
        span = replace(known, context=span.context, parent_id=span.parent_id, links=())
    _work.set(_Work(tracer, context, span))


@contextmanager
def traced_by(tracer: Tracer, context: TraceContext | None) -> Iterator[None]:
    """Let the work of the block be this tracer's, and part of what was done elsewhere."""
    token = _work.set(_Work(tracer, context))
    try:
        yield
    finally:
        _work.reset(token)


class span:  # noqa: N801 - read as the piece of work that a block does
    """
    Do a piece of work: the block. Lend what is recorded of it, if it is.

    It is part of the work at hand; where that is of another trace than
    `trace`, of `trace`, and a link leads to the work at hand. `tracer` is the
    one at hand, too, unless it is told.
    """

    __slots__ = ("_token", "_work")

    def __init__(
        self,
        name: str,
        *,
        kind: SpanKind = SpanKind.INTERNAL,
        trace: TraceContext | None = None,
        tracer: Tracer | None = None,
        attributes: Mapping[str, Value] | None = None,
    ) -> None:
        at_hand = _work.get()
        tracer = tracer or at_hand.tracer
        whole = within(trace)
        context = tracer.part_of(whole)
        links = [at_hand.context] if at_hand.context and at_hand.context is not whole else ()
        begun = tracer.begin(name, context, kind=kind, parent=whole, links=links, attributes=attributes)
        self._work = _Work(tracer, context, begun)

    def __enter__(self) -> Span | None:
        self._token = _work.set(self._work)
        return self._work.span

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        done = _work.get()  # may have been adopted since
        _work.reset(self._token)
        if done.span is not None:
            if kind is not None and done.span.fault is None:
                done.span.fault = kind.__name__
            done.tracer.end(done.span)


def _new_span_id() -> str:
    return f"{random.getrandbits(64) or 1:016x}"
