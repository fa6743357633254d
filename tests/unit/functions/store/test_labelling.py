"""Hints laid over the words of a segment."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vexa_events.lifecycle import MAX_HINT_S
from vexa_events.transcript import Word
from vexa_functions.store.labelling import Hint, overlapping, pieces


def words(text: str, *, at_s: float = 0.0) -> list[Word]:
    """Half a second a word, one after another."""
    return [
        Word(text=word, start_s=at_s + number / 2, end_s=at_s + number / 2 + 0.5)
        for number, word in enumerate(text.split())
    ]


def said(text: str, *hints: tuple[str, float, float]) -> list[tuple[str | None, str]]:
    """Tell who says what of a text that begins at 0 s."""
    laid = sorted(Hint(speaker=speaker, from_s=from_s, until_s=until_s) for speaker, from_s, until_s in hints)
    return [(piece.speaker, piece.text) for piece in pieces(text, words(text), laid)]


def test_words_belong_to_whoever_was_shown_as_speaking() -> None:
    """A segment is cut where its speaker changes, and whole where nobody else speaks."""
    assert said("shall we begin yes", ("Joe", 0.0, 1.5), ("Nina", 1.5, 2.0)) == [
        ("Joe", "shall we begin"),
        ("Nina", "yes"),
    ]
    assert said("shall we begin", ("Joe", 0.0, 9.0)) == [("Joe", "shall we begin")]


def test_words_during_which_two_are_shown_are_nobodys() -> None:
    """Both may have spoken them."""
    assert said("one two three four", ("Joe", 0.0, 1.4), ("Nina", 0.6, 2.0)) == [
        ("Joe", "one"),
        (None, "two three"),
        ("Nina", "four"),
    ]


def test_words_around_which_nobody_is_shown_are_nobodys() -> None:
    """Not even between two words of one person."""
    assert said("one two three four", ("Joe", 0.0, 0.25), ("Joe", 1.8, 2.0)) == [
        ("Joe", "one"),
        (None, "two three"),
        ("Joe", "four"),
    ]


def test_a_word_is_as_good_as_its_times() -> None:
    """Its ends are not held against it, and a hint that only just misses it counts, unless it is one of two."""
    assert said("one two", ("Joe", 0.0, 0.55), ("Nina", 0.55, 1.0)) == [("Joe", "one"), ("Nina", "two")]
    assert said("one two", ("Joe", 0.0, 0.35)) == [("Joe", "one two")]
    assert said("one two three", ("Joe", 0.0, 0.35), ("Nina", 1.15, 1.5)) == [
        ("Joe", "one"),
        (None, "two"),
        ("Nina", "three"),
    ]


def test_several_hints_of_one_person_are_one_voice() -> None:
    """They are cut where a long voice was told in pieces."""
    assert said("one two", ("Joe", 0.0, 0.25), ("Joe", 0.25, 1.0)) == [("Joe", "one two")]


def test_scripts_without_spaces_are_cut_between_their_words() -> None:
    """The text is cut, not put together from its words."""
    spelled = [Word(text=each, start_s=number, end_s=number + 1) for number, each in enumerate(("你好", "世界"))]
    hints = [Hint(from_s=0, until_s=1, speaker="Joe"), Hint(from_s=1, until_s=2, speaker="Nina")]

    assert [(piece.text, piece.word, piece.start_s) for piece in pieces("你好、世界。", spelled, hints)] == [
        ("你好、", 0, 0.0),
        ("世界。", 1, 1.0),
    ]


def test_a_text_that_its_words_do_not_spell_is_left_alone() -> None:
    """Rather than put words under a name that are somebody else's."""
    assert pieces("something else", words("shall we begin"), [Hint(from_s=0, until_s=9, speaker="Joe")]) == []
    assert pieces("no words", [], [Hint(from_s=0, until_s=9, speaker="Joe")]) == []


@pytest.mark.parametrize(("from_s", "until_s", "count"), [(0.0, 1.0, 0), (1.0, 1.5, 1), (1.9, 9.0, 2), (3.0, 4.0, 0)])
def test_hints_of_a_moment_are_found(from_s: float, until_s: float, count: int) -> None:
    """Those that end as it begins share no time with it."""
    hints = [Hint(from_s=1.0, until_s=2.0, speaker="Joe"), Hint(from_s=1.5, until_s=3.0, speaker="Nina")]

    assert len(overlapping(hints, from_s, until_s)) == count


moments = st.floats(0.0, 20.0, allow_nan=False)


@given(
    st.lists(st.text("ab ", min_size=1, max_size=3).filter(str.strip), min_size=1, max_size=20),
    st.lists(st.tuples(st.sampled_from(["Joe", "Nina"]), moments, st.floats(0.01, MAX_HINT_S)), max_size=8),
)
def test_pieces_are_the_text_and_only_what_one_person_alone_was_shown_for_is_named(
    spoken: list[str], told: list[tuple[str, float, float]]
) -> None:
    """Whatever the hints: no word is lost, doubled or moved, and no piece is named against the hints."""
    text = " ".join(word.strip() for word in spoken)
    hints = sorted(Hint(speaker=name, from_s=from_s, until_s=from_s + long_s) for name, from_s, long_s in told)

    cut = pieces(text, words(text), hints)

    assert " ".join(piece.text for piece in cut).split() == text.split()
    assert [piece.word for piece in cut] == sorted({piece.word for piece in cut})
    for piece in cut:
        during = {hint.speaker for hint in overlapping(hints, piece.start_s + 0.1, piece.start_s + 0.4)}
        around = {hint.speaker for hint in overlapping(hints, piece.start_s - 0.2, piece.start_s + 0.7)}
        assert piece.speaker is None or (during or around) == {piece.speaker}
