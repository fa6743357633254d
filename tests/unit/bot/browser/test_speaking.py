"""Who was shown as speaking, from many looks at a page."""

import pytest

from vexa_bot.browser.speaking import BLIND_MS, HOLD_MS, LEAD_MS, UNSURE_MS, Speaking
from vexa_bot.capture import LONGEST_HINT_MS, SpeakerHinted

EVERY_MS = 100
JOE, NINA, BOTH, NOBODY = {"Joe"}, {"Nina"}, {"Joe", "Nina"}, set[str]()


def shown(*stretches: tuple[int, set[str]]) -> list[tuple[str, int, int]]:
    """Look every tenth of a second; each stretch lasts so many milliseconds. Tell (name, from, until)."""
    speaking, at_ms = Speaking(), 0
    hints: list[SpeakerHinted] = []
    for length_ms, names in stretches:
        for _ in range(length_ms // EVERY_MS):
            hints += speaking.look(at_ms, sorted(names))
            at_ms += EVERY_MS
    hints += speaking.stop()
    return [(hint.speaker, hint.from_ms, hint.until_ms) for hint in hints]


def test_a_voice_has_begun_before_the_page_shows_it() -> None:
    """It lasts until the page shows it no more."""
    assert shown((1_000, NOBODY), (2_000, JOE), (2_000, NOBODY)) == [("Joe", 1_000 - LEAD_MS, 3_000)]


@pytest.mark.parametrize(("pause_ms", "hints"), [(HOLD_MS - EVERY_MS, 1), (HOLD_MS + LEAD_MS, 2)])
def test_a_short_pause_is_bridged_and_a_long_one_is_not(pause_ms: int, hints: int) -> None:
    """Indicators flicker between words."""
    assert len(shown((1_000, NOBODY), (1_000, JOE), (pause_ms, NOBODY), (1_000, JOE))) == hints


def test_a_pause_in_which_somebody_else_is_shown_is_not_bridged() -> None:
    """However short it is, and the other's voice does not reach back into the first one's time."""
    hints = shown((1_000, NOBODY), (1_000, JOE), (200, NOBODY), (300, NINA), (200, NOBODY), (1_000, JOE))

    assert hints == [("Joe", 700, 2_000), ("Nina", 2_000, 2_500), ("Joe", 2_500, 3_600)]


def test_who_is_shown_together_is_told_together() -> None:
    """Neither is left out, so that the words of that time are nobody's."""
    hints = shown((1_000, NOBODY), (1_000, JOE), (1_000, BOTH), (1_000, NINA), (1_000, NOBODY))

    assert hints == [("Joe", 700, 3_000), ("Nina", 2_000, 4_000)]


def test_the_time_before_one_face_replaces_another_is_nobodys() -> None:
    """A page that shows the last speaker until it notices the next one is late by an unknown time."""
    hints = shown((1_000, NOBODY), (3_000, JOE), (2_000, NINA))

    assert hints == [("Joe", 700, 4_000 - UNSURE_MS), ("Nina", 4_000, 5_900)]


def test_a_long_voice_is_told_in_pieces_without_a_seam() -> None:
    """While it lasts; what may still turn out to be the next one's is held back."""
    hints = shown((1_000, NOBODY), (4 * LONGEST_HINT_MS, JOE), (1_000, NINA))

    own = [(from_ms, until_ms) for name, from_ms, until_ms in hints if name == "Joe"]
    assert own[0][0] == 700
    assert own[-1][1] == 1_000 + 4 * LONGEST_HINT_MS - UNSURE_MS
    assert [until_ms for _, until_ms in own[:-1]] == [from_ms for from_ms, _ in own[1:]]
    assert max(until_ms - from_ms for from_ms, until_ms in own) <= LONGEST_HINT_MS


def test_what_a_page_showed_while_nobody_looked_is_not_known() -> None:
    """A page that hung tells nothing of that time."""
    speaking = Speaking()
    list(speaking.look(1_000, JOE))
    list(speaking.look(1_500, JOE))

    hints = list(speaking.look(1_500 + BLIND_MS + 1, JOE))

    assert [(hint.from_ms, hint.until_ms) for hint in hints] == [(700, 1_500)]
    assert list(speaking.look(100, NINA)) == []
