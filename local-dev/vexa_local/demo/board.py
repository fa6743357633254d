"""What a watcher of a meeting knows so far; pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict

from vexa_events.identity import BotStatus
from vexa_events.live import LiveKind


class Line(BaseModel):
    """One segment as the gateway spells it; times in seconds on the session clock."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    segment_id: str
    stream_uid: str | None = None
    start: float
    end: float
    text: str
    speaker: str | None = None
    completed: bool = True


@dataclass(slots=True)
class Board:
    """The committed lines, and the latest drafts of what follows them."""

    status: BotStatus | None = None
    committed: dict[str, Line] = field(default_factory=dict)
    drafts_by_stream: dict[str, list[Line]] = field(default_factory=dict)

    def apply(self, message: Mapping[str, Any]) -> None:
        """Take in one message of the live feed; those of other kinds change nothing."""
        kind, payload = message.get("type"), message.get("payload") or {}
        if kind == LiveKind.STATUS:
            self.status = BotStatus(payload["status"])
        elif kind == LiveKind.FINALIZED:
            self._commit([Line.model_validate(segment) for segment in payload["segments"]])
        elif kind == LiveKind.MUTABLE:
            stream = str(payload.get("stream_uid"))
            self.drafts_by_stream[stream] = [Line.model_validate(segment) for segment in payload["segments"]]

    def lines(self) -> Iterator[tuple[Line, bool]]:
        """Yield every line by time, and whether it is a draft."""
        drafts = [
            line for lines in self.drafts_by_stream.values() for line in lines if line.segment_id not in self.committed
        ]
        everything = [*((line, False) for line in self.committed.values()), *((line, True) for line in drafts)]
        yield from sorted(everything, key=lambda pair: (pair[0].start, pair[0].segment_id))

    def speakers(self) -> list[str]:
        """List the speakers in the order of their first line."""
        return list(dict.fromkeys(line.speaker for line, _ in self.lines() if line.speaker))

    def _commit(self, lines: list[Line]) -> None:
        for line in lines:
            self.committed[line.segment_id] = line
            stream = str(line.stream_uid)
            rest = [draft for draft in self.drafts_by_stream.get(stream, []) if draft.end > line.end]
            self.drafts_by_stream[stream] = rest
