"""
The WhisperLive wire dialect with our additions, as a pure codec.

Client to server: one JSON hello, then binary audio (float32 or int16 LE, mono,
16 kHz), JSON gap frames, and `END_OF_AUDIO`. Server to client: JSON objects
that all name the client's `uid`.

Clients of WhisperLive know the fields documented there; a bot adds `binding`
fields to its hello and reads `committed_until_s` and `stored_until_s`.
"""

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, NoReturn

from pydantic import Field, ValidationError

from vexa_events.callbacks import Gap
from vexa_events.errors import InvalidMessage
from vexa_events.faults import faults
from vexa_events.fields import Epoch, Language, Message, Name, Seconds, SegmentUid, Text, TraceText, Uid
from vexa_events.identity import Task
from vexa_events.transcript import Word

SAMPLE_RATE_HZ = 16_000
REPLAY_S = 2.0
"""A bot replays this much stored audio before the point where it resumes."""
MAX_HELLO_BYTES = 1024 * 1024
MAX_FRAME_BYTES = 8 * 1024 * 1024
END_OF_AUDIO = b"END_OF_AUDIO"
BACKEND = "faster_whisper"
"""Official clients keep completed segments only when the server names exactly this backend."""


class AudioFormat(StrEnum):
    """How samples are spelled in binary frames."""

    FLOAT32 = "float32"
    INT16 = "int16"

    @property
    def sample_bytes(self) -> int:
        return 4 if self is AudioFormat.FLOAT32 else 2


class Binding(Message):
    """What ties a connection to a stored stream; absent for plain WhisperLive clients."""

    session_uid: Uid
    stream_uid: Uid
    epoch: Epoch
    from_s: Seconds
    """Everything before this is stored: the first batch starts here."""
    audio_from_s: Seconds
    """Position of the first sample that follows; at most REPLAY_S before from_s."""
    last_words: Annotated[tuple[Word, ...], Field(max_length=200)] = ()
    token: Annotated[str, Field(max_length=4_096)] = ""
    speaker: Name | None = None
    """For the live feed only; the stored attribution comes through the bots function."""
    traceparent: TraceText | None = None
    """The request for the bot, with whose trace the batches are linked."""
    tracestate: TraceText | None = None


class Hello(Message):
    """The first message of a client."""

    uid: Annotated[str, Field(min_length=1, max_length=256)]
    language: Language | None = None
    task: Task = Task.TRANSCRIBE
    model: Annotated[str, Field(max_length=1_024)] | None = None
    """Ignored: a worker serves the one model it was started with."""
    use_vad: bool = True
    send_last_n_segments: Annotated[int, Field(ge=1, le=1_000)] = 10
    word_timestamps: bool = False
    audio_format: AudioFormat = AudioFormat.FLOAT32
    binding: Binding | None = None


@dataclass(frozen=True, slots=True)
class AudioFrame:
    """Samples as received: float32 or int16 little-endian, mono, 16 kHz."""

    samples: bytes


@dataclass(frozen=True, slots=True)
class EndOfAudio:
    """Nothing follows."""


ClientFrame = AudioFrame | Gap | EndOfAudio


class WireSegment(Message):
    """A segment as WhisperLive spells it: times are strings with three decimals."""

    start: str
    end: str
    text: Text
    completed: bool
    segment_id: SegmentUid | None = None
    words: tuple[dict[str, Any], ...] | None = None


class ServerMessage(Message):
    """Any message of a server; exactly the fields that apply are set."""

    uid: str
    message: str | Annotated[float, Field(allow_inf_nan=False)] | None = None
    """A word for READY and DISCONNECT, a reason for ERROR and WARNING, minutes for WAIT."""
    status: str | None = None
    backend: str | None = None
    language: str | None = None
    segments: tuple[WireSegment, ...] | None = None
    committed_until_s: Seconds | None = None
    stored_until_s: Seconds | None = None

    @property
    def is_ready(self) -> bool:
        return self.message == "SERVER_READY"

    @property
    def is_wait(self) -> bool:
        return self.status == "WAIT"

    @property
    def is_error(self) -> bool:
        return self.status == "ERROR"


def encode_hello(hello: Hello) -> str:
    """Spell a hello; binding fields lie flat beside the others."""
    flat = hello.model_dump(mode="json", exclude={"binding"})
    if hello.binding is not None:
        flat |= hello.binding.model_dump(mode="json", exclude_none=True)
    return json.dumps(flat)


def parse_hello(frame: str | bytes) -> Hello:
    """Parse the first frame; raise InvalidMessage naming the fault."""
    if isinstance(frame, bytes):
        raise InvalidMessage("the first message must be a JSON text frame, got a binary one")
    if len(frame) > MAX_HELLO_BYTES:
        raise InvalidMessage(f"first message of {len(frame)} characters is over the limit of {MAX_HELLO_BYTES}")
    fields = _json_object(frame, "the first message")
    fields.pop("binding", None)
    if "stream_uid" in fields:
        fields["binding"] = {name: fields[name] for name in Binding.model_fields if name in fields}
    if "task" in fields and fields["task"] is None:
        del fields["task"]
    try:
        return Hello.model_validate(fields)
    except ValidationError as exc:
        raise InvalidMessage(f"first message: {faults(exc)}") from exc


def parse_client_frame(frame: str | bytes, audio_format: AudioFormat) -> ClientFrame:
    """Parse any later frame; raise InvalidMessage naming the fault."""
    if isinstance(frame, bytes):
        return _audio_or_end(frame, audio_format)
    if frame == END_OF_AUDIO.decode():
        return EndOfAudio()
    fields = _json_object(frame, "a text frame")
    try:
        return Gap.model_validate(fields.get("gap"))
    except ValidationError as exc:
        raise InvalidMessage(f"text frame is neither END_OF_AUDIO nor a gap: {faults(exc)}") from exc


def encode_gap(gap: Gap) -> str:
    """Spell a pause in capture."""
    return json.dumps({"gap": gap.model_dump(mode="json")})


def server_ready(uid: str) -> str:
    """Tell a client that its audio is welcome."""
    return json.dumps({"uid": uid, "message": "SERVER_READY", "backend": BACKEND})


def server_wait(uid: str, minutes: float) -> str:
    """Tell a client that every slot is taken; the connection closes after this."""
    return json.dumps({"uid": uid, "status": "WAIT", "message": minutes})


def server_error(uid: str, text: str) -> str:
    """Tell a client why it is refused; the connection closes after this."""
    return json.dumps({"uid": uid, "status": "ERROR", "message": text})


def server_warning(uid: str, text: str) -> str:
    """Tell a client of a fault that the stream survives."""
    return json.dumps({"uid": uid, "status": "WARNING", "message": text})


def server_disconnect(uid: str) -> str:
    """Tell a client that the server ends the connection in good order."""
    return json.dumps({"uid": uid, "message": "DISCONNECT"})


def server_language(uid: str, language: str, probability: float) -> str:
    """Tell a client which language was detected."""
    return json.dumps({"uid": uid, "language": language, "language_prob": probability})


def server_segments(uid: str, segments: tuple[WireSegment, ...], *, committed_until_s: float) -> str:
    """Spell completed segments and at most one open one, which comes last; never empty."""
    return json.dumps(
        {
            "uid": uid,
            "segments": [segment.model_dump(mode="json", exclude_none=True) for segment in segments],
            "committed_until_s": committed_until_s,
        }
    )


def server_stored(uid: str, stored_until_s: float) -> str:
    """Tell a bot how far the database has its stream."""
    return json.dumps({"uid": uid, "stored_until_s": stored_until_s})


def parse_server_message(frame: str | bytes) -> ServerMessage:
    """Parse what a server says; raise InvalidMessage naming the fault."""
    if isinstance(frame, bytes):
        raise InvalidMessage("a server speaks JSON text frames, got a binary one")
    try:
        return ServerMessage.model_validate(_json_object(frame, "server message"))
    except ValidationError as exc:
        raise InvalidMessage(f"server message: {faults(exc)}") from exc


def wire_time(position_s: float) -> str:
    """Spell a time as WhisperLive does."""
    return f"{position_s:.3f}"


def _audio_or_end(frame: bytes, audio_format: AudioFormat) -> ClientFrame:
    if frame == END_OF_AUDIO:
        return EndOfAudio()
    if len(frame) > MAX_FRAME_BYTES:
        raise InvalidMessage(f"audio frame of {len(frame)} bytes is over the limit of {MAX_FRAME_BYTES}")
    if len(frame) % audio_format.sample_bytes:
        raise InvalidMessage(f"audio frame of {len(frame)} bytes is not whole {audio_format.value} samples")
    return AudioFrame(frame)


def _json_object(text: str, what: str) -> dict[str, Any]:
    try:
        parsed = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as exc:
        raise InvalidMessage(f"{what} is not JSON: {exc}") from exc
    if not isinstance(parsed, dict):
        raise InvalidMessage(f"{what} must be a JSON object, got {type(parsed).__name__}")
    return parsed


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")
