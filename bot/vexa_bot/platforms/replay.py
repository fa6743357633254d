"""Attends a recorded meeting: each track is played in real time as one participant's stream."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from vexa_bot.capture import Admitted, AttendanceFailed, AudioHeard, Fact, SpeakerLearnt, StreamEnded, StreamFound
from vexa_bot.platforms.recording import Track, decode, find_tracks
from vexa_bot.session_clock import BYTES_PER_MS, SessionClock

CHUNK_MS = 200


@dataclass(slots=True, kw_only=True)
class _Player:
    track: Track
    chunks: Iterator[bytes]
    chunk: bytes | None = None
    """What is heard next; None past the end."""

    @property
    def key(self) -> str:
        return self.track.path.name

    @property
    def chunk_ms(self) -> int:
        return len(self.chunk or b"") // BYTES_PER_MS


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
        players = [_Player(track=track, chunks=decode(track.path, chunk_ms=CHUNK_MS)) for track in tracks]
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="decode") as decoder:
            await _decode_next(players, decoder)
            clock = SessionClock(zero_at=datetime.now(UTC), zero_monotonic_s=self._monotonic())
            yield Admitted(at=clock.zero_at)
            for fact in _beginnings(players):
                yield fact
            position_ms = 0
            while players:
                played_ms = position_ms + max(player.chunk_ms for player in players)
                await self._sleep(clock.wait_s(played_ms, now_s=self._monotonic()))
                for player in players:
                    yield _sound(player, position_ms)
                players = [player for player in players if player.chunk is not None]
                position_ms += CHUNK_MS
                await _decode_next(players, decoder)


async def _decode_next(players: list[_Player], decoder: ThreadPoolExecutor) -> None:
    await asyncio.get_running_loop().run_in_executor(decoder, _read_chunks, players)


def _read_chunks(players: list[_Player]) -> None:
    for player in players:
        player.chunk = next(player.chunks, None)


def _beginnings(players: list[_Player]) -> Iterator[Fact]:
    for player in players:
        yield StreamFound(key=player.key, kind=player.track.kind, start_ms=0)
        if player.track.speaker is not None:
            yield SpeakerLearnt(
                key=player.key, speaker=player.track.speaker, evidence=f"name of the track's file: {player.key}"
            )


def _sound(player: _Player, position_ms: int) -> Fact:
    if player.chunk is None:
        return StreamEnded(key=player.key)
    return AudioHeard(key=player.key, from_ms=position_ms, samples=player.chunk)
