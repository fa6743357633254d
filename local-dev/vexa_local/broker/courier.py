"""
Brings one entry to the end that it has for one Trigger: delivered, dead-lettered or buried.

How often it was tried is kept in the journal, so that a restart goes on
counting. A reply that cannot be put back makes the event itself a dead letter;
the subscriber is not asked again.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

from vexa_events.envelope import Event
from vexa_events.errors import InvalidMessage, Overloaded
from vexa_local.broker.chronicle import Chronicle, End
from vexa_local.broker.delivery import Answer, Failure, Progress, Stage, Verdict
from vexa_local.broker.ingress import Ingress, as_reply
from vexa_local.broker.journal import Entry, Journal
from vexa_local.broker.resources import Trigger
from vexa_local.broker.sender import Sender

MAX_SENDING = 16
"""Requests of one Trigger under way at once."""
ACCEPTED = Answer(status=202)
Attempt = Callable[[], Awaitable[Answer]]


class Courier:
    """Delivers for one Trigger."""

    def __init__(
        self,
        trigger: Trigger,
        journal: Journal,
        *,
        ingress: Ingress,
        sender: Sender,
        chronicle: Chronicle,
        now: Callable[[], float],
    ) -> None:
        """`now` counts seconds since 1970: due times outlive the process."""
        self._trigger = trigger
        self._journal = journal
        self._ingress = ingress
        self._sender = sender
        self._chronicle = chronicle
        self._now = now
        self._sending = asyncio.Semaphore(MAX_SENDING)

    async def deliver(self, entry: Entry, progress: Progress) -> End:
        """Go on where the progress says; the entry is finished when this returns."""
        failure = progress.failure
        if failure is None:
            failure = await self._hand_to_subscriber(entry, progress)
            progress = Progress(failure=failure)
        if failure is None:
            await self._journal.finish(self._trigger.name, entry)
            end = End.DELIVERED
        else:
            end = await self._lay_to_rest(entry, failure, progress)
        self._chronicle.ended(self._journal.broker, entry.uid, self._trigger.name, end)
        return end

    async def _hand_to_subscriber(self, entry: Entry, progress: Progress) -> Failure | None:
        """Return what made the event a dead letter, or None where it is done."""
        url = self._trigger.subscriber_url
        answer = await self._try_hard(entry, Stage.SUBSCRIBER, progress, lambda: self._ask(entry.event))
        if answer.verdict is Verdict.DONE and answer.reply is not None:
            reply, url = as_reply(answer.reply, ttl=entry.ttl), self._trigger.reply_url
            answer = await self._try_hard(entry, Stage.REPLY, Progress(), lambda: self._put_back(reply))
        return None if answer.verdict is Verdict.DONE else Failure.of(url, answer)

    async def _lay_to_rest(self, entry: Entry, failure: Failure, progress: Progress) -> End:
        """Hand a dead letter to its sink, or keep it where there is none that takes it."""
        letter = _dead_letter(entry.event, failure)
        sink = self._trigger.policy.dead_letter_url
        if sink is not None:
            answer = await self._try_hard(entry, Stage.DEAD_LETTER, progress, lambda: self._hand_over(sink, letter))
            if answer.verdict is Verdict.DONE:
                await self._journal.finish(self._trigger.name, entry)
                return End.DEAD_LETTERED
        await self._journal.bury(self._trigger.name, entry, letter)
        return End.BURIED

    async def _try_hard(self, entry: Entry, stage: Stage, progress: Progress, attempt: Attempt) -> Answer:
        """Attempt until the answer is final or the retries are used up."""
        policy = self._trigger.policy
        while True:
            await asyncio.sleep(max(0.0, progress.due_at - self._now()))
            answer = await attempt()
            is_last = answer.verdict is not Verdict.RETRY or progress.retries >= policy.retry
            wait_s = None if is_last else policy.wait_s(progress.retries)
            self._note(entry, stage, progress.retries, answer, wait_s)
            if wait_s is None:
                return answer
            progress = replace(progress, retries=progress.retries + 1, due_at=self._now() + wait_s)
            if stage is not Stage.REPLY:  # a reply is gone with the process: the subscriber is asked for it again
                await self._journal.keep_progress(self._trigger.name, entry, progress)

    async def _ask(self, event: Event) -> Answer:
        policy = self._trigger.policy
        async with self._sending:
            return await self._sender.ask(
                self._trigger.subscriber_url, event, timeout_s=policy.timeout_s, form=policy.form
            )

    async def _hand_over(self, sink: str, letter: Event) -> Answer:
        policy = self._trigger.policy
        async with self._sending:
            return await self._sender.hand_over(sink, letter, timeout_s=policy.timeout_s, form=policy.form)

    async def _put_back(self, reply: Event) -> Answer:
        """Answer as the Broker's own door would."""
        try:
            await self._ingress.take(reply)
        except InvalidMessage as exc:
            return Answer(status=400, body=str(exc).encode())
        except Overloaded as exc:
            return Answer(status=429, body=str(exc).encode())
        return ACCEPTED

    def _note(self, entry: Entry, stage: Stage, retry: int, answer: Answer, wait_s: float | None) -> None:
        self._chronicle.tried(
            self._journal.broker,
            entry.uid,
            self._trigger.name,
            stage=stage,
            retry=retry,
            status=answer.status,
            detail=answer.body,
            wait_s=wait_s,
        )


def _dead_letter(event: Event, failure: Failure) -> Event:
    told = {"knativeerrordest": failure.destination, "knativeerrorcode": str(failure.code)}
    if failure.data:
        told["knativeerrordata"] = failure.data
    return replace(event, extensions={**event.extensions, **told})
