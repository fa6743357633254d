"""One epoch as a conversation, without a socket."""

import json

import pytest

from vexa_bot.credential import Credential
from vexa_bot.epoch_talk import ConnectionLost, EpochTalk, StreamIdentity, Tuning, WorkerBusy, WorkerRefused
from vexa_bot.session_clock import BYTES_PER_MS
from vexa_bot.tape import Tape
from vexa_events.callbacks import EpochOpened, Gap
from vexa_events.identity import MissingReason, SessionUid, StreamUid, Task
from vexa_events.stream import (
    END_OF_AUDIO,
    AudioFormat,
    AudioFrame,
    EndOfAudio,
    parse_client_frame,
    parse_hello,
    server_disconnect,
    server_error,
    server_ready,
    server_stored,
    server_wait,
)
from vexa_events.transcript import Word

UID = "session.1"
WORDS = (Word(text="hello", start_s=4.1, end_s=4.5),)


def a_tape(length_ms: int = 10_000) -> Tape:
    tape = Tape(0)
    tape.append(0, bytes(length_ms * BYTES_PER_MS))
    return tape


def a_talk(tape: Tape, *, resume_from_s: float = 0.0, language: str | None = None) -> EpochTalk:
    return EpochTalk(
        tape=tape,
        opened=EpochOpened(epoch=3, resume_from_s=resume_from_s, last_words=WORDS),
        identity=StreamIdentity(
            session_uid=SessionUid("session"), stream_uid=StreamUid(UID), credential=Credential("t0ken")
        ),
        tuning=Tuning(language=language, task=Task.TRANSCRIBE),
        speaker="Joe",
    )


def everything_said(talk: EpochTalk) -> list[AudioFrame | Gap | EndOfAudio]:
    frames = []
    while (frame := talk.next_frame()) is not None:
        frames.append(parse_client_frame(frame, AudioFormat.INT16))
    return frames


def test_the_hello_binds_the_connection_to_the_stream() -> None:
    """It says where storage ends, where the audio begins and which words came last."""
    hello = parse_hello(a_talk(a_tape(), resume_from_s=5.0, language="en").hello())

    assert (hello.uid, hello.language, hello.audio_format) == (UID, "en", AudioFormat.INT16)
    assert hello.binding is not None
    assert (hello.binding.from_s, hello.binding.audio_from_s) == (5.0, 3.0)
    assert (hello.binding.epoch, hello.binding.token, hello.binding.speaker) == (3, "t0ken", "Joe")
    assert hello.binding.last_words == WORDS


def test_everything_from_the_replay_point_is_said_then_the_end_once() -> None:
    """The end is said only when capture is over."""
    tape = a_tape()
    talk = a_talk(tape, resume_from_s=5.0)

    said = everything_said(talk)
    assert sum(len(frame.samples) for frame in said if isinstance(frame, AudioFrame)) == 7_000 * BYTES_PER_MS

    tape.finish()
    assert talk.next_frame() == END_OF_AUDIO
    assert talk.next_frame() is None


def test_holes_are_said_as_gaps_in_their_place() -> None:
    """The worker's clock jumps with ours."""
    tape = a_tape(1_000)
    tape.skip(1_400, MissingReason.PAGE_LOST)
    tape.append(1_400, bytes(600 * BYTES_PER_MS))

    said = everything_said(a_talk(tape))

    assert [type(frame) for frame in said] == [AudioFrame, Gap, AudioFrame]
    assert said[1] == Gap(from_s=1.0, until_s=1.4, reason=MissingReason.PAGE_LOST)


def test_a_resume_point_that_was_given_up_begins_with_a_gap() -> None:
    """No context is replayed across it: the audio starts where the database ends."""
    tape = a_tape()
    tape.drop_oldest()
    tape.append(10_000, bytes(1_000 * BYTES_PER_MS))
    talk = a_talk(tape, resume_from_s=5.0)

    hello = parse_hello(talk.hello())
    assert hello.binding is not None
    assert hello.binding.audio_from_s == 5.0
    assert everything_said(talk)[0] == Gap(from_s=5.0, until_s=10.0, reason=MissingReason.BOT_BUFFER_FULL)


def test_an_acknowledgement_moves_the_tape() -> None:
    """What is stored need not be kept."""
    tape = a_tape()

    a_talk(tape).hear(server_stored(UID, 8.25))

    assert tape.stored_ms == 8_250


@pytest.mark.parametrize(
    ("message", "before_ready", "after_ready"),
    [
        (server_wait(UID, 3.5), WorkerBusy, WorkerBusy),
        (server_error(UID, "no such language"), WorkerRefused, ConnectionLost),
        (server_disconnect(UID), ConnectionLost, ConnectionLost),
        ("[]", ConnectionLost, ConnectionLost),
        (b"\x00", ConnectionLost, ConnectionLost),
        (json.dumps({"uid": UID, "stored_until_s": -1}), ConnectionLost, ConnectionLost),
    ],
)
def test_what_ends_an_epoch(message: str | bytes, before_ready: type[Exception], after_ready: type[Exception]) -> None:
    """An error is a refusal only in answer to the hello."""
    talk = a_talk(a_tape())
    with pytest.raises(before_ready):
        talk.hear(message)

    talk.hear(server_ready(UID))
    assert talk.is_ready
    with pytest.raises(after_ready):
        talk.hear(message)
