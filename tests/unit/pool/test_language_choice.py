"""When a stream's language is settled."""

import pytest

from vexa_pool.server.language_choice import LanguageChoice


@pytest.mark.parametrize(
    ("heard", "settled"),
    [
        ([("de", 0.95)], "de"),
        ([("de", 0.6)], None),
        ([("de", 0.6), ("de", 0.55)], "de"),
        ([("cy", 0.6), ("de", 0.6)], None),
        ([("de", 0.6), ("de", 0.3), ("de", 0.6)], None),
        ([("cy", 0.6), ("de", 0.9), ("cy", 0.95), ("cy", 0.95)], "de"),
    ],
)
def test_one_sure_window_settles_it_or_two_that_agree(heard: list[tuple[str, float]], settled: str | None) -> None:
    """A doubtful window alone settles nothing, and nothing unsettles what is settled."""
    choice = LanguageChoice(None)

    settlings = [choice.hear(language, probability) for language, probability in heard]

    assert choice.settled == settled
    assert sum(settlings) == (settled is not None)


def test_a_language_that_was_asked_for_stays() -> None:
    """Whatever the windows sound like."""
    choice = LanguageChoice("fr")

    assert not choice.hear("de", 0.99)
    assert choice.settled == "fr"
