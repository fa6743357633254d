"""Delivers the events of one Trigger: side by side, or in order within a partition."""

import asyncio
from base64 import b64encode
from collections import Counter, deque
from dataclasses import dataclass, field, replace

from vexa_events.envelope import Event
from vexa_local.broker.delivery import Answer, Verdict
from vexa_local.broker.filters import attributes_of
from vexa_local.broker.journal import Entry, Journal
from vexa_local.broker.resources import Trigger
from vexa_local.broker.sender import Sender

MAX_SENDING = 16
"""Requests of one Trigger under way at once."""
MAX_TAKEN = 256
"""Entries of one Trigger taken and not yet finished, those that wait for a retry included."""
_READ_COUNT = 64
_BLOCK_MS = 1_000


@dataclass(slots=True)
class Tally:
    """What became of the events of one Trigger since the process started."""

    counts: Counter[str] = field(default_factory=Counter)

    def note(self, what: str) -> None:
        """Count one more."""
        self.counts[what] += 1


class Dispatcher:
    """Carries one Trigger's events from the journal to its subscriber; lives for one run."""

    def __init__(self, trigger: Trigger, journal: Journal, sender: Sender, tally: Tally) -> None:
        """`tally` outlives this run."""
        self._trigger = trigger
        self._journal = journal
        self._sender = sender
        self._tally = tally
        self._lanes: dict[str, deque[Entry]] = {}
        self._sending = asyncio.Semaphore(MAX_SENDING)
        self._taken = asyncio.Semaphore(MAX_TAKEN)

    async def run(self) -> None:
        """Deliver until cancelled: first what an earlier run left unfinished, then what arrives."""
        async with asyncio.TaskGroup() as tasks:
            after = "0"
            while entries := await self._journal.unfinished(self._trigger.name, after=after, count=_READ_COUNT):
                await self._take(entries, tasks)
                after = entries[-1].id
            while True:
                fresh = await self._journal.fresh(self._trigger.name, count=_READ_COUNT, block_ms=_BLOCK_MS)
                await self._take(fresh, tasks)

    async def _take(self, entries: list[Entry], tasks: asyncio.TaskGroup) -> None:
        for entry in entries:
            if not self._trigger.wants.matches(attributes_of(entry.event)):
                await self._journal.finish(self._trigger.name, entry)
                continue
            await self._taken.acquire()
            lane = self._lane_of(entry)
            if lane in self._lanes:
                self._lanes[lane].append(entry)
            else:
                self._lanes[lane] = deque([entry])
                tasks.create_task(self._empty(lane))

    def _lane_of(self, entry: Entry) -> str:
        """Entries in one lane are handled one after another."""
        if self._trigger.is_ordered:
            return entry.event.extensions.get("partitionkey", entry.id)
        return entry.id

    async def _empty(self, lane: str) -> None:
        entries = self._lanes[lane]
        while entries:
            await self._deliver(entries[0])
            entries.popleft()
            self._taken.release()
        del self._lanes[lane]

    async def _deliver(self, entry: Entry) -> None:
        url = self._trigger.subscriber_url
        answer = await self._try_hard(url, entry.event)
        if answer.verdict is not Verdict.DONE:
            await self._lay_to_rest(entry, answer)
            return
        if answer.reply is not None:
            await self._put_back(answer.reply, ttl=entry.ttl - 1)
        await self._journal.finish(self._trigger.name, entry)
        self._tally.note("delivered")

    async def _try_hard(self, url: str, event: Event) -> Answer:
        policy = self._trigger.policy
        answer = await self._send(url, event)
        for retry in range(policy.retry):
            if answer.verdict is not Verdict.RETRY:
                break
            self._tally.note("retried")
            await asyncio.sleep(policy.wait_s(retry))
            answer = await self._send(url, event)
        return answer

    async def _send(self, url: str, event: Event) -> Answer:
        async with self._sending:
            return await self._sender.send(url, event, timeout_s=self._trigger.policy.timeout_s)

    async def _put_back(self, reply: Event, *, ttl: int) -> None:
        if ttl < 1:
            self._tally.note("looped")
            return
        await self._journal.accept(reply, ttl=ttl)

    async def _lay_to_rest(self, entry: Entry, answer: Answer) -> None:
        """Hand an undeliverable event to the dead letter sink, or keep it where there is none."""
        letter = _dead_letter(entry.event, self._trigger.subscriber_url, answer)
        sink = self._trigger.policy.dead_letter_url
        if sink is not None and (await self._try_hard(sink, letter)).verdict is Verdict.DONE:
            await self._journal.finish(self._trigger.name, entry)
            self._tally.note("dead_lettered")
            return
        await self._journal.bury(self._trigger.name, entry, letter)
        self._tally.note("buried")


def _dead_letter(event: Event, url: str, answer: Answer) -> Event:
    failure = {"knativeerrordest": url, "knativeerrorcode": str(answer.status)}
    if answer.body:
        failure["knativeerrordata"] = b64encode(answer.body).decode()
    return replace(event, extensions={**event.extensions, **failure})
