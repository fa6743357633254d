"""The tape: nothing lost, nothing unexplained, whatever happens in whatever order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vexa_bot.session_clock import BYTES_PER_MS
from vexa_bot.tape import REPLAY_MS, Audio, Hole, Piece, Tape
from vexa_events.errors import InvalidMessage
from vexa_events.identity import MissingReason

FULL = MissingReason.BOT_BUFFER_FULL
LOST = MissingReason.PAGE_LOST


def audio(length_ms: int, fill: int = 1) -> bytes:
    return bytes([fill]) * (length_ms * BYTES_PER_MS)


def read_all(tape: Tape, from_ms: int, limit_ms: int = 1_000) -> list[Piece]:
    pieces: list[Piece] = []
    while (piece := tape.read(from_ms, limit_ms=limit_ms)) is not None:
        pieces.append(piece)
        from_ms = piece.until_ms
    return pieces


def test_what_was_heard_is_read_back_in_order_and_joined() -> None:
    """Chunks come back as one run of samples, cut only by the limit."""
    tape = Tape(0)
    for number in range(5):
        tape.append(number * 200, audio(200, number))

    pieces = read_all(tape, 0, limit_ms=400)

    assert [piece.until_ms for piece in pieces] == [400, 800, 1000]
    assert b"".join(piece.samples for piece in pieces if isinstance(piece, Audio)) == b"".join(
        audio(200, number) for number in range(5)
    )


def test_reading_may_begin_inside_a_chunk() -> None:
    """A resume point need not be where a chunk began."""
    tape = Tape(0)
    tape.append(0, audio(200, 1) + audio(200, 2))

    assert tape.read(150, limit_ms=100) == Audio(from_ms=150, samples=audio(50, 1) + audio(50, 2))


def test_time_that_the_platform_skips_becomes_a_hole_of_unknown_reason() -> None:
    """Audio further on than expected leaves an interval that somebody must explain."""
    tape = Tape(0)
    tape.append(0, audio(100))
    tape.append(300, audio(100))

    assert read_all(tape, 0)[1] == Hole(from_ms=100, until_ms=300, reason=MissingReason.UNKNOWN)


def test_gaps_with_one_reason_are_one_hole() -> None:
    """A platform that reports its trouble each second does not grow the tape."""
    tape = Tape(0)
    for second in range(1, 100):
        tape.skip(second * 1_000, LOST)

    assert read_all(tape, 0) == [Hole(from_ms=0, until_ms=99_000, reason=LOST)]


@pytest.mark.parametrize(
    ("from_ms", "samples"), [(99, audio(1)), (100, b""), (100, b"\x00"), (100, audio(1) + b"\x00\x00")]
)
def test_audio_that_overlaps_or_is_not_whole_milliseconds_is_refused(from_ms: int, samples: bytes) -> None:
    """A faulty platform is found out where it speaks."""
    tape = Tape(0)
    tape.append(0, audio(100))

    with pytest.raises(InvalidMessage):
        tape.append(from_ms, samples)


def test_stored_audio_is_kept_for_the_replay_and_no_longer() -> None:
    """A resume replays two seconds from before the stored end."""
    tape = Tape(0)
    for number in range(100):
        tape.append(number * 100, audio(100))

    tape.release(5_000)

    assert tape.size_bytes == (5_000 + REPLAY_MS) * BYTES_PER_MS
    assert tape.context_start_ms(5_000) == 5_000 - REPLAY_MS


def test_an_acknowledgement_never_goes_back_nor_past_the_end() -> None:
    """A late or mistaken message cannot undo or invent storage."""
    tape = Tape(0)
    tape.append(0, audio(3_000))

    tape.release(2_000)
    tape.release(1_000)
    assert tape.stored_ms == 2_000

    tape.release(99_000)
    assert tape.stored_ms == 3_000


def test_context_never_reaches_across_a_hole() -> None:
    """Replayed audio is gapless, so that words keep their times."""
    tape = Tape(0)
    tape.append(0, audio(1_000))
    tape.skip(1_500, LOST)
    tape.append(1_500, audio(1_000))

    assert tape.context_start_ms(2_200) == 1_500
    assert tape.context_start_ms(1_500) == 1_500
    assert tape.context_start_ms(1_200) == 1_200
    assert tape.context_start_ms(700) == 0


def test_dropped_audio_is_counted_only_where_the_database_lacks_it() -> None:
    """Replay context is given up without loss."""
    tape = Tape(0)
    tape.append(0, audio(1_000))
    tape.append(1_000, audio(1_000))
    tape.release(1_400)

    assert (tape.drop_oldest(), tape.drop_oldest()) == (0, 600)
    assert read_all(tape, 1_400) == [Hole(from_ms=1_400, until_ms=2_000, reason=FULL)]


def test_a_resume_before_what_is_held_begins_with_a_hole() -> None:
    """A database that was set back shows the loss instead of shifting the clock."""
    tape = Tape(0)
    for number in range(10):
        tape.append(number * 1_000, audio(1_000))
    tape.release(10_000)

    assert tape.read(3_000, limit_ms=1_000) == Hole(from_ms=3_000, until_ms=8_000, reason=MissingReason.UNKNOWN)
    assert tape.context_start_ms(3_000) == 3_000


@pytest.mark.parametrize(("stored_ms", "settled"), [(998, False), (999, False), (1_000, True)])
def test_a_tape_is_settled_when_its_last_millisecond_is_stored(stored_ms: int, settled: bool) -> None:
    """Every room counts whole milliseconds, so the end is reached exactly."""
    tape = Tape(0)
    tape.append(0, audio(1_000))
    tape.finish()

    tape.release(stored_ms)

    assert tape.is_settled is settled


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(1, 400)),
        st.tuples(st.just("skip"), st.integers(1, 400)),
        st.tuples(st.just("release"), st.integers(0, 4_000)),
        st.tuples(st.just("drop"), st.just(0)),
    ),
    max_size=60,
)


@given(start_ms=st.integers(0, 5_000), steps=STEPS, limit_ms=st.integers(1, 1_500))
def test_from_the_stored_end_on_every_millisecond_is_audio_as_heard_or_an_explained_hole(
    start_ms: int, steps: list[tuple[str, int]], limit_ms: int
) -> None:
    """The tape against a plain list of what each millisecond holds."""
    tape, model = Tape(start_ms), list[bytes | MissingReason]()
    for number, (step, amount) in enumerate(steps):
        if step == "append":
            tape.append(tape.end_ms, audio(amount, number % 256))
            model += [audio(1, number % 256)] * amount
        elif step == "skip":
            tape.skip(tape.end_ms + amount, LOST)
            model += [LOST] * amount
        elif step == "release":
            tape.release(start_ms + amount)
        elif (oldest_ms := tape.oldest_audio_ms) is not None:
            tape.drop_oldest()
            upto_ms = tape.end_ms if tape.oldest_audio_ms is None else tape.oldest_audio_ms
            for position in range(oldest_ms - start_ms, upto_ms - start_ms):
                model[position] = model[position] if model[position] is LOST else FULL

    assert tape.end_ms == start_ms + len(model)
    for piece in read_all(tape, tape.stored_ms, limit_ms):
        expected = model[piece.from_ms - start_ms : piece.until_ms - start_ms]
        if isinstance(piece, Hole):
            assert set(expected) == {piece.reason}
        else:
            assert piece.samples == b"".join(part for part in expected if isinstance(part, bytes))


@given(steps=STEPS)
def test_pieces_tile_the_time_from_the_stored_end_to_the_end(steps: list[tuple[str, int]]) -> None:
    """No interval is absent, none comes twice, and the size is that of the samples held."""
    tape = Tape(0)
    for step, amount in steps:
        match step:
            case "append":
                tape.append(tape.end_ms, audio(amount))
            case "skip":
                tape.skip(tape.end_ms + amount, LOST)
            case "release":
                tape.release(amount)
            case _ if tape.oldest_audio_ms is not None:
                tape.drop_oldest()

    edge_ms = tape.stored_ms
    for piece in read_all(tape, tape.stored_ms):
        assert piece.from_ms == edge_ms < piece.until_ms
        edge_ms = piece.until_ms
    assert edge_ms == tape.end_ms
    assert tape.size_bytes >= 0
    assert (tape.size_bytes == 0) == (tape.oldest_audio_ms is None)
