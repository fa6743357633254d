"""Batches of one stream that the database has not confirmed, with the rule for when each is sent."""

from collections import deque
from dataclasses import dataclass

from vexa_events.fields import CLOCK_STEP_S
from vexa_events.live import StoredMark
from vexa_events.transcript import Segment, TranscriptCommitted

MAX_BATCHES = 2_000
"""Hours of a stream; past this the worker takes no more audio of it."""
FIRST_BACKOFF_S = 2.0
"""After this long without an acknowledgement the oldest batch is sent again."""
RETRY_BACKOFF_S = 0.5
LONGEST_BACKOFF_S = 60.0


@dataclass(slots=True)
class _Entry:
    batch: TranscriptCommitted
    sent_at_s: float = 0.0


class Unacknowledged:
    """Pure: told the time, it names the batch to send; order is kept, the oldest is repeated."""

    def __init__(self, epoch: int) -> None:
        self._epoch = epoch
        self._entries: deque[_Entry] = deque()
        self._sent = 0
        """How many of the entries, from the oldest on, the sink has accepted."""
        self._backoff_s = FIRST_BACKOFF_S
        self._failures = 0
        self._retry_at_s = 0.0
        self.is_fenced = False

    @property
    def is_empty(self) -> bool:
        return not self._entries

    @property
    def size(self) -> int:
        return len(self._entries)

    @property
    def is_sent(self) -> bool:
        """Tell whether the sink has accepted every batch at least once."""
        return self._sent == len(self._entries)

    @property
    def has_room(self) -> bool:
        return len(self._entries) < MAX_BATCHES

    def segments(self, most: int) -> list[Segment]:
        """Return the newest segments among the batches, oldest first."""
        found: list[Segment] = []
        for entry in reversed(self._entries):
            found[:0] = entry.batch.segments
            if len(found) >= most:
                break
        return found[-most:]

    def add(self, batch: TranscriptCommitted) -> None:
        """Take charge of a batch."""
        self._entries.append(_Entry(batch))

    def acknowledge(self, mark: StoredMark) -> bool:
        """Drop what is stored, or everything where a newer epoch has taken over; tell whether anything changed."""
        if mark.epoch > self._epoch:
            self._entries.clear()
            self._sent = 0
            newly, self.is_fenced = not self.is_fenced, True
            return newly
        before = len(self._entries)
        while mark.epoch == self._epoch and self._entries and self._is_stored(self._entries[0].batch, mark):
            self._entries.popleft()
            self._sent = max(0, self._sent - 1)
        if len(self._entries) == before:
            return False
        self._backoff_s = FIRST_BACKOFF_S
        return True

    def due(self, now_s: float) -> TranscriptCommitted | None:
        """Name the batch to send now: the next new one, else the oldest once its time has come."""
        wait_s = self.wait_s(now_s)
        if wait_s is None or wait_s > 0.0:
            return None
        return self._entries[0 if self.is_sent else self._sent].batch

    def wait_s(self, now_s: float) -> float | None:
        """Return how long nothing will be due unless something changes; None for ever."""
        if not self._entries:
            return None
        due_at_s = self._entries[0].sent_at_s + self._backoff_s if self.is_sent else now_s
        return max(0.0, max(due_at_s, self._retry_at_s) - now_s)

    def accepted(self, batch: TranscriptCommitted, now_s: float) -> None:
        """The sink took a batch; it still has to be stored."""
        self._failures = 0
        self._retry_at_s = 0.0
        if not self.is_sent and self._entries[self._sent].batch is batch:
            self._entries[self._sent].sent_at_s = now_s
            self._sent += 1
        elif self._entries and self._entries[0].batch is batch:
            self._entries[0].sent_at_s = now_s
            self._backoff_s = min(LONGEST_BACKOFF_S, 2 * self._backoff_s)

    def failed(self, now_s: float) -> None:
        """The sink did not take a batch."""
        self._failures += 1
        self._retry_at_s = now_s + min(LONGEST_BACKOFF_S, RETRY_BACKOFF_S * 2.0 ** min(self._failures, 10))

    @staticmethod
    def _is_stored(batch: TranscriptCommitted, mark: StoredMark) -> bool:
        return batch.until_s <= mark.until_s + CLOCK_STEP_S / 2
