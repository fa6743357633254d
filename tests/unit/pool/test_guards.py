"""Which text is marked as doubtful."""

from dataclasses import replace

import pytest

from vexa_pool.streaming.guards import doubts_about, is_told_twice
from vexa_pool.streaming.window import Transcription
from vexa_pool.streaming.words import SpokenWord

SURE = Transcription(words=(), language="en", mean_logprob=-0.3)


def said(text: str, *, per_s: float = 3.0) -> list[SpokenWord]:
    return [
        SpokenWord(text=f" {word}", start_s=n / per_s, end_s=(n + 1) / per_s) for n, word in enumerate(text.split())
    ]


@pytest.mark.parametrize(
    "text", ["no", "ok", "no no no", "yes yes", "We lost no rows.", "I think that that is what it is.", "thank you"]
)
def test_what_people_say_is_not_doubted(text: str) -> None:
    """Short and repeated answers are speech."""
    assert doubts_about(said(text), SURE) == ()


@pytest.mark.parametrize("text", ["so so so so so so so", "thank you thank you thank you", "I see the dog " * 5])
def test_loops_are_doubted(text: str) -> None:
    """The model repeating itself is named."""
    assert doubts_about(said(text), SURE) == ("repetition",)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Today I will write the tests. the login form. Today I will write", True),
        ("Maya, would you like to go first? Let us start. Maya would you like", True),
        ("Today I will write the tests. Then I will ship them.", False),
        ("no no no no no no no no", False),
        ("a b c d and a b c d", False),
        ("", False),
    ],
)
def test_words_that_come_again_are_noticed(text: str, expected: bool) -> None:
    """Four in a row, wherever the second telling begins; short answers and single letters do not count."""
    assert is_told_twice(said(text)) is expected


def test_more_words_than_anyone_can_say_are_doubted() -> None:
    """Twelve words a second are not speech."""
    assert doubts_about(said("one two three four five six seven", per_s=12.0), SURE) == ("rate",)


def test_a_model_that_hears_no_speech_is_believed_only_when_unsure_of_its_words() -> None:
    """Likely silence alone is no doubt; with unlikely words it is."""
    quiet = replace(SURE, no_speech_probability=0.9)

    assert doubts_about(said("ok"), quiet) == ()
    assert doubts_about(said("ok"), replace(quiet, mean_logprob=-1.4)) == ("no_speech", "low_confidence")
    assert doubts_about([replace(said("you")[0], probability=0.4)], quiet) == ("no_speech",)
