"""One attendance from its order to leave to its end."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from datetime import UTC, datetime
from functools import partial

from vexa_bot.capture import Admitted, Fact, SpeakerHinted
from vexa_bot.epoch_talk import Tuning
from vexa_bot.hint_log import HintLog
from vexa_bot.patience import Patience
from vexa_bot.replay_buffer import ReplayBuffer
from vexa_bot.reporter import Reporter
from vexa_bot.session import Session, SessionParts
from vexa_bot.stream_client import StreamClient
from vexa_bot.streams import Streams
from vexa_bot.tape import Tape
from vexa_events.callbacks import (
    Attribution,
    Command,
    CommandKind,
    Heartbeat,
    HeartbeatAnswer,
    SpeakerHints,
    StatusReport,
)
from vexa_events.identity import SessionUid, StreamKind, StreamUid, Task

TUNING = Tuning(language=None, task=Task.TRANSCRIBE)


class _Meeting:
    """A meeting in which somebody is speaking when the bot is told to leave."""

    async def attend(self) -> AsyncGenerator[Fact, None]:
        yield Admitted(at=datetime.now(UTC))
        await asyncio.Event().wait()

    def rest(self) -> Iterator[Fact]:
        yield SpeakerHinted(from_ms=0, until_ms=4_000, speaker="Joe", evidence="the page shows who speaks")


class _Bots:
    """Orders the bot to leave as soon as it is in the meeting."""

    def __init__(self) -> None:
        self.path: list[str] = []
        self.hints: list[SpeakerHints] = []

    async def report_status(self, report: StatusReport) -> None:
        self.path.append(report.status.value)

    async def attribute(self, attribution: Attribution) -> None:
        raise AssertionError(attribution)

    async def hint(self, told: SpeakerHints) -> None:
        self.hints.append(told)

    async def heartbeat(self, beat: Callable[[], Heartbeat]) -> HeartbeatAnswer:
        beat()
        return HeartbeatAnswer(commands=(Command(kind=CommandKind.LEAVE),) if "active" in self.path else ())


class _DeafBots(_Bots):
    """Whose first answer to a cancellation is to go on."""

    has_swallowed = False

    def __init__(self) -> None:
        super().__init__()
        self.is_waiting = asyncio.Event()

    async def hint(self, told: SpeakerHints) -> None:
        await self.is_waiting.wait()  # so that the session's end finds a heartbeat under way

    async def heartbeat(self, beat: Callable[[], Heartbeat]) -> HeartbeatAnswer:
        if "stopping" not in self.path:
            return await super().heartbeat(beat)
        self.is_waiting.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if self.has_swallowed:
                raise
            self.has_swallowed = True
        return HeartbeatAnswer()


def _no_client(stream_uid: StreamUid, kind: StreamKind, tape: Tape, tuning: Tuning) -> StreamClient:
    raise AssertionError(stream_uid)


def _parts(bots: _Bots) -> SessionParts:
    reporter = Reporter(bots)
    buffer = ReplayBuffer(bytes_per_stream=1_000, max_bytes=1_000)
    return SessionParts(
        platform=_Meeting,
        streams=partial(
            Streams, SessionUid("session"), tuning=TUNING, buffer=buffer, reporter=reporter, new_client=_no_client
        ),
        reporter=reporter,
        hints=HintLog(bots.hint),
        heart=bots,
        patience=Patience(limit_s=10.0, hurried_s=1.0),
    )


async def test_who_was_speaking_when_a_stop_came_is_told() -> None:
    """A user's stop cuts the attendance short, not what it has seen."""
    bots = _Bots()

    async with asyncio.timeout(10):
        ending = await Session(_parts(bots), tuning=TUNING, heartbeat_s=0.001).run()

    assert ending.reason == "stopped_by_user"
    assert bots.path == ["joining", "active", "stopping", "completed"]
    assert [hint.speaker for told in bots.hints for hint in told.hints] == ["Joe"]


async def test_a_cancellation_that_a_library_swallows_does_not_keep_the_bot() -> None:
    """The meeting is over, and so is the process, whatever a heartbeat was doing at that moment."""
    bots = _DeafBots()

    async with asyncio.timeout(10):
        await Session(_parts(bots), tuning=TUNING, heartbeat_s=0.001).run()

    assert (bots.path[-1], bots.has_swallowed) == ("completed", True)
