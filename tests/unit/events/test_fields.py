"""The shared field types refuse what no store could keep."""

import math
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from vexa_events.fields import (
    Count,
    Epoch,
    Evidence,
    Language,
    Message,
    Name,
    RowId,
    Seconds,
    SegmentUid,
    Text,
    Uid,
    at_clock_step,
    reaches,
    same_instant,
    size_bytes,
)


class Note(Message):
    text: Text
    name: Name | None = None


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Text, ""),
        (Text, "世界 👋"),
        (Name, "Zoë Müller"),
        (Uid, "a"),
        (Uid, "4f1c2a9e-6b1d.2:x_y"),
        (SegmentUid, f"{'s' * 128}-2147483647-2147483647"),
        (Seconds, 0.0),
        (Seconds, 10_000_000),
        (Count, 0),
        (Epoch, 1),
        (RowId, 2**63 - 1),
        (Language, "en"),
        (Language, "yue"),
        (Language, "haw"),
    ],
)
def test_a_legal_value_passes(kind: Any, value: object) -> None:
    """The bounds themselves are legal."""
    assert TypeAdapter(kind).validate_python(value) == value


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Text, "a\x00b"),
        (Text, "half \ud800"),
        (Text, "x" * 16_385),
        (Evidence, "x" * 4_001),
        (Name, ""),
        (Name, "x" * 256),
        (Name, "a\x00"),
        (Uid, ""),
        (Uid, "-a"),
        (Uid, "a b"),
        (Uid, "a\n"),
        (Uid, "a/b"),
        (Uid, "é"),
        (Uid, "x" * 129),
        (SegmentUid, "x" * 161),
        (Seconds, -0.001),
        (Seconds, math.nan),
        (Seconds, math.inf),
        (Seconds, 10**400),
        (Seconds, 10_000_001),
        (Count, -1),
        (Count, 2**31),
        (Epoch, 0),
        (RowId, 0),
        (RowId, 2**63),
        (RowId, 1.5),
        (Language, "EN"),
        (Language, "e"),
        (Language, "zh-CN"),
        (Language, "english"),
        (Language, "en\n"),
    ],
)
def test_an_illegal_value_is_refused(kind: Any, value: object) -> None:
    """A value outside its bounds never becomes part of a message."""
    with pytest.raises(ValidationError):
        TypeAdapter(kind).validate_python(value)


def test_positions_are_equal_within_half_a_clock_step() -> None:
    """Two ways of computing one millisecond are one instant; the next millisecond is another."""
    assert same_instant(0.1 + 0.2, 0.3)
    assert not same_instant(1.0, 1.001)
    assert at_clock_step(1.23449) == 1.234


def test_an_unknown_field_is_ignored() -> None:
    """A newer producer's field does not disturb an older consumer."""
    assert Note.model_validate({"text": "hi", "colour": "red"}) == Note(text="hi")


def test_an_error_does_not_repeat_the_value() -> None:
    """What a message carried stays out of logs."""
    with pytest.raises(ValidationError) as caught:
        Note.model_validate({"text": "secret\x00"})

    assert "secret" not in str(caught.value)


def test_a_size_counts_bytes_and_only_what_is_set() -> None:
    """The measure is that of the wire: UTF-8, no nulls."""
    assert size_bytes(Note(text="é")) == len('{"text":"é"}'.encode())


@pytest.mark.parametrize(
    ("edge_s", "position_s", "expected"),
    [(0.0, 0.001, False), (10.0, 10.001, False), (10.001, 10.001, True), (0.1 + 0.2, 0.3, True), (3.0, 2.0, True)],
)
def test_an_edge_that_lacks_one_millisecond_does_not_reach(edge_s: float, position_s: float, expected: bool) -> None:
    """A stream of a millisecond is stored when that millisecond is; how floats are spelled does not matter."""
    assert reaches(edge_s, position_s) is expected
