"""W3C trace context: to which trace, and to which piece of work in it, something belongs, as text on the wire."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

PARENT = "traceparent"
STATE = "tracestate"
"""Names of headers and, by CloudEvents' distributed tracing, of extensions."""
MAX_STATE_CHARS = 512
_PARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_PRINTABLE = re.compile(r"[\x20-\x7e]+")
_SAMPLED = 0x01
_NO_TRACE, _NO_SPAN = "0" * 32, "0" * 16


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceContext:
    """One piece of work, which others may be part of."""

    trace_id: str
    """32 hexadecimal digits."""
    span_id: str
    """16 hexadecimal digits."""
    is_sampled: bool
    """Whether what is part of it is recorded."""
    state: str = ""
    """What the systems that it came through keep in it; handed on as it is."""

    @property
    def parent(self) -> str:
        """Spell it as `traceparent`."""
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.is_sampled else '00'}"

    def part(self, name: str) -> "TraceContext":
        """Return a piece of work of the same trace, the same one whenever it is asked for by this name."""
        return replace(self, span_id=hashlib.sha256(name.encode()).hexdigest()[:16])

    def beside(self, name: str) -> "TraceContext":
        """Return the first work of another trace, recorded where this one is; the same one for the same name."""
        found = hashlib.sha256(name.encode()).hexdigest()
        return replace(self, trace_id=found[16:48], span_id=found[:16])

    def texts(self) -> dict[str, str]:
        """Spell it as headers or extensions."""
        return {PARENT: self.parent, STATE: self.state} if self.state else {PARENT: self.parent}


def read_context(parent: str | None, state: str | None = None) -> TraceContext | None:
    """Read what somebody sent; None where it is no trace context: then it is as if none had been sent."""
    found = _PARENT.fullmatch(parent) if parent else None
    if found is None:
        return None
    version, trace_id, span_id, flags, rest = found.groups()
    if version == "ff" or (version == "00" and rest) or trace_id == _NO_TRACE or span_id == _NO_SPAN:
        return None
    return TraceContext(
        trace_id=trace_id,
        span_id=span_id,
        is_sampled=bool(int(flags, 16) & _SAMPLED),
        state=state if state and len(state) <= MAX_STATE_CHARS and _PRINTABLE.fullmatch(state) else "",
    )


def context_in(texts: Mapping[str, str]) -> TraceContext | None:
    """Read the context among extensions or headers."""
    return read_context(texts.get(PARENT), texts.get(STATE))
