"""Who was shown as speaking while a mixed recording was made: the file hints.json beside it."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from vexa_bot.capture import LONGEST_HINT_MS, SpeakerHinted
from vexa_bot.session_clock import to_ms
from vexa_events.errors import InvalidMessage
from vexa_events.faults import faults
from vexa_events.fields import Message, Name, Seconds

logger = logging.getLogger(__name__)
FILE = "hints.json"
MAX_BYTES = 16 * 1024 * 1024


class RecordedHint(Message):
    """Somebody was shown as speaking; seconds from the beginning of the recording."""

    from_s: Seconds
    until_s: Seconds
    speaker: Name


_CODEC: TypeAdapter[list[RecordedHint]] = TypeAdapter(Annotated[list[RecordedHint], Field(max_length=100_000)])


def read_hints(folder: Path) -> list[SpeakerHinted]:
    """Read a recording's hints in order of their ends, none where it has none; raise InvalidMessage; blocks."""
    file = folder / FILE
    if not file.is_file():
        return []
    if file.stat().st_size > MAX_BYTES:
        raise InvalidMessage(f"{FILE}: over {MAX_BYTES} bytes")
    try:
        recorded = _CODEC.validate_json(file.read_bytes())
    except ValidationError as exc:
        raise InvalidMessage(f"{FILE}: {faults(exc)}") from exc
    return sorted((short for hint in recorded for short in _cut(hint)), key=lambda hint: hint.until_ms)


def _cut(hint: RecordedHint) -> Iterator[SpeakerHinted]:
    end_ms = to_ms(hint.until_s)
    for from_ms in range(to_ms(hint.from_s), end_ms, LONGEST_HINT_MS):
        until_ms = min(from_ms + LONGEST_HINT_MS, end_ms)
        yield SpeakerHinted(
            from_ms=from_ms, until_ms=until_ms, speaker=hint.speaker, evidence=f"the recording's {FILE}"
        )
