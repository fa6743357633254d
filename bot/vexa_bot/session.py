"""One bot's attendance from joining to the last stored second."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol

from vexa_bot.capture import Admitted, AttendanceFailed, AwaitingAdmission, Fact, Platform, SpeakerHinted
from vexa_bot.epoch_talk import Tuning
from vexa_bot.hint_log import HintLog
from vexa_bot.lifecycle import Ending, Lifecycle
from vexa_bot.patience import Patience
from vexa_bot.reporter import Reporter
from vexa_bot.streams import Streams
from vexa_events.callbacks import Command, CommandKind, Heartbeat, HeartbeatAnswer, StatusReport
from vexa_events.identity import BotStatus
from vexa_events.launch import LEAVE_LIMIT_S

logger = logging.getLogger(__name__)
CANCEL_AGAIN_S = 0.5
TOLD_REFUSALS = 4
"""How many different refusals the last status tells; evidence is bounded."""


class Heart(Protocol):
    """Where signs of life go; keeps trying while that may help."""

    async def heartbeat(self, beat: Callable[[], Heartbeat]) -> HeartbeatAnswer:
        """Deliver what `beat` returns at the moment of sending."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionParts:
    """What a session works with."""

    platform: Callable[[], Platform]
    """Raises AttendanceFailed where there is none for this meeting."""
    streams: Callable[[Callable[[str], None]], Streams]
    """Builds the streams, given whom to tell of a worker's final refusal."""
    reporter: Reporter
    hints: HintLog
    heart: Heart
    patience: Patience


class Session:
    """Joins, captures, and stays until the database has everything or patience ends."""

    def __init__(self, parts: SessionParts, *, tuning: Tuning, heartbeat_s: float) -> None:
        """Build inside a running event loop."""
        self._parts = parts
        self._streams = parts.streams(self._refuse)
        self._tuning = tuning
        self._heartbeat_s = heartbeat_s
        self._lifecycle = Lifecycle()
        self._platform: Platform | None = None
        self._ending: asyncio.Future[Ending] = asyncio.get_running_loop().create_future()

    async def run(self) -> Ending:
        """
        Attend the meeting once.

        What the bots function's final refusal or too long an absence raises
        comes out in an exception group.
        """
        async with asyncio.TaskGroup() as group:
            reporting = group.create_task(self._parts.reporter.run())
            hinting = group.create_task(self._parts.hints.run())
            beating = group.create_task(self._beat())
            await self._enter(BotStatus.JOINING)
            await self._attend(group)
            ending = await self._ending
            *stopping, _ = self._lifecycle.path_to(ending)
            for status in stopping:
                await self._enter(status, ending.reason)
            await self._flush()
            await _end(beating)
            ending = self._with_loss(ending)
            await self._conclude(ending)
            await _end(reporting)
            await _end(hinting)
        return ending

    def end(self, ending: Ending) -> None:
        """Leave the meeting; of several reasons the first counts."""
        if not self._ending.done():
            self._ending.set_result(ending)

    def terminate(self) -> None:
        """Leave and be gone within seconds, stored or not."""
        self._parts.patience.hurry()
        self.end(Ending(status=BotStatus.COMPLETED, reason="terminated"))

    async def _attend(self, group: asyncio.TaskGroup) -> None:
        capture = group.create_task(self._capture(group))
        await asyncio.wait({self._ending})
        capture.cancel()
        _, staying = await asyncio.wait({capture}, timeout=LEAVE_LIMIT_S)
        if staying:
            logger.error("platform does not leave the meeting", extra={"limit_s": LEAVE_LIMIT_S})
        elif self._platform is not None:
            for fact in self._platform.rest():
                await self._note(fact, group)
        self._streams.finish()

    async def _capture(self, group: asyncio.TaskGroup) -> None:
        try:
            self._platform = self._parts.platform()
            async with aclosing(self._platform.attend()) as facts:
                async for fact in facts:
                    await self._note(fact, group)
        except AttendanceFailed as exc:
            self.end(Ending(status=BotStatus.FAILED, reason=exc.reason, evidence=exc.evidence))
        else:
            self.end(Ending(status=BotStatus.COMPLETED, reason="meeting_ended"))

    async def _note(self, fact: Fact, group: asyncio.TaskGroup) -> None:
        match fact:
            case AwaitingAdmission():
                await self._enter(BotStatus.AWAITING_ADMISSION)
            case Admitted(at=at):
                await self._enter(BotStatus.ACTIVE, at=at)
            case SpeakerHinted():
                self._parts.hints.note(fact)
            case Ending():
                self.end(fact)
            case _:
                self._streams.note(fact, group.create_task)

    async def _beat(self) -> None:
        while True:
            answer = await self._parts.heart.heartbeat(lambda: Heartbeat(streams=self._streams.reports()))
            for command in answer.commands:
                self._obey(command)
            await asyncio.sleep(self._heartbeat_s)

    def _obey(self, command: Command) -> None:
        match command.kind:
            case CommandKind.LEAVE:
                self.end(Ending(status=BotStatus.COMPLETED, reason=command.reason or "stopped_by_user"))
            case CommandKind.RECONFIGURE:
                self._tuning = Tuning(language=command.language, task=command.task or self._tuning.task)
                self._streams.retune(self._tuning)

    def _refuse(self, why: str) -> None:
        self.end(Ending(status=BotStatus.FAILED, reason="transcription_refused", evidence=why))

    async def _flush(self) -> None:
        try:
            async with self._parts.patience.bounded():
                await self._streams.stored()
                await self._parts.hints.delivered()
        except TimeoutError:
            logger.warning("leaving before everything is stored")
        self._streams.abandon()

    def _with_loss(self, ending: Ending) -> Ending:
        """Fail a session whose audio the database does not have, so that nobody takes the transcript for whole."""
        unstored_s = self._streams.unstored_s()
        if not unstored_s:
            return self._with_remarks(ending)
        said = [text for text in self._streams.refusals()[:TOLD_REFUSALS] if text != ending.evidence]
        lost = "; ".join((f"{unstored_s:.3f} s of audio were not stored", *said))
        if ending.status is BotStatus.FAILED:
            return replace(ending, evidence="; ".join(part for part in (ending.evidence, lost) if part))
        return Ending(status=BotStatus.FAILED, reason="audio_not_stored", evidence=f"{ending.reason}; {lost}")

    def _with_remarks(self, ending: Ending) -> Ending:
        """Tell of a change that no worker took, so that the meeting went on as before, and of streams not carried."""
        told = [f"change refused: {text}" for text in self._streams.declined()[:TOLD_REFUSALS]]
        if self._streams.ignored:
            told.append(f"{self._streams.ignored} streams were not carried, there were too many at once")
        return replace(ending, evidence="; ".join([*filter(None, [ending.evidence]), *told]) or None)

    async def _conclude(self, ending: Ending) -> None:
        left = {"unstored_s": self._streams.unstored_s(), "dropped_s": self._streams.dropped_s()}
        logger.info("session over", extra={"reason": ending.reason, **left})
        try:
            async with self._parts.patience.bounded():
                await self._enter(ending.status, ending.reason, evidence=ending.evidence)
                await self._parts.reporter.delivered()
        except TimeoutError:
            logger.error("the end of the session could not be reported")  # noqa: TRY400 - the traceback says no more

    async def _enter(
        self,
        status: BotStatus,
        reason: str | None = None,
        *,
        at: datetime | None = None,
        evidence: str | None = None,
    ) -> None:
        self._lifecycle.enter(status)
        logger.info("status entered", extra={"status": status.value, "reason": reason, "evidence": evidence})
        await self._parts.reporter.status(
            StatusReport(
                status=status,
                at=at or datetime.now(UTC),
                reason=reason,
                evidence=evidence,
                streams=self._streams.reports() if status.is_terminal else (),
            )
        )


async def _end(task: "asyncio.Task[None]") -> None:
    """Cancel a task until it ends: a library that is connecting at that very moment may swallow a cancellation."""
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=CANCEL_AGAIN_S)
