"""Batches of one stream that the database has not confirmed, with the rule for when each is sent."""

from collections import deque

from vexa_events.live import StoredMark
from vexa_events.transcript import Segment, TranscriptCommitted

MAX_BATCHES = 2_000
"""Hours of a stream; past this the worker takes no more audio of it."""
FIRST_BACKOFF_S = 2.0
"""After this long without an acknowledgement the oldest batch is sent again."""
RETRY_BACKOFF_S = 0.5
LONGEST_BACKOFF_S = 60.0


class Unacknowledged:
    """Pure: told the time, it names the batch to send; order is kept, the oldest is repeated."""

    def __init__(self, epoch: int) -> None:
        self._epoch = epoch
        self._batches: deque[TranscriptCommitted] = deque()
        self._unsent_from = 0
        """How many of the batches have been accepted by the sink."""
        self._not_before_s = 0.0
        self._backoff_s = FIRST_BACKOFF_S
        self._failures = 0
        self.is_fenced = False

    @property
    def is_empty(self) -> bool:
        return not self._batches

    @property
    def is_sent(self) -> bool:
        """Tell whether the sink has accepted every batch at least once."""
        return self._unsent_from >= len(self._batches)

    @property
    def has_room(self) -> bool:
        return len(self._batches) < MAX_BATCHES

    def segments(self, most: int) -> list[Segment]:
        """Return the newest segments among the batches, oldest first."""
        found: list[Segment] = []
        for batch in reversed(self._batches):
            found[:0] = batch.segments
            if len(found) >= most:
                break
        return found[-most:]

    def add(self, batch: TranscriptCommitted) -> None:
        """Take charge of a batch."""
        self._batches.append(batch)

    def acknowledge(self, mark: StoredMark) -> bool:
        """Drop what is stored, or everything where a newer epoch has taken over; tell whether anything changed."""
        if mark.epoch > self._epoch:
            self._batches.clear()
            self._unsent_from = 0
            newly, self.is_fenced = not self.is_fenced, True
            return newly
        before = len(self._batches)
        while mark.epoch == self._epoch and self._batches and self._batches[0].until_s <= mark.until_s + 0.0005:
            self._batches.popleft()
            self._unsent_from = max(0, self._unsent_from - 1)
        if len(self._batches) == before:
            return False
        self._backoff_s = FIRST_BACKOFF_S
        return True

    def due(self, now_s: float) -> TranscriptCommitted | None:
        """Name the batch to send now: the next new one, else the oldest once its time has come."""
        if not self._batches or (self._failures and now_s < self._not_before_s):
            return None
        if not self.is_sent:
            return self._batches[self._unsent_from]
        return self._batches[0] if now_s >= self._not_before_s else None

    def wait_s(self, now_s: float) -> float | None:
        """Return how long nothing will be due unless something changes; None for ever."""
        if not self._batches:
            return None
        return max(0.0, self._not_before_s - now_s)

    def accepted(self, batch: TranscriptCommitted, now_s: float) -> None:
        """The sink took a batch; it still has to be stored."""
        self._failures = 0
        if not self.is_sent and self._batches[self._unsent_from] is batch:
            self._unsent_from += 1
            self._not_before_s = now_s + self._backoff_s
        elif self._batches and self._batches[0] is batch:
            self._backoff_s = min(LONGEST_BACKOFF_S, 2 * self._backoff_s)
            self._not_before_s = now_s + self._backoff_s

    def failed(self, now_s: float) -> None:
        """The sink did not take a batch."""
        self._failures += 1
        pause_s = RETRY_BACKOFF_S * 2.0 ** min(self._failures, 10)
        self._not_before_s = now_s + min(LONGEST_BACKOFF_S, pause_s)
