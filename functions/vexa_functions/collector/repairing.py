"""
Showing what is stored and was not shown, on every tick.

A crash between the two is healed by the batch's next delivery; where the
channel loses that as well, this finds it.
"""

import logging
from collections.abc import Sequence
from datetime import timedelta
from itertools import groupby
from operator import attrgetter

from vexa_events.fields import reaches
from vexa_events.live import StoredMark
from vexa_functions.collector.showing import of_stored
from vexa_functions.live_feed import LiveFeed, News, Shown
from vexa_functions.store.streams import Progress
from vexa_functions.store.tables import Store
from vexa_functions.store.transcripts import StoredSegment

logger = logging.getLogger(__name__)

SWEEP = "feeds"
SESSIONS_A_TICK = 500
STREAMS_A_TICK = 100
BATCHES_A_TICK = 100
"""Of one stream: a few minutes of speech, so that all of them together stay some megabytes."""
GRACE = timedelta(seconds=5)
"""What was stored just now is being shown by whoever stored it."""


class Repairer:
    """Compares what is stored of running and lately ended sessions with what was shown."""

    def __init__(
        self, store: Store, live: LiveFeed, *, grace: timedelta = GRACE, batches_a_tick: int = BATCHES_A_TICK
    ) -> None:
        self._store = store
        self._live = live
        self._grace = grace
        self._batches_a_tick = batches_a_tick

    async def sweep(self) -> None:
        """Look at the next page of sessions, and show what their watchers have missed."""
        async with self._store.reading() as tables:
            after = await tables.sweeps.position(SWEEP)
            page = await tables.sessions.live_page(after=after, limit=SESSIONS_A_TICK)
            await tables.sweeps.move(SWEEP, page, limit=SESSIONS_A_TICK)
            streams = await tables.streams.progress(page)
        shown = await self._live.shown_until([stream.stream_uid for stream in streams])
        ends = [stream.start_s if end is None else end for stream, end in zip(streams, shown, strict=True)]
        short = [pair for pair in zip(streams, ends, strict=True) if not reaches(pair[1], pair[0].stored_until_s)]
        if short:
            await self._show(dict(short[:STREAMS_A_TICK]))

    async def _show(self, shown_until_s: dict[Progress, float]) -> None:
        behind: dict[str, float] = {stream.stream_uid: until_s for stream, until_s in shown_until_s.items()}
        async with self._store.reading() as tables:
            ends = await tables.batches.ends_behind(behind, older_than=self._grace, limit=self._batches_a_tick)
            segments = await tables.transcripts.between({uid: (behind[uid], end_s) for uid, end_s in ends.items()})
        by_stream = {uid: list(own) for uid, own in groupby(segments, attrgetter("stream_uid"))}
        news = [
            _news(stream, by_stream.get(stream.stream_uid, []), from_s=from_s, until_s=ends[stream.stream_uid])
            for stream, from_s in shown_until_s.items()
            if stream.stream_uid in ends
        ]
        if news:
            await self._live.tell(news)
            logger.warning("stored text was not shown", extra={"streams": len(news), "segments": len(segments)})


def _news(stream: Progress, segments: Sequence[StoredSegment], *, from_s: float, until_s: float) -> News:
    return News(
        stream_uid=stream.stream_uid,
        meeting_id=stream.meeting_id,
        mark=StoredMark(epoch=stream.epoch, until_s=stream.stored_until_s),
        messages=of_stored(
            segments, meeting_id=stream.meeting_id, session_uid=stream.session_uid, stream_uid=stream.stream_uid
        ),
        shown=Shown(from_s=from_s, until_s=until_s, start_s=stream.start_s),
    )
