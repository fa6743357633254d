"""The file that tells who was shown as speaking while a mixed recording was made."""

import json
from pathlib import Path

import pytest

from vexa_bot.capture import LONGEST_HINT_MS
from vexa_bot.platforms.recorded_hints import FILE, MAX_BYTES, read_hints
from vexa_events.errors import InvalidMessage


def test_hints_come_in_order_of_their_ends_and_long_ones_in_pieces(tmp_path: Path) -> None:
    """A hint is told when it is over, and nobody is to wait for a monologue."""
    recorded = [
        {"from_s": 2.0, "until_s": 2.0 + 2.5 * LONGEST_HINT_MS / 1_000, "speaker": "Joe", "note": "ignored"},
        {"from_s": 2.5, "until_s": 3.0, "speaker": "Nina"},
        {"from_s": 4.0, "until_s": 4.0, "speaker": "Ken"},
    ]
    (tmp_path / FILE).write_text(json.dumps(recorded))

    hints = read_hints(tmp_path)

    assert [(hint.speaker, hint.from_ms, hint.until_ms) for hint in hints] == [
        ("Nina", 2_500, 3_000),
        ("Joe", 2_000, 2_000 + LONGEST_HINT_MS),
        ("Joe", 2_000 + LONGEST_HINT_MS, 2_000 + 2 * LONGEST_HINT_MS),
        ("Joe", 2_000 + 2 * LONGEST_HINT_MS, 2_000 + 5 * LONGEST_HINT_MS // 2),
    ]


def test_a_recording_without_the_file_has_no_hints(tmp_path: Path) -> None:
    """As most of them."""
    assert read_hints(tmp_path) == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[1]",
        '[{"from_s": -1, "until_s": 2, "speaker": "Joe"}]',
        '[{"from_s": 1, "until_s": 2}]',
        " " * MAX_BYTES + "[]",
    ],
    ids=["empty", "not JSON", "not hints", "before the beginning", "nobody", "too long"],
)
def test_a_file_that_is_something_else_is_refused_by_name(tmp_path: Path, text: str) -> None:
    """Whoever made it learns which file is meant."""
    (tmp_path / FILE).write_text(text)

    with pytest.raises(InvalidMessage, match=FILE):
        read_hints(tmp_path)
