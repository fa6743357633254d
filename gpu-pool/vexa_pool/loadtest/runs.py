"""Runs: many paced streams at once, and the search for how many are too many."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from vexa_pool.loadtest.figures import Figures, summarize
from vexa_pool.loadtest.player import Player
from vexa_pool.loadtest.process_watch import ProcessWatch
from vexa_pool.loadtest.recordings import Recording, programme
from vexa_pool.loadtest.scoring import score_stream

MOST_STREAMS = 512
TOLD_EVERY_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What is played, and to whom."""

    url: str
    name: str
    """What figures call the server."""
    recordings: tuple[Recording, ...]
    seconds: float
    """Length of each stream, to the end of a sentence."""
    ramp_s: float
    """Streams begin evenly spread over this time."""
    pid: int | None


async def run_load(load: Load, streams: int, *, on_progress: Callable[[float], None] = lambda _: None) -> Figures:
    """Play a number of streams to the end and score them; the share that is played is told meanwhile."""
    parts = [programme(load.recordings, number=number, length_s=load.seconds) for number in range(streams)]
    players = [
        Player(load.url, f"load-{number}", part.samples, clock=time.monotonic) for number, part in enumerate(parts)
    ]
    done = asyncio.Event()
    watch = asyncio.create_task(ProcessWatch(load.pid).during(done))
    telling = asyncio.create_task(_tell(players, on_progress, total_s=sum(part.length_s for part in parts)))
    try:
        async with asyncio.TaskGroup() as tasks:
            for number, player in enumerate(players):
                tasks.create_task(_begin(player, after_s=load.ramp_s * number / streams))
    finally:
        done.set()
        telling.cancel()
        await asyncio.wait([telling])
        cost = await watch
    scores = await asyncio.to_thread(
        lambda: [score_stream(part.words, player.played) for part, player in zip(parts, players, strict=True)]
    )
    return summarize(load.name, scores, seconds=sum(part.length_s for part in parts) / streams, cost=cost)


async def find_capacity(run: Callable[[int], Awaitable[Figures]], *, p95_s: float, first: int = 1) -> int:
    """Return the most streams whose partial p95 stays within a bound, found by doubling and halving from `first`."""
    good, bad = 0, MOST_STREAMS + 1
    streams = first
    while good < streams < bad:
        figures = await run(streams)
        if figures.partial_p95_s <= p95_s and not figures.faults:
            good = streams
        else:
            bad = streams
        if bad - good <= max(1, good // 16):
            break
        streams = min(2 * good, MOST_STREAMS) if bad > MOST_STREAMS else (good + bad) // 2
    return good


async def _tell(players: Sequence[Player], on_progress: Callable[[float], None], *, total_s: float) -> None:
    while True:
        on_progress(sum(player.spoken_s for player in players) / total_s)
        await asyncio.sleep(TOLD_EVERY_S)


async def _begin(player: Player, *, after_s: float) -> None:
    await asyncio.sleep(after_s)
    await player.play()
