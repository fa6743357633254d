"""What a bot hears and whom: streams, names and faults of capture, from the messages of its pages."""

import logging
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime

from vexa_bot.browser.attribution import LOUD, Attribution
from vexa_bot.browser.inbox import AudioLost, Told
from vexa_bot.browser.page_messages import AudioChunk, PageFacts, SpeakingNow, TrackEnded, TrackFacts
from vexa_bot.browser.page_script import REPORT_EVERY_MS
from vexa_bot.browser.site import Site
from vexa_bot.browser.snapshot import Snapshot
from vexa_bot.browser.speaking import Speaking
from vexa_bot.browser.tracks import TrackId, Tracks
from vexa_bot.capture import Fact
from vexa_bot.session_clock import WallClock
from vexa_events.identity import StreamKind

logger = logging.getLogger(__name__)
DEAF_LOOKS = 6
"""So many looks in a row must a track be loud on the network and silent in the capture."""
DEAF_MS = DEAF_LOOKS * REPORT_EVERY_MS
"""How long that is at least."""
ORPHAN_LIMIT_S = 10.0
"""How long after a rejoin a stream waits for its speaker's new track."""
HELD_CHUNKS = 15
"""So much of a new track is held back until it is known whose it is, while streams of a lost page wait."""


class Ears:
    """The sound of one session, over all its pages."""

    def __init__(self, site: Site, *, zero_at: datetime, clock: WallClock | None = None) -> None:
        self.is_loud = False
        """Whether anything was heard at the last look."""
        self._site = site
        self._is_mixed = site.lane.kind is StreamKind.MIXED
        self._clock = clock or WallClock()
        self._zero_unix_ms = round(zero_at.timestamp() * 1_000)
        self._tracks = Tracks(site.lane.kind, zero_unix_ms=self._zero_unix_ms)
        self._speaking = Speaking()
        self._attribution = Attribution()
        self._owners: dict[TrackId, str | None] = {}
        self._muted: frozenset[str] = frozenset()
        """The names of those who are shown as muted."""
        self._deaf_looks: Counter[TrackId] = Counter()
        self._held: defaultdict[TrackId, list[AudioChunk | AudioLost]] = defaultdict(list)
        self._known_faults: set[str] = set()
        self._orphans_until_s: float | None = None

    def hear(self, message: Told) -> Iterator[Fact]:
        """Take in sound, its loss or its end, or who is shown as speaking."""
        if isinstance(message, AudioChunk):
            yield from self._hold(self._unset(message), (message.doc, message.track))
        elif isinstance(message, AudioLost):
            lost = replace(message, first=self._unset(message.first), last=self._unset(message.last))
            yield from self._hold(lost, (message.last.doc, message.last.track))
        elif isinstance(message, TrackEnded):
            yield from self._release((message.doc, message.track))
            yield from self._tracks.end((message.doc, message.track))
        elif isinstance(message, SpeakingNow) and self._is_mixed:
            yield from self._speaking.look(round(self._clock.unset_ms(message.at)) - self._zero_unix_ms, message.names)

    def look(self, facts: Sequence[PageFacts], snapshot: Snapshot, *, is_behind: bool = False) -> Iterator[Fact]:
        """
        Take in what the page shows: whose tracks they are, and whether capture works.

        A bot that `is_behind` has not heard yet what came in, so that no track counts as silent.
        """
        tracks = {(each.doc, track.number): track for each in facts for track in each.tracks}
        self.is_loud = any(track.level > LOUD or track.peak > LOUD for track in tracks.values())
        tiles = {(each.doc, number): name for each in facts for number, name in each.owners.items()}
        self._owners = {id_: self._site.owner(track, tiles.get(id_), snapshot) for id_, track in tracks.items()}
        self._muted = self._site.muted(snapshot)
        yield from self._check_capture(facts, tracks)
        yield from self._name(tracks, snapshot)
        if not is_behind:
            yield from self._tracks.silence(self._clock.now_unix_ms())
        if self._orphans_until_s is not None and time.monotonic() > self._orphans_until_s:
            self._orphans_until_s = None
            yield from self._tracks.give_up_orphans(self._clock.now_unix_ms())

    def lose_page(self) -> None:
        """Note that the page is gone."""
        self._tracks.lose_page(self._attribution.names)
        self._owners.clear()
        self._held.clear()
        self._deaf_looks.clear()
        self._orphans_until_s = None

    def note_rejoined(self) -> None:
        """Note that another page is in the meeting."""
        self._orphans_until_s = time.monotonic() + ORPHAN_LIMIT_S

    def finish(self) -> Iterator[Fact]:
        """Tell who was speaking at the end, and account for what a lost page never brought."""
        yield from self._speaking.stop()
        yield from self._tracks.give_up_orphans(self._clock.now_unix_ms())

    def _is_held(self, track: TrackId) -> bool:
        """Whether the sound of a track waits for its owner's name, which may belong to a stream of a lost page."""
        is_open = self._owners.get(track) is None and self._tracks.key_of(track) is None
        return self._tracks.has_orphans and is_open and len(self._held[track]) < HELD_CHUNKS

    def _unset(self, chunk: AudioChunk) -> AudioChunk:
        return chunk.model_copy(update={"at": self._clock.unset_ms(chunk.at)})

    def _hold(self, heard: AudioChunk | AudioLost, track: TrackId) -> Iterator[Fact]:
        self._held[track].append(heard)
        if not self._is_held(track):
            yield from self._release(track)

    def _release(self, track: TrackId) -> Iterator[Fact]:
        owner = self._owners.get(track)
        for heard in self._held.pop(track, []):
            if isinstance(heard, AudioLost):
                yield from self._tracks.lose(heard, speaker=owner)
            else:
                yield from self._tracks.hear(heard, speaker=owner, is_muted=owner in self._muted)

    def _name(self, tracks: dict[TrackId, TrackFacts], snapshot: Snapshot) -> Iterator[Fact]:
        key_by_track = {id_: key for id_ in tracks if (key := self._tracks.key_of(id_)) is not None}
        yield from self._attribution.look(
            {key: self._owners[id_] for id_, key in key_by_track.items()},
            levels={key: tracks[id_].level for id_, key in key_by_track.items()},
            # one name for a stream of many voices would be wrong for all the others
            speaking=() if self._is_mixed else [person.name for person in snapshot.people if person.speaking],
        )

    def _check_capture(self, facts: Sequence[PageFacts], tracks: dict[TrackId, TrackFacts]) -> Iterator[Fact]:
        for id_, track in tracks.items():
            is_deaf = track.level > LOUD and track.peak == 0.0
            self._deaf_looks[id_] = self._deaf_looks[id_] + 1 if is_deaf else 0
            if self._deaf_looks[id_] >= DEAF_LOOKS and self._tracks.note_deaf(id_):
                logger.error("capture is silent while the network is not", extra={"track": id_[1]})
                deaf_since_ms = self._clock.now_unix_ms() - self._zero_unix_ms - DEAF_MS
                yield from self._tracks.owe(id_, deaf_since_ms, speaker=self._owners.get(id_))
        for fault in {fault for each in facts for fault in _faults(each)} - self._known_faults:
            self._known_faults.add(fault)
            logger.error("capture fault", extra={"fault": fault})


def _faults(facts: PageFacts) -> list[str]:
    stopped = [f"audio context is {facts.context}"] if facts.tracks and facts.context not in {None, "running"} else []
    return [*facts.faults, *stopped]
