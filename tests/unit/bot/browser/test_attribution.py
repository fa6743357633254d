"""Who speaks, from the best evidence there is."""

from collections.abc import Sequence

from vexa_bot.browser.attribution import LETTER_AFTER, VOTES, Attribution


def _look(
    attribution: Attribution,
    owners: dict[str, str | None],
    *,
    loud: Sequence[str] = (),
    speaking: Sequence[str] = (),
    times: int = 1,
) -> list[tuple[str, str]]:
    levels = {key: 0.05 if key in loud else 0.0 for key in owners}
    return [
        (learnt.key, learnt.speaker)
        for _ in range(times)
        for learnt in attribution.look(owners, levels=levels, speaking=speaking)
    ]


def test_what_the_page_ties_together_is_learnt_at_once_and_told_once() -> None:
    """And again when somebody changes their name."""
    attribution = Attribution()

    assert _look(attribution, {"a": "Joe"}, times=3) == [("a", "Joe")]
    assert _look(attribution, {"a": "Joseph"}, times=2) == [("a", "Joseph")]
    assert attribution.names == {"a": "Joseph"}


def test_the_only_one_speaking_is_the_only_loud_track_when_it_happens_often() -> None:
    """Once or twice may be chance."""
    attribution = Attribution()

    assert _look(attribution, {"a": None, "b": None}, loud=["a"], speaking=["Maya"], times=VOTES - 1) == []
    assert _look(attribution, {"a": None, "b": None}, loud=["a"], speaking=["Maya"])[0] == ("a", "Maya")


def test_nothing_is_concluded_while_two_speak_or_two_are_loud() -> None:
    """That tells nothing about who is who, so both stay letters."""
    attribution = Attribution()

    learnt = _look(attribution, {"a": None, "b": None}, loud=["a"], speaking=["Maya", "Joe"], times=20)
    learnt += _look(attribution, {"a": None, "b": None}, loud=["a", "b"], speaking=["Maya"], times=20)

    assert learnt == [("a", "Speaker A"), ("b", "Speaker B")]
    assert attribution.names == {}


def test_hints_that_contradict_one_another_name_nobody() -> None:
    """A track on which several people are heard belongs to none of them."""
    attribution = Attribution()
    learnt = []
    for name in ("Maya", "Joe") * VOTES:
        learnt += _look(attribution, {"a": None}, loud=["a"], speaking=[name])

    assert learnt == [("a", "Speaker A")]


def test_a_letter_comes_late_and_a_name_after_it_is_told() -> None:
    """The letter stays with the stream until something better is known."""
    attribution = Attribution()

    learnt = _look(attribution, {"a": None}, times=LETTER_AFTER + 5)
    learnt += _look(attribution, {"a": "Ken"})

    assert learnt == [("a", "Speaker A"), ("a", "Ken")]


def test_hints_never_outweigh_what_the_page_ties_together() -> None:
    """A tile that vanishes for a moment does not hand the stream over."""
    attribution = Attribution()
    _look(attribution, {"a": "Joe"})

    assert _look(attribution, {"a": None}, loud=["a"], speaking=["Maya"], times=2 * VOTES) == []
    assert attribution.names == {"a": "Joe"}
