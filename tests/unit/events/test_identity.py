"""Closed sets and derived ids."""

from pydantic import TypeAdapter

from vexa_events.fields import SegmentUid
from vexa_events.identity import BotStatus, segment_id


def test_only_completed_and_failed_end_a_session() -> None:
    """Every other state can still change."""
    assert {status for status in BotStatus if status.is_terminal} == {BotStatus.COMPLETED, BotStatus.FAILED}


def test_the_segment_of_the_longest_stream_uid_has_a_legal_id() -> None:
    """A segment's id is longer than its stream's uid, whose own bound does not apply to it."""
    longest = segment_id("s" * 128, 2**31 - 1, 2**31 - 1)

    assert TypeAdapter(SegmentUid).validate_python(longest) == f"{'s' * 128}-2147483647-2147483647"
