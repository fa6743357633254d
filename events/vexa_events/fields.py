"""Field types shared by the contracts: bounded, finite, storable in Postgres."""

import math
import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

CLOCK_STEP_S = 0.001
"""Positions on a session clock are whole milliseconds (16 samples at 16 kHz)."""

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_UID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.:-]*$"


def _storable(text: str) -> str:
    if found := _UNSTORABLE.search(text):
        what = "a NUL character" if found[0] == "\x00" else "half a character (a lone surrogate)"
        raise ValueError(f"must not contain {what}")
    return text


def at_clock_step(position_s: float) -> float:
    """Round a position on the session clock to whole milliseconds."""
    return round(position_s, 3)


def same_instant(first_s: float, second_s: float) -> bool:
    """Tell whether two positions are the same millisecond of the session clock."""
    return math.isclose(first_s, second_s, rel_tol=0.0, abs_tol=CLOCK_STEP_S / 2)


def reaches(edge_s: float, position_s: float) -> bool:
    """Tell whether what goes until `edge_s` leaves nothing of the session clock before `position_s`."""
    return position_s - edge_s < CLOCK_STEP_S / 2


def size_bytes(message: BaseModel) -> int:
    """Measure a message as it travels: UTF-8 JSON without what is not set."""
    return len(message.model_dump_json(exclude_none=True).encode())


Text = Annotated[str, StringConstraints(max_length=16_384), AfterValidator(_storable)]
Evidence = Annotated[str, StringConstraints(max_length=4_000), AfterValidator(_storable)]
"""What a state or a speaker was concluded from, in words; short enough that its event stays under 64 KiB."""
Name = Annotated[str, StringConstraints(min_length=1, max_length=255), AfterValidator(_storable)]
Uid = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=_UID_PATTERN)]
SegmentUid = Annotated[str, StringConstraints(min_length=1, max_length=160, pattern=_UID_PATTERN)]
"""A stream's uid with the epoch and the number of the segment behind it."""
Seconds = Annotated[float, Field(ge=0.0, le=10_000_000.0, allow_inf_nan=False)]
"""A position on the session clock, or a duration, in seconds."""
Count = Annotated[int, Field(ge=0, le=2**31 - 1)]
Epoch = Annotated[int, Field(ge=1, le=2**31 - 1)]
RowId = Annotated[int, Field(ge=1, le=2**63 - 1)]
TraceText = Annotated[str, StringConstraints(max_length=512), AfterValidator(_storable)]
"""A W3C `traceparent` or `tracestate` as it came; `trace_context` reads it."""
Language = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}$")]
"""Shaped like a Whisper code; doors that take a user's wish check it against languages.LANGUAGES."""


class Message(BaseModel):
    """Base of everything that crosses a process boundary: immutable, unknown fields ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True, defer_build=True)
