"""
What a bot tells the bots function, and what it is told back.

Every request carries `Authorization: Bearer <session token>`:

    POST /internal/sessions/{session_uid}/epochs        OpenEpoch      -> EpochOpened
    POST /internal/sessions/{session_uid}/heartbeats    Heartbeat      -> HeartbeatAnswer
    POST /internal/sessions/{session_uid}/statuses      StatusReport   -> 204
    POST /internal/sessions/{session_uid}/attributions  Attribution    -> 204
    POST /internal/sessions/{session_uid}/hints         SpeakerHints   -> 204
"""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import AwareDatetime, Field, model_validator

from vexa_events.fields import Count, Epoch, Evidence, Language, Message, Name, Seconds, Uid
from vexa_events.identity import BotStatus, MissingReason, StreamKind, Task
from vexa_events.lifecycle import Hints
from vexa_events.session_token import MAX_TOKEN_CHARS
from vexa_events.transcript import Word


class StreamOpening(Message):
    """What makes a stream known."""

    kind: StreamKind
    start_s: Seconds
    """Where the stream's audio begins on the session clock."""


class OpenEpoch(StreamOpening):
    """Ask for the next epoch of a stream; the first request creates the stream."""

    stream_uid: Uid


class EpochOpened(Message):
    """Where to go on: everything before `resume_from_s` is stored."""

    epoch: Epoch
    resume_from_s: Seconds
    last_words: Annotated[tuple[Word, ...], Field(max_length=200)] = ()
    """The last stored words, oldest first."""


class Gap(Message):
    """An interval for which the bot has no audio; never empty."""

    from_s: Seconds
    until_s: Seconds
    reason: MissingReason

    @model_validator(mode="after")
    def _ends_after_its_start(self) -> Self:
        if self.until_s <= self.from_s:
            raise ValueError(f"gap ends at {self.until_s} s, not after its start {self.from_s} s")
        return self


class StreamReport(Message):
    """How far a stream's audio reaches."""

    stream_uid: Uid
    captured_until_s: Seconds
    opening: StreamOpening | None = None
    """Told until the stream's first epoch is open: its audio counts before that."""


class Heartbeat(Message):
    """Sign of life; the answer carries the commands."""

    streams: Annotated[tuple[StreamReport, ...], Field(max_length=256)] = ()


class CommandKind(StrEnum):
    """What a bot can be told."""

    LEAVE = "leave"
    RECONFIGURE = "reconfigure"


class Command(Message):
    """An order that holds until the next answer no longer carries it; obeying twice is harmless."""

    kind: CommandKind
    reason: Name | None = None
    language: Language | None = None
    """To reconfigure: the language from now on; None lets the model detect it."""
    task: Task | None = None
    """To reconfigure: the task from now on; None leaves it."""


class HeartbeatAnswer(Message):
    """The orders in force."""

    commands: Annotated[tuple[Command, ...], Field(max_length=16)] = ()
    token: Annotated[str, Field(min_length=1, max_length=MAX_TOKEN_CHARS)] | None = None
    """The session token to use from now on; none while the one that was shown is good for long enough."""


class StatusReport(Message):
    """The bot entered a state; reporting the same one again changes nothing."""

    status: BotStatus
    at: AwareDatetime
    reason: Name | None = None
    evidence: Evidence | None = None
    streams: Annotated[tuple[StreamReport, ...], Field(max_length=256)] = ()
    """Final figures; sent with completed and failed."""


class Attribution(Message):
    """The bot learnt who speaks in a stream."""

    stream_uid: Uid
    speaker: Name
    revision: Count
    evidence: Evidence


class SpeakerHints(Message):
    """The bot saw who was shown as speaking; telling it again changes nothing."""

    evidence: Name
    """What showed it."""
    hints: Hints
