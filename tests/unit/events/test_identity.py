"""Closed sets and derived ids."""

from pydantic import TypeAdapter

from vexa_events.fields import SegmentUid
from vexa_events.identity import BotStatus, segment_id


def test_only_completed_and_failed_end_a_session() -> None:
    """Every other state can still change."""
    assert {status for status in BotStatus if status.is_terminal} == {BotStatus.COMPLETED, BotStatus.FAILED}


def test_the_segment_of_the_longest_stream_uid_has_a_legal_id() -> None:
    """A segment's id is longer than its stream's uid, whose own bound does not apply to it."""
    longest = segment_id("s" * 128, 2**31 - 1, 2**31 - 1, word=999)

    assert TypeAdapter(SegmentUid).validate_python(longest) == f"{'s' * 128}-2147483647-2147483647.999"


def test_the_first_part_of_a_segment_has_the_id_of_the_whole() -> None:
    """A reader who holds the whole replaces it by the part."""
    assert segment_id("s.1", 2, 7, word=0) == segment_id("s.1", 2, 7) == "s.1-2-7"
