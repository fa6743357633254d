"""
One epoch of one stream as a conversation with a worker: frames out, messages in.

Plain values on both sides; the socket and the waiting live in `stream_client`.
"""

from dataclasses import dataclass

from vexa_bot.credential import Credential
from vexa_bot.session_clock import to_ms, to_s
from vexa_bot.tape import Hole, Tape
from vexa_events.callbacks import EpochOpened, Gap
from vexa_events.errors import InvalidMessage, Overloaded, Unavailable
from vexa_events.fields import at_clock_step
from vexa_events.identity import SessionUid, StreamUid, Task
from vexa_events.stream import (
    END_OF_AUDIO,
    AudioFormat,
    Binding,
    Hello,
    ServerMessage,
    encode_gap,
    encode_hello,
    parse_server_message,
)
from vexa_events.trace_context import TraceContext

FRAME_MS = 1_000
"""The most audio in one binary frame."""


class ConnectionLost(Unavailable):
    """The worker is gone; a new epoch carries on."""


class WorkerBusy(Overloaded):
    """Every slot is taken."""


class WorkerRefused(InvalidMessage):
    """The worker will not serve what the hello asks for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """What the model is asked to do; a change opens an epoch."""

    language: str | None
    task: Task


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamIdentity:
    """Which stream it is, and the right to feed it."""

    session_uid: SessionUid
    stream_uid: StreamUid
    credential: Credential
    trace: TraceContext | None = None
    """The request for the bot."""


class EpochTalk:
    """Says what the bot has to say, in order, and moves the tape on by what it hears."""

    def __init__(
        self, *, tape: Tape, opened: EpochOpened, identity: StreamIdentity, tuning: Tuning, speaker: str | None
    ) -> None:
        self.tuning = tuning
        self.is_ready = False
        self._tape = tape
        self._opened = opened
        self._identity = identity
        self._speaker = speaker
        self._start_ms = tape.context_start_ms(max(tape.start_ms, to_ms(opened.resume_from_s)))
        self._next_ms = self._start_ms
        self._said_end = False

    def hello(self) -> str:
        """Return the first frame."""
        binding = Binding(
            session_uid=self._identity.session_uid,
            stream_uid=self._identity.stream_uid,
            epoch=self._opened.epoch,
            from_s=at_clock_step(self._opened.resume_from_s),
            audio_from_s=to_s(self._start_ms),
            last_words=self._opened.last_words,
            token=self._identity.credential.token,
            speaker=self._speaker,
            **self._identity.trace.texts() if self._identity.trace else {},
        )
        hello = Hello(
            uid=self._identity.stream_uid,
            language=self.tuning.language,
            task=self.tuning.task,
            audio_format=AudioFormat.INT16,
            binding=binding,
        )
        return encode_hello(hello)

    def next_frame(self) -> str | bytes | None:
        """Return what to send next; None while there is nothing to say."""
        piece = self._tape.read(self._next_ms, limit_ms=FRAME_MS)
        if piece is None:
            return self._end_of_audio()
        self._next_ms = piece.until_ms
        if isinstance(piece, Hole):
            return encode_gap(Gap(from_s=to_s(piece.from_ms), until_s=to_s(piece.until_ms), reason=piece.reason))
        return piece.samples

    def hear(self, frame: str | bytes) -> None:
        """
        Take in a message of the worker.

        Raises WorkerBusy, WorkerRefused (only before it was ready) or ConnectionLost.
        """
        try:
            message = parse_server_message(frame)
        except InvalidMessage as exc:
            raise ConnectionLost(f"not a worker: {exc}") from exc
        if message.is_wait:
            raise WorkerBusy(f"worker asks to wait, {message.message} minutes")
        if message.is_error:
            raise self._error(message)
        if message.message == "DISCONNECT":
            raise ConnectionLost("worker ends the connection")
        self.is_ready = self.is_ready or message.is_ready
        if message.stored_until_s is not None:
            self._tape.release(to_ms(message.stored_until_s))

    def _end_of_audio(self) -> bytes | None:
        if self._said_end or not self._tape.is_finished:
            return None
        self._said_end = True
        return END_OF_AUDIO

    def _error(self, message: ServerMessage) -> ConnectionLost | WorkerRefused:
        text = str(message.message)
        return ConnectionLost(f"worker reports: {text}") if self.is_ready else WorkerRefused(text)
