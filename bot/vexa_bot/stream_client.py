"""Carries one stream to the pool, epoch after epoch, until the database has all of it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from vexa_bot.epoch_talk import ConnectionLost, EpochTalk, StreamIdentity, Tuning, WorkerBusy, WorkerRefused
from vexa_bot.retry import Backoff
from vexa_bot.session_clock import to_ms, to_s
from vexa_bot.tape import Tape
from vexa_events.callbacks import EpochOpened, OpenEpoch, StreamOpening, StreamReport
from vexa_events.errors import VexaError
from vexa_events.identity import StreamKind

logger = logging.getLogger(__name__)
READY_LIMIT_S = 15.0
SAME_REFUSALS = 4
"""So many equal refusals in a row are final for a stream that never worked."""
REFUSAL_CHARACTERS = 500
"""As much of a refusal as is kept: a status has room for those of several streams."""


class Link(Protocol):
    """What a stream needs of a connection."""

    async def send(self, frame: str | bytes) -> None:
        """Send one frame, or raise ConnectionLost."""

    async def receive(self) -> str | bytes:
        """Wait for a message, or raise ConnectionLost."""

    async def watch(self) -> None:
        """Raise ConnectionLost once the other side shows no life."""


class Retuned(VexaError):
    """The model is to do something else from here on."""


class StreamClient:
    """One stream's way to the database; everything it has to carry lies on its tape."""

    def __init__(
        self,
        *,
        identity: StreamIdentity,
        kind: StreamKind,
        tape: Tape,
        tuning: Tuning,
        open_epoch: Callable[[OpenEpoch], Awaitable[EpochOpened]],
        open_link: Callable[[], AbstractAsyncContextManager[Link]],
        backoff: Backoff,
    ) -> None:
        """`open_epoch` keeps trying; `open_link` raises ConnectionLost."""
        self.identity = identity
        self.tape = tape
        self.speaker: str | None = None
        self.is_known = asyncio.Event()
        """Set once the bots function knows the stream."""
        self.worked: Tuning | None = None
        """What a worker last agreed to; a refused change gives way to it."""
        self.refusal = ""
        """What the worker said that refused the stream last; empty since one served it."""
        self.declined = ""
        """What the worker said that refused a change, after which the former tuning went on."""
        self._kind = kind
        self._tuning = tuning
        self._ordered = tuning
        self._asked = tuning
        self._open_epoch = open_epoch
        self._open_link = open_link
        self._backoff = backoff
        self._changed = asyncio.Event()
        self._refusals = 0
        self._epoch = 0
        self._unused: EpochOpened | None = None
        """The newest epoch, as long as no worker can have begun it."""

    def report(self) -> StreamReport:
        """Tell how far the stream's audio reaches, and what stream it is while the bots function may not know it."""
        start_s, end_s = to_s(self.tape.start_ms), to_s(self.tape.end_ms)
        opening = None if self.is_known.is_set() else StreamOpening(kind=self._kind, start_s=start_s)
        return StreamReport(stream_uid=self.identity.stream_uid, captured_until_s=end_s, opening=opening)

    def wake(self) -> None:
        """Tell that the tape has grown or is finished."""
        self._changed.set()

    def retune(self, tuning: Tuning) -> None:
        """Open a new epoch with this tuning, unless it is in force; an order repeated is not tried again."""
        if tuning == self._ordered:
            return
        self._ordered = self._tuning = tuning
        self._changed.set()

    async def run(self) -> None:
        """Return once everything captured is stored; raise WorkerRefused where no worker ever served it nor will."""
        while not self.tape.is_settled:
            delay_s = await self._carry_epoch()
            if self.worked is None and self._refusals >= SAME_REFUSALS:
                raise WorkerRefused(self.refusal)
            await asyncio.sleep(delay_s)
        logger.info("stream stored", extra={"stream_uid": self.identity.stream_uid, "until_s": to_s(self.tape.end_ms)})

    async def _carry_epoch(self) -> float:
        """Carry the stream as far as one connection goes; return how long to wait before the next."""
        delay_s = 0.0
        try:
            if not self.is_known.is_set():
                await self._open()
            async with self._open_link() as link:
                await self._talk(link, self._unused or await self._open())
        except* Retuned:
            logger.info("stream retuned", extra=self._facts())
        except* WorkerRefused as refused:
            delay_s = self._after_refusal(str(refused.exceptions[0]))
        except* (ConnectionLost, WorkerBusy) as lost:
            delay_s = self._backoff.next_s()
            logger.warning("epoch ended early", extra=self._facts() | {"cause": str(lost.exceptions[0])})
        return delay_s

    async def _open(self) -> EpochOpened:
        """
        Fence what went before.

        The first epoch makes the stream known, worker or not; each later one
        waits for a worker. One that no worker took, for want of a slot or
        because none was reached, is offered to the next.
        """
        opened = self._unused = await self._open_epoch(
            OpenEpoch(stream_uid=self.identity.stream_uid, kind=self._kind, start_s=to_s(self.tape.start_ms))
        )
        self.is_known.set()
        self.tape.release(to_ms(opened.resume_from_s))
        return opened

    async def _talk(self, link: Link, opened: EpochOpened) -> None:
        if self.tape.is_settled:
            return
        talk = EpochTalk(
            tape=self.tape, opened=opened, identity=self.identity, tuning=self._tuning, speaker=self.speaker
        )
        self._asked = talk.tuning
        self._epoch = opened.epoch
        await self._greet(link, talk)
        logger.info("epoch begun", extra=self._facts())
        async with asyncio.TaskGroup() as group:
            others = (group.create_task(self._listen(link, talk)), group.create_task(link.watch()))
            await self._say(link, talk)
            for task in others:
                task.cancel()

    async def _greet(self, link: Link, talk: EpochTalk) -> None:
        opened, self._unused = self._unused, None
        try:
            async with asyncio.timeout(READY_LIMIT_S):
                await link.send(talk.hello())
                while not talk.is_ready:
                    talk.hear(await link.receive())
        except WorkerBusy:
            self._unused = opened
            raise
        except TimeoutError as exc:
            raise ConnectionLost(f"worker was not ready within {READY_LIMIT_S} s") from exc
        self._refusals = 0
        self.refusal = ""
        self.worked = talk.tuning

    async def _say(self, link: Link, talk: EpochTalk) -> None:
        while not self.tape.is_settled:
            if talk.tuning != self._tuning:
                raise Retuned
            self._changed.clear()
            frame = talk.next_frame()
            if frame is None:
                await self._changed.wait()
            else:
                await link.send(frame)

    async def _listen(self, link: Link, talk: EpochTalk) -> None:
        while True:
            stored_ms = self.tape.stored_ms
            talk.hear(await link.receive())
            if self.tape.stored_ms > stored_ms:
                self._backoff.reset()
                self._changed.set()

    def _after_refusal(self, text: str) -> float:
        """Return how long to wait: not at all where another tuning is to take the refused one's place."""
        text = text[:REFUSAL_CHARACTERS]
        self._refusals = self._refusals + 1 if text == self.refusal else 1
        self.refusal = text
        facts = self._facts() | {"cause": text}
        if self._tuning != self._asked:
            return 0.0
        if self.worked is not None and self._tuning != self.worked:
            self._tuning = self.worked
            self.declined = text
            logger.warning("new tuning refused, the former goes on", extra=facts)
            return 0.0
        logger.warning("worker refused the stream", extra=facts)
        return self._backoff.next_s()

    def _facts(self) -> dict[str, str | int | float]:
        return {
            "stream_uid": self.identity.stream_uid,
            "epoch": self._epoch,
            "stored_until_s": to_s(self.tape.stored_ms),
        }
