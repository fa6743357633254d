"""Comparing words."""

import pytest

from vexa_pool.streaming.words import SpokenWord, agreed_prefix, fresh_words, joined, spoken_form


def said(*texts: str, start_s: float = 0.0, each_s: float = 0.4) -> list[SpokenWord]:
    return [
        SpokenWord(text=f" {text}", start_s=start_s + n * each_s, end_s=start_s + (n + 1) * each_s)
        for n, text in enumerate(texts)
    ]


def test_agreement_looks_at_sound_only() -> None:
    """Case, punctuation and times may differ between two decodes."""
    assert agreed_prefix(said("Well,", "then", "go"), said("well", "Then.", "home", start_s=1.0)) == 2


def test_scripts_without_spaces_are_joined_as_they_are_written() -> None:
    """The model's own spaces are kept, and none are added."""
    words = [SpokenWord(text=text, start_s=0.0, end_s=1.0) for text in ("今日", "は", "元気")]

    assert joined(words) == "今日は元気"


@pytest.mark.parametrize(
    ("text", "is_continuation"), [("-up", True), ("'s", True), ("%", True), (" up", False), ("元", False), ("", True)]
)
def test_what_follows_without_a_space_goes_on_with_the_word_before(text: str, is_continuation: bool) -> None:
    """But for letters: scripts without spaces have words all the same."""
    assert SpokenWord(text=text, start_s=0.0, end_s=1.0).is_continuation is is_continuation


def test_letters_of_any_script_are_sound() -> None:
    """A Chinese or Japanese word is not reduced to nothing."""
    assert spoken_form("元気。") == "元気"


@pytest.mark.parametrize("drift_s", [-0.2, 0.0, 0.2])
def test_a_boundary_word_is_recognised_despite_drift(drift_s: float) -> None:
    """Times stray by 0.2 s; the words that were said last show where the new ones begin."""
    words = said("the", "first", "chart", "shows", "sales", start_s=10.0 + drift_s)

    fresh = fresh_words(words, known=["see", "the", "first", "chart"], boundary_s=11.2)

    assert joined(fresh) == "shows sales"


def test_a_word_said_again_after_the_boundary_is_new() -> None:
    """ "no, no": the second is not taken for the first."""
    fresh = fresh_words(said("no", "no", start_s=1.0), known=["no"], boundary_s=1.4)

    assert len(fresh) == 1


def test_a_clipped_first_word_does_not_hide_the_rest() -> None:
    """The replay starts inside a word, which the model hears as another."""
    fresh = fresh_words(said("rst", "chart", "shows", start_s=1.0), known=["first", "chart"], boundary_s=1.8)

    assert joined(fresh) == "shows"


def test_without_known_words_times_decide() -> None:
    """Nothing stored yet: whatever lies after the boundary is new."""
    assert joined(fresh_words(said("a", "b", "c", start_s=0.0), known=[], boundary_s=0.8)) == "c"
