"""Every event contract: its type, its model, who makes it, and how its envelope is derived."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from vexa_events.envelope import Event
from vexa_events.errors import InvalidMessage
from vexa_events.faults import faults
from vexa_events.identity import BotStatus
from vexa_events.lifecycle import BotStatusChanged, MeetingFinalized, SpeakerHinted, StreamAttributed
from vexa_events.transcript import TranscriptCommitted

M = TypeVar("M", bound=BaseModel)

TRANSCRIPT_COMMITTED = "vexa.transcript.committed.v1"
STREAM_ATTRIBUTED = "vexa.stream.attributed.v1"
SPEAKER_HINTED = "vexa.speaker.hinted.v1"
MEETING_FINALIZED = "vexa.meeting.finalized.v1"


def bot_type(status: BotStatus) -> str:
    """Name the event type of a session entering a state."""
    return f"vexa.bot.{status.value}.v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """One event type."""

    event_type: str
    model: type[BaseModel]
    source: str
    """The CloudEvents source, a path naming the producer."""
    meaning: str


_BOT_MEANINGS = {
    BotStatus.REQUESTED: "a user asked for a bot",
    BotStatus.JOINING: "the bot's process runs and opens the meeting",
    BotStatus.AWAITING_ADMISSION: "the bot waits in the lobby",
    BotStatus.ACTIVE: "the bot is in the meeting and hears it",
    BotStatus.STOPPING: "the bot was told to leave, or is leaving",
    BotStatus.COMPLETED: "the session ended as it should",
    BotStatus.FAILED: "the session ended otherwise; the reason says why",
}

CONTRACTS: Mapping[str, Contract] = {
    contract.event_type: contract
    for contract in (
        *(
            Contract(event_type=bot_type(status), model=BotStatusChanged, source="/vexa/bots", meaning=meaning)
            for status, meaning in _BOT_MEANINGS.items()
        ),
        Contract(
            event_type=TRANSCRIPT_COMMITTED,
            model=TranscriptCommitted,
            source="/vexa/pool",
            meaning="an interval of one stream has its final text",
        ),
        Contract(
            event_type=STREAM_ATTRIBUTED,
            model=StreamAttributed,
            source="/vexa/bots",
            meaning="a stream's speaker became known, or better known",
        ),
        Contract(
            event_type=SPEAKER_HINTED,
            model=SpeakerHinted,
            source="/vexa/bots",
            meaning="the meeting showed who was speaking, which tells the speakers of a mixed stream apart",
        ),
        Contract(
            event_type=MEETING_FINALIZED,
            model=MeetingFinalized,
            source="/vexa/collector",
            meaning="every stream of an ended session is stored, or will not be",
        ),
    )
}


def committed_event(batch: TranscriptCommitted) -> Event:
    """Wrap a batch; the same batch always gives the same id."""
    return _wrap(
        TRANSCRIPT_COMMITTED,
        batch,
        id=f"{batch.stream_uid}:{batch.epoch}:{batch.batch_seq}",
        subject=f"streams/{batch.stream_uid}",
        partition=batch.stream_uid,
        sequence=batch.batch_seq,
        tenant=batch.user_id,
    )


def bot_event(change: BotStatusChanged) -> Event:
    """Wrap a change of state; the same change always gives the same id."""
    return _wrap(
        bot_type(change.status),
        change,
        id=f"{change.session_uid}:status:{change.sequence}",
        subject=f"meetings/{change.meeting_id}",
        partition=str(change.meeting_id),
        sequence=change.sequence,
        tenant=change.user_id,
    )


def attributed_event(attribution: StreamAttributed) -> Event:
    """Wrap an attribution; the same revision always gives the same id."""
    return _wrap(
        STREAM_ATTRIBUTED,
        attribution,
        id=f"{attribution.stream_uid}:speaker:{attribution.revision}",
        subject=f"streams/{attribution.stream_uid}",
        partition=attribution.stream_uid,
        sequence=attribution.revision,
        tenant=attribution.user_id,
    )


def hinted_event(hinted: SpeakerHinted) -> Event:
    """Wrap hints; the same ones always give the same id."""
    first, last = hinted.hints[0].seq, hinted.hints[-1].seq
    return _wrap(
        SPEAKER_HINTED,
        hinted,
        id=f"{hinted.session_uid}:hints:{first}-{last}",
        subject=f"meetings/{hinted.meeting_id}",
        partition=str(hinted.meeting_id),
        sequence=first,
        tenant=hinted.user_id,
    )


def finalized_event(meeting: MeetingFinalized) -> Event:
    """Wrap the end of a session's storage; a session has one."""
    return _wrap(
        MEETING_FINALIZED,
        meeting,
        id=f"{meeting.session_uid}:finalized",
        subject=f"meetings/{meeting.meeting_id}",
        partition=str(meeting.meeting_id),
        sequence=0,
        tenant=meeting.user_id,
    )


def read_data(event: Event, model: type[M]) -> M:
    """Validate the data of an event; raise InvalidMessage naming the faulty fields."""
    try:
        return model.model_validate(event.data)
    except ValidationError as exc:
        raise InvalidMessage(f"{event.type} {event.id}: {faults(exc)}") from exc


def _wrap(type_: str, data: BaseModel, *, id: str, subject: str, partition: str, sequence: int, tenant: int) -> Event:  # noqa: A002 - the CloudEvents attribute
    return Event(
        id=id,
        source=CONTRACTS[type_].source,
        type=type_,
        subject=subject,
        data=data.model_dump(mode="json", exclude_none=True),
        extensions={"partitionkey": partition, "sequence": f"{sequence:010d}", "tenant": str(tenant)},
    )
