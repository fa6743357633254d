"""The replay buffer: one hard bound over all streams."""

from hypothesis import given
from hypothesis import strategies as st

from vexa_bot.replay_buffer import ReplayBuffer
from vexa_bot.session_clock import BYTES_PER_MS
from vexa_bot.tape import Audio, Hole
from vexa_events.identity import MissingReason


def audio(length_ms: int) -> bytes:
    return bytes(length_ms * BYTES_PER_MS)


def a_buffer(streams: int = 1, *, per_stream_ms: int = 1_000, max_ms: int = 10_000) -> ReplayBuffer:
    buffer = ReplayBuffer(bytes_per_stream=per_stream_ms * BYTES_PER_MS, max_bytes=max_ms * BYTES_PER_MS)
    for number in range(streams):
        buffer.open(f"s.{number}", start_ms=0)
    return buffer


def test_past_the_bound_the_oldest_audio_becomes_a_hole_that_says_why() -> None:
    """What is given up is on record, with its place."""
    buffer = a_buffer()
    for number in range(12):
        buffer.append("s.0", number * 100, audio(100))

    hole = buffer.tapes["s.0"].read(0, limit_ms=5_000)

    assert hole == Hole(from_ms=0, until_ms=200, reason=MissingReason.BOT_BUFFER_FULL)
    assert buffer.dropped_ms == 200


def test_a_quiet_stream_lends_its_room_to_the_others() -> None:
    """The bound is one sum, and it grows with the number of streams."""
    buffer = a_buffer(streams=2)
    for number in range(20):
        buffer.append("s.0", number * 100, audio(100))

    assert buffer.dropped_ms == 0
    assert buffer.size_bytes == buffer.bound_bytes


def test_the_hard_bound_holds_whatever_the_number_of_streams() -> None:
    """A meeting with many speakers cannot take the machine's memory."""
    buffer = a_buffer(streams=50, max_ms=2_000)

    assert buffer.bound_bytes == 2_000 * BYTES_PER_MS


def test_the_oldest_audio_of_any_stream_goes_first() -> None:
    """Streams that began later keep theirs."""
    buffer = a_buffer(streams=2, per_stream_ms=500)
    buffer.append("s.1", 0, audio(500))
    buffer.append("s.0", 5_000, audio(500))
    buffer.append("s.0", 5_500, audio(100))

    assert buffer.tapes["s.1"].oldest_audio_ms is None
    assert isinstance(buffer.tapes["s.0"].read(5_000, limit_ms=600), Audio)


@given(
    chunks=st.lists(st.tuples(st.integers(0, 2), st.integers(1, 700), st.integers(0, 100)), max_size=60),
    bound_ms=st.integers(100, 2_000),
)
def test_the_bound_is_never_passed_and_every_loss_is_counted(chunks: list[tuple[int, int, int]], bound_ms: int) -> None:
    """With nothing stored, what was heard is either held or counted as dropped."""
    buffer = a_buffer(streams=3, per_stream_ms=bound_ms, max_ms=2 * bound_ms)
    heard_ms = 0
    for stream, length_ms, pause_ms in chunks:
        tape = buffer.tapes[f"s.{stream}"]
        buffer.append(f"s.{stream}", tape.end_ms + pause_ms, audio(length_ms))
        heard_ms += length_ms

        assert buffer.size_bytes <= buffer.bound_bytes
        assert buffer.size_bytes // BYTES_PER_MS + buffer.dropped_ms == heard_ms
