"""How a stream of a load test is scored."""

from vexa_pool.loadtest.player import Played, Told
from vexa_pool.loadtest.recordings import KnownWord
from vexa_pool.loadtest.scoring import score_stream

SAID = (KnownWord("we", 1.0), KnownWord("lost", 1.5), KnownWord("rows", 2.0))


def test_latencies_count_from_the_end_of_each_word() -> None:
    """To its first correct appearance, and to its first in a completed segment."""
    played = Played(
        [
            Told(1.5, (), "We"),
            Told(2.5, (), "We lost rose"),
            Told(3.0, (), "We lost rows"),
            Told(4.0, ("We lost rows.",), ""),
        ]
    )

    score = score_stream(SAID, played)

    assert score.partial_s == [0.5, 1.0, 1.0]
    assert score.commit_s == [3.0, 2.5, 2.0]
    assert (score.errors, score.missed) == (0, 0)


def test_a_word_taken_back_is_counted() -> None:
    """With every word behind it."""
    played = Played([Told(2.0, (), "We last rose"), Told(3.0, ("We lost rows",), "")])

    assert score_stream(SAID, played).retracted == 2


def test_what_never_came_is_missed() -> None:
    """A stream that was told nothing has every word wrong."""
    score = score_stream(SAID, Played())

    assert (score.errors, score.missed, score.partial_s) == (3, 3, [])
