"""Who speaks in the drafts of a meeting: a draft is older than what was learnt since its stream began."""

import logging
import time
from collections.abc import Callable

from vexa_events.errors import Unavailable
from vexa_events.identity import StreamKind
from vexa_events.live import LiveKind, LiveMessage, LiveSegment
from vexa_functions.store.tables import Store

logger = logging.getLogger(__name__)

ASK_EVERY_S = 5.0


class Speakers:
    """The best known speakers of a meeting's streams."""

    def __init__(self, store: Store, meeting_id: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._meeting_id = meeting_id
        self._clock = clock
        self._known: dict[str, tuple[int, str]] = {}
        self._mixed: set[str] = set()
        self._ask_again_at_s = 0.0

    async def name(self, message: LiveMessage) -> LiveMessage:
        """Learn from stored text; put names to drafts."""
        if message.kind is LiveKind.FINALIZED:
            for segment in message.segments:
                if segment.mixed:
                    self._mixed.add(segment.stream_uid)
                self._learn(segment.stream_uid, segment.revision, segment.speaker)
            return message
        if message.kind is LiveKind.STATUS or message.stream_uid is None or not message.segments:
            return message
        if message.stream_uid not in self._known | dict.fromkeys(self._mixed):
            await self._ask()
        return message.model_copy(update={"segments": tuple(map(self._named, message.segments))})

    def _named(self, draft: LiveSegment) -> LiveSegment:
        if draft.stream_uid in self._mixed or draft.stream_uid not in self._known:
            return draft
        revision, speaker = self._known[draft.stream_uid]
        return draft.model_copy(update={"speaker": speaker, "revision": revision})

    def _learn(self, stream_uid: str, revision: int, speaker: str | None) -> None:
        known = self._known.get(stream_uid)
        if speaker is not None and stream_uid not in self._mixed and (known is None or known[0] <= revision):
            self._known[stream_uid] = revision, speaker

    async def _ask(self) -> None:
        """Look the streams up, at most every ASK_EVERY_S."""
        if self._clock() < self._ask_again_at_s:
            return
        self._ask_again_at_s = self._clock() + ASK_EVERY_S
        try:
            async with self._store.reading() as tables:
                streams = await tables.transcripts.streams(self._meeting_id)
        except Unavailable as exc:
            logger.warning("speakers of drafts not known", extra={"cause": str(exc)})
            return
        for stream in streams:
            if stream.kind == StreamKind.MIXED:
                self._mixed.add(stream.stream_uid)
                self._known.pop(stream.stream_uid, None)
            else:
                self._learn(stream.stream_uid, 0, stream.speaker)
