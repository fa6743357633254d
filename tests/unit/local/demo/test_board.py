"""What a watcher sees, from the messages of the live feed."""

from typing import Any

from vexa_events.identity import BotStatus
from vexa_local.demo.board import Board


def a_segment(seq: int, text: str, *, start: float = 0.0, end: float = 1.0, speaker: str = "Joe") -> dict[str, Any]:
    return {
        "segment_id": f"s-1-{seq}",
        "stream_uid": "s",
        "start": start,
        "end": end,
        "text": text,
        "speaker": speaker,
        "completed": True,
    }


def mutable(*segments: dict[str, Any]) -> dict[str, Any]:
    return {"type": "transcript.mutable", "payload": {"stream_uid": "s", "segments": list(segments)}}


def finalized(*segments: dict[str, Any]) -> dict[str, Any]:
    return {"type": "transcript.finalized", "payload": {"stream_uid": "s", "segments": list(segments)}}


def seen(board: Board) -> list[tuple[str, bool]]:
    return [(line.text, is_draft) for line, is_draft in board.lines()]


def test_a_draft_replaces_the_one_before() -> None:
    """A hypothesis is only ever the latest one."""
    board = Board()

    board.apply(mutable(a_segment(0, "good")))
    board.apply(mutable(a_segment(0, "good morning")))

    assert seen(board) == [("good morning", True)]


def test_committed_text_takes_the_place_of_its_draft() -> None:
    """The draft of what follows stays."""
    board = Board()

    board.apply(mutable(a_segment(0, "good morning"), a_segment(1, "let", start=1.0, end=2.0)))
    board.apply(finalized(a_segment(0, "Good morning.")))

    assert seen(board) == [("Good morning.", False), ("let", True)]


def test_a_late_draft_does_not_cover_committed_text() -> None:
    """Messages of two processes may cross."""
    board = Board()

    board.apply(finalized(a_segment(0, "Good morning.")))
    board.apply(mutable(a_segment(0, "good morning")))

    assert seen(board) == [("Good morning.", False)]


def test_a_name_learnt_late_repaints_the_line() -> None:
    """The same segment comes again under its speaker's name."""
    board = Board()

    board.apply(finalized(a_segment(0, "Hello.", speaker="Joe")))
    board.apply(finalized(a_segment(0, "Hello.", speaker="Ann")))

    assert board.speakers() == ["Ann"]
    assert seen(board) == [("Hello.", False)]


def test_the_status_is_the_last_one_told() -> None:
    """Messages that are none of a watcher's business change nothing."""
    board = Board()

    board.apply({"type": "meeting.status", "payload": {"status": "active"}})
    board.apply({"type": "subscribed", "meetings": []})
    board.apply({"type": "pong"})

    assert board.status is BotStatus.ACTIVE
