"""Hints on their way to the bots function."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from vexa_bot.capture import SpeakerHinted
from vexa_bot.hint_log import MAX_WAITING, HintLog
from vexa_events.callbacks import SpeakerHints
from vexa_events.lifecycle import MAX_HINTS


class _Bots:
    """Takes hints once it is up."""

    def __init__(self) -> None:
        self.is_up = asyncio.Event()
        self.is_asked = asyncio.Event()
        self.told: list[SpeakerHints] = []

    async def hint(self, told: SpeakerHints) -> None:
        self.is_asked.set()
        await self.is_up.wait()
        self.told.append(told)

    @property
    def seqs(self) -> list[int]:
        return [hint.seq for told in self.told for hint in told.hints]


def _fact(number: int, *, evidence: str = "tile") -> SpeakerHinted:
    return SpeakerHinted(from_ms=number * 10, until_ms=number * 10 + 5, speaker="Joe", evidence=evidence)


@asynccontextmanager
async def _running(log: HintLog) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group, asyncio.timeout(10):
        task = group.create_task(log.run())
        yield
        task.cancel()


async def test_every_hint_arrives_once_in_order_and_no_event_is_too_large() -> None:
    """However many there are when the bots function comes back."""
    bots = _Bots()
    log = HintLog(bots.hint, pause_s=0.0)
    async with _running(log):
        log.note(_fact(0))
        await bots.is_asked.wait()
        for number in range(1, 3 * MAX_HINTS):
            log.note(_fact(number, evidence="tile" if number < MAX_HINTS else "frame"))
        bots.is_up.set()
        await log.delivered()

    assert bots.seqs == list(range(3 * MAX_HINTS))
    assert all(len(told.hints) <= MAX_HINTS for told in bots.told)
    assert {hint.seq < MAX_HINTS for told in bots.told if told.evidence == "tile" for hint in told.hints} == {True}


async def test_past_the_bound_the_oldest_go_and_are_counted() -> None:
    """But not what is under way, which has its number already."""
    bots = _Bots()
    log = HintLog(bots.hint, pause_s=0.0)
    async with _running(log):
        log.note(_fact(0))
        await bots.is_asked.wait()
        for number in range(1, MAX_WAITING + 3):
            log.note(_fact(number))
        bots.is_up.set()
        await log.delivered()

    assert log.dropped == 3
    assert bots.seqs == [0, *range(4, MAX_WAITING + 3)]


async def test_without_hints_there_is_nothing_to_wait_for() -> None:
    """A meeting whose speakers have streams of their own ends as quickly as before."""
    log = HintLog(_Bots().hint, pause_s=0.0)

    async with _running(log):
        await log.delivered()
