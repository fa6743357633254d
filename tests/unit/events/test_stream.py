"""The wire dialect: what clients may say, and what is refused."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vexa_events.callbacks import Gap
from vexa_events.errors import InvalidMessage
from vexa_events.identity import MissingReason, Task, segment_id
from vexa_events.stream import (
    MAX_FRAME_BYTES,
    MAX_HELLO_BYTES,
    AudioFormat,
    AudioFrame,
    Binding,
    EndOfAudio,
    Hello,
    WireSegment,
    encode_gap,
    encode_hello,
    parse_client_frame,
    parse_hello,
    parse_server_message,
    server_disconnect,
    server_error,
    server_language,
    server_ready,
    server_segments,
    server_stored,
    server_wait,
    server_warning,
    wire_time,
)
from vexa_events.transcript import Word

STOCK_0_10 = {
    "uid": "b1f7",
    "language": None,
    "task": "transcribe",
    "model": "small",
    "use_vad": True,
    "send_last_n_segments": 10,
    "no_speech_thresh": 0.45,
    "clip_audio": False,
    "same_output_threshold": 10,
    "enable_translation": False,
    "target_language": "fr",
    "hotwords": None,
    "enable_diarization": False,
    "max_speakers": 10,
    "known_speakers": [{"name": "Zoë", "audio_base64": "AAAA"}],
    "word_timestamps": False,
    "initial_prompt": None,
    "vad_parameters": {"threshold": 0.5},
}
STOCK_0_6 = {
    "uid": "b1f7",
    "language": "en",
    "task": "translate",
    "model": "tiny.en",
    "use_vad": False,
    "max_clients": 4,
    "max_connection_time": 600,
}
BOUND = {"uid": "a", "session_uid": "s", "stream_uid": "s.1", "epoch": 1, "from_s": 2.0, "audio_from_s": 0}


def a_binding() -> Binding:
    return Binding(
        session_uid="s",
        stream_uid="s.1",
        epoch=3,
        from_s=61.28,
        audio_from_s=59.28,
        last_words=(Word(text=" so", start_s=60.9, end_s=61.28, probability=0.5),),
        token="a.b.c",
        speaker="Zoë",
    )


def a_hello(**changes: Any) -> Hello:
    return Hello.model_validate({"uid": "b1f7", "audio_format": "int16", **changes})


@pytest.mark.parametrize("fields", [STOCK_0_10, STOCK_0_6])
def test_stock_clients_are_understood(fields: dict[str, Any]) -> None:
    """Clients in the field connect unchanged, without a binding."""
    hello = parse_hello(json.dumps(fields))

    assert (hello.uid, hello.language, hello.task) == ("b1f7", fields["language"], fields["task"])
    assert (hello.use_vad, hello.audio_format, hello.binding) == (fields["use_vad"], AudioFormat.FLOAT32, None)


def test_a_hello_may_be_short() -> None:
    """Only the uid has no default."""
    assert parse_hello('{"uid": "a"}') == Hello(uid="a")
    assert parse_hello('{"uid": "a", "task": null}').task is Task.TRANSCRIBE


@pytest.mark.parametrize(
    "extra",
    [
        {"binding": {"stream_uid": "s.1", "session_uid": "s", "epoch": 1, "from_s": 0, "audio_from_s": 0}},
        {"binding": "leather"},
        {"epoch": "Heian", "token": 5, "from_s": None, "speaker": []},
        {"hotwords": "x" * 10_000},
    ],
)
def test_fields_of_others_do_not_bind(extra: dict[str, Any]) -> None:
    """Without a stream_uid a client is a plain one, whatever it calls its other fields."""
    assert parse_hello(json.dumps({"uid": "a", **extra})) == Hello(uid="a")


@pytest.mark.parametrize(
    "hello",
    [
        a_hello(),
        a_hello(language="yue", task="translate", send_last_n_segments=1, word_timestamps=True, use_vad=False),
        a_hello(binding=a_binding()),
        a_hello(binding=Binding(session_uid="s", stream_uid="s.1", epoch=1, from_s=0, audio_from_s=0)),
    ],
)
def test_a_hello_survives_the_wire(hello: Hello) -> None:
    """With and without a binding, a worker reads what the bot wrote."""
    assert parse_hello(encode_hello(hello)) == hello


def test_binding_fields_lie_flat() -> None:
    """A server that knows no bindings sees unknown fields, which it ignores."""
    flat = json.loads(encode_hello(a_hello(binding=a_binding())))

    assert flat["stream_uid"] == "s.1"
    assert "binding" not in flat


@pytest.mark.parametrize(
    ("frame", "fault"),
    [
        (b"\x00" * 16, "binary"),
        ("", "not JSON"),
        ("hello", "not JSON"),
        ("[]", "JSON object"),
        ("null", "JSON object"),
        ('"END_OF_AUDIO"', "JSON object"),
        ("[" * 900_000, "not JSON"),
        ('{"a":' * 100_000, "not JSON"),
        ('{"uid": "a", "n": ' + "1" * 5_000 + "}", "not JSON"),
        ('{"uid": "a", "n": NaN}', "not JSON"),
        ("x" * (MAX_HELLO_BYTES + 1), "over the limit of 1048576"),
        ("{}", "uid"),
        ('{"uid": ""}', "uid"),
        ('{"uid": 5}', "uid"),
        ('{"uid": "\\ud800"}', "uid"),
        (json.dumps({"uid": "a" * 257}), "uid"),
        ('{"uid": "a", "language": "english"}', "language"),
        ('{"uid": "a", "task": "dance"}', "task"),
        ('{"uid": "a", "model": {"a": 1}}', "model"),
        (json.dumps({"uid": "a", "model": "m" * 1_025}), "model"),
        ('{"uid": "a", "send_last_n_segments": 0}', "send_last_n_segments"),
        ('{"uid": "a", "send_last_n_segments": 1001}', "send_last_n_segments"),
        ('{"uid": "a", "audio_format": "uint8"}', "audio_format"),
        ('{"uid": "a", "stream_uid": "s.1"}', "binding.session_uid"),
        (json.dumps({**BOUND, "stream_uid": None}), "binding.stream_uid"),
        (json.dumps({**BOUND, "stream_uid": "a/b"}), "binding.stream_uid"),
        (json.dumps({**BOUND, "epoch": 0}), "binding.epoch"),
        (json.dumps({**BOUND, "from_s": -1}), "binding.from_s"),
        (json.dumps({**BOUND, "from_s": 10**400}), "binding.from_s"),
        (json.dumps(BOUND).replace("2.0", "1e999"), "binding.from_s"),
        (json.dumps({**BOUND, "token": "x" * 4_097}), "binding.token"),
        (json.dumps({**BOUND, "speaker": "\x00"}), "binding.speaker"),
        (json.dumps({**BOUND, "last_words": [{"text": "a", "start_s": 0, "end_s": 0}] * 201}), "binding.last_words"),
    ],
)
def test_a_bad_hello_is_refused(frame: str | bytes, fault: str) -> None:
    """The client is told which field was wrong, in a sentence of bounded length."""
    with pytest.raises(InvalidMessage, match=fault) as caught:
        parse_hello(frame)

    assert len(str(caught.value)) < 1_000


@pytest.mark.parametrize(
    ("frame", "read"),
    [
        (b"\x00" * 16, AudioFrame(b"\x00" * 16)),
        (b"", AudioFrame(b"")),
        (b"END_OF_AUDIO", EndOfAudio()),
        ("END_OF_AUDIO", EndOfAudio()),
        (
            '{"gap": {"from_s": 1, "until_s": 2.5, "reason": "capture_silent", "new": 1}, "new": 2}',
            Gap(from_s=1, until_s=2.5, reason=MissingReason.CAPTURE_SILENT),
        ),
    ],
)
def test_client_frames_are_read(frame: str | bytes, read: object) -> None:
    """Audio, its end in either spelling, and gaps."""
    assert parse_client_frame(frame, AudioFormat.FLOAT32) == read


@pytest.mark.parametrize(
    ("frame", "fault"),
    [
        (b"\x00" * 15, "whole float32 samples"),
        (b"\x00" * (MAX_FRAME_BYTES + 4), "over the limit"),
        ("end_of_audio", "not JSON"),
        ("{}", "neither END_OF_AUDIO nor a gap"),
        ('{"gap": null}', "neither"),
        ('{"gap": {"from_s": 2, "until_s": 2, "reason": "overload"}}', "not after its start"),
        ('{"gap": {"from_s": NaN, "until_s": 2, "reason": "overload"}}', "not JSON"),
        ('{"gap": {"from_s": 1, "until_s": 2, "reason": "rain"}}', "gap: reason"),
        ('{"gap":' * 100_000, "not JSON"),
    ],
)
def test_a_bad_frame_is_refused(frame: str | bytes, fault: str) -> None:
    """The worker can close this one stream with a reason."""
    with pytest.raises(InvalidMessage, match=fault):
        parse_client_frame(frame, AudioFormat.FLOAT32)


def test_whole_samples_depend_on_the_format() -> None:
    """Two bytes are a sample of int16 and half of one of float32."""
    assert parse_client_frame(b"\x00\x01", AudioFormat.INT16) == AudioFrame(b"\x00\x01")


def test_a_gap_survives_the_wire() -> None:
    """The worker learns why the bot has no audio."""
    gap = Gap(from_s=1.001, until_s=9.5, reason=MissingReason.PAGE_LOST)

    assert parse_client_frame(encode_gap(gap), AudioFormat.INT16) == gap


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(10**400) | st.just("\ud800\x00"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
field_names = st.sampled_from(
    [*Hello.model_fields, *Binding.model_fields, "gap", "from_s", "until_s", "reason", "status", "message", "segments"]
)
near_messages = st.dictionaries(field_names, json_values, max_size=9).map(
    lambda fields: json.dumps({"uid": "a", **fields})
)
frames = st.text() | st.binary() | near_messages | json_values.map(json.dumps)

PARSERS: list[Callable[[str | bytes], object]] = [
    parse_hello,
    parse_server_message,
    lambda frame: parse_client_frame(frame, AudioFormat.FLOAT32),
    lambda frame: parse_client_frame(frame, AudioFormat.INT16),
]


@pytest.mark.parametrize("parse", PARSERS)
@given(frame=frames)
def test_no_frame_breaks_a_parser(parse: Callable[[str | bytes], object], frame: str | bytes) -> None:
    """Whatever arrives is understood or refused as InvalidMessage."""
    fault = ""
    try:
        assert parse(frame) is not None
    except InvalidMessage as exc:
        fault = str(exc)

    assert len(fault) < 4_000


def test_server_messages_are_those_of_the_dialect() -> None:
    """Spelled field by field as clients in the field expect them."""
    segment = WireSegment(start=wire_time(1.5), end=wire_time(2), text=" Hi.", completed=True)

    spoken = [
        server_ready("a"),
        server_wait("a", 2.5),
        server_error("a", "no such language"),
        server_warning("a", "slow"),
        server_disconnect("a"),
        server_language("a", "haw", 0.75),
        server_segments("a", (segment,), committed_until_s=2.0),
        server_stored("a", 61.28),
    ]

    assert [json.loads(frame) for frame in spoken] == [
        {"uid": "a", "message": "SERVER_READY", "backend": "faster_whisper"},
        {"uid": "a", "status": "WAIT", "message": 2.5},
        {"uid": "a", "status": "ERROR", "message": "no such language"},
        {"uid": "a", "status": "WARNING", "message": "slow"},
        {"uid": "a", "message": "DISCONNECT"},
        {"uid": "a", "language": "haw", "language_prob": 0.75},
        {
            "uid": "a",
            "segments": [{"start": "1.500", "end": "2.000", "text": " Hi.", "completed": True}],
            "committed_until_s": 2.0,
        },
        {"uid": "a", "stored_until_s": 61.28},
    ]


def test_a_bot_reads_what_a_worker_says() -> None:
    """Each message answers exactly its own question."""
    ready = parse_server_message(server_ready("a"))
    wait = parse_server_message(server_wait("a", 2))
    error = parse_server_message(server_error("a", "no"))
    stored = parse_server_message(server_stored("a", 61.28))

    assert [m.is_ready for m in (ready, wait, error, stored)] == [True, False, False, False]
    assert [m.is_wait for m in (ready, wait, error, stored)] == [False, True, False, False]
    assert [m.is_error for m in (ready, wait, error, stored)] == [False, False, True, False]
    assert (wait.message, stored.stored_until_s) == (2, 61.28)


def test_a_segment_of_the_longest_stream_can_be_sent() -> None:
    """Its id is longer than any uid may be."""
    segment = WireSegment(start="0.000", end="1.000", text="", completed=True, segment_id=segment_id("s" * 128, 1, 0))

    message = parse_server_message(server_segments("a", (segment,), committed_until_s=1))

    assert message.segments == (segment,)


@pytest.mark.parametrize(
    "frame",
    [
        b"{}",
        "",
        "[]",
        "{}",
        '{"uid": "a", "message": 1e999}',
        '{"uid": "a", "stored_until_s": -1}',
        '{"uid": "a", "segments": [{"start": 1.5, "end": 2, "text": "a", "completed": true}]}',
    ],
)
def test_a_bad_server_message_is_refused(frame: str | bytes) -> None:
    """A bot does not act on what it cannot read."""
    with pytest.raises(InvalidMessage):
        parse_server_message(frame)
