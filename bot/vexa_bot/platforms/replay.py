"""Attends a recorded meeting: each track is played in real time as one participant's stream."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from vexa_bot.capture import (
    NOBODY,
    Admitted,
    AttendanceFailed,
    AudioHeard,
    AudioMissed,
    Fact,
    SpeakerHinted,
    SpeakerLearnt,
    StreamEnded,
    StreamFound,
)
from vexa_bot.lifecycle import Ending
from vexa_bot.platforms.decoding import decode, windows
from vexa_bot.platforms.recorded_hints import read_hints
from vexa_bot.platforms.recording import Track, find_tracks
from vexa_bot.session_clock import SessionClock, to_s
from vexa_bot.tape import Hole, Piece
from vexa_events.errors import InvalidMessage
from vexa_events.identity import BotStatus, StreamKind

CHUNK_MS = 200
MAX_EVIDENCE = 2_000
"""Characters of evidence, where many tracks are not whole."""


@dataclass(slots=True, kw_only=True)
class _Player:
    track: Track
    windows: Iterator[tuple[Piece, ...]]
    window: tuple[Piece, ...] | None = None
    """What is heard next, empty before the track begins; None past the end."""
    is_found: bool = False
    missed_ms: int = 0
    fault: str | None = None
    """Why the track cannot be read, or not any further."""

    @property
    def key(self) -> str:
        return self.track.path.name

    def read(self) -> None:
        """Decode the next window; blocks."""
        try:
            self.window = next(self.windows, None)
        except AttendanceFailed as exc:
            self.window, self.fault = None, exc.evidence
        self.missed_ms += sum(piece.until_ms - piece.from_ms for piece in self.window or () if isinstance(piece, Hole))


class _Shown:
    """Who was shown as speaking in a mixed recording, played along with it."""

    def __init__(self, tracks: Sequence[Track]) -> None:
        """Read what there is; a file that cannot be read costs the names alone."""
        self.fault: str | None = None
        self._hints: deque[SpeakerHinted] = deque()
        for track in tracks:
            if track.kind is StreamKind.MIXED:
                try:
                    self._hints.extend(read_hints(track.path.parent))
                except InvalidMessage as exc:
                    self.fault = str(exc)

    def until(self, position_ms: int) -> Iterator[Fact]:
        """Yield what was over by then."""
        while self._hints and self._hints[0].until_ms <= position_ms:
            yield self._hints.popleft()

    def rest(self, end_ms: int) -> Iterator[Fact]:
        """Yield what was going on at the end."""
        for hint in self._hints:
            if hint.from_ms < end_ms:
                yield replace(hint, until_ms=min(hint.until_ms, end_ms))


class ReplayPlatform:
    """A folder of recordings, offered as if each were a meeting."""

    def __init__(
        self,
        folder: Path | None,
        name: str,
        *,
        monotonic: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`name` is the recording to attend; `monotonic` and `sleep` share one clock, in seconds."""
        self._folder = folder
        self._name = name
        self._monotonic = monotonic
        self._sleep = sleep

    async def attend(self) -> AsyncGenerator[Fact, None]:
        """Play the recording once; a chunk is yielded when its last sample would have been heard."""
        if self._folder is None:
            raise AttendanceFailed("replay_not_offered", "no folder of recordings is configured")
        tracks = find_tracks(self._folder, self._name)
        players = [_Player(track=one, windows=windows(decode(one.path), window_ms=CHUNK_MS)) for one in tracks]
        shown = _Shown(tracks)
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="decode") as decoder:
            await _read(players, decoder)
            playing = [player for player in players if player.window is not None]
            if not playing:
                raise AttendanceFailed("recording_undecodable", _evidence(players) or "no track holds samples")
            clock = SessionClock(zero_at=datetime.now(UTC), zero_monotonic_s=self._monotonic())
            yield Admitted(at=clock.zero_at)
            position_ms = 0
            while playing:
                for fact in _beginnings(playing):
                    yield fact
                await self._sleep(clock.wait_s(_played_ms(playing, position_ms), now_s=self._monotonic()))
                for fact in (*_sounds(playing), *shown.until(position_ms + CHUNK_MS)):
                    yield fact
                playing = [player for player in playing if player.window is not None]
                position_ms += CHUNK_MS
                await _read(playing, decoder)
        for fact in shown.rest(position_ms - CHUNK_MS):
            yield fact
        yield Ending(status=BotStatus.COMPLETED, reason="meeting_ended", evidence=_evidence(players, shown.fault))

    def rest(self) -> Iterator[Fact]:
        """Tell nothing: who spoke when is known only of what was played to its end."""
        return iter(())


async def _read(players: list[_Player], decoder: ThreadPoolExecutor) -> None:
    await asyncio.get_running_loop().run_in_executor(decoder, _read_windows, players)


def _read_windows(players: list[_Player]) -> None:
    for player in players:
        player.read()


def _played_ms(players: list[_Player], position_ms: int) -> int:
    """Tell when the last sample of what is heard next was played."""
    return max(_until_ms(player.window, position_ms) for player in players)


def _until_ms(window: tuple[Piece, ...] | None, position_ms: int) -> int:
    if window is None:
        return position_ms
    return window[-1].until_ms if window else position_ms + CHUNK_MS


def _beginnings(players: list[_Player]) -> Iterator[Fact]:
    for player in players:
        if player.is_found or not player.window:
            continue
        player.is_found = True
        yield StreamFound(key=player.key, kind=player.track.kind, start_ms=player.window[0].from_ms)
        if player.track.speaker is not None:
            yield SpeakerLearnt(
                key=player.key, speaker=player.track.speaker, evidence=f"name of the track's file: {player.key}"
            )
        elif player.track.kind is StreamKind.MIXED:
            yield SpeakerLearnt(key=player.key, speaker=NOBODY, evidence="everybody is heard in this track")


def _sounds(players: list[_Player]) -> Iterator[Fact]:
    for player in players:
        if player.window is None:
            yield StreamEnded(key=player.key)
        for piece in player.window or ():
            if isinstance(piece, Hole):
                yield AudioMissed(key=player.key, until_ms=piece.until_ms, reason=piece.reason)
            else:
                yield AudioHeard(key=player.key, from_ms=piece.from_ms, samples=piece.samples)


def _evidence(players: list[_Player], *more: str | None) -> str | None:
    """Name the tracks that were not heard whole, and what else is wrong."""
    told = [fault for fault in (*(player.fault for player in players), *more) if fault is not None]
    told += [f"{player.key}: {to_s(player.missed_ms)} s hold no audio" for player in players if player.missed_ms]
    return "; ".join(told)[:MAX_EVIDENCE] or None
