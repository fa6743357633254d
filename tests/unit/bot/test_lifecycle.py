"""The lifecycle table of one attendance."""

from itertools import pairwise

import pytest

from vexa_bot.lifecycle import FOLLOWERS, Ending, Lifecycle
from vexa_events.errors import Conflict
from vexa_events.identity import BotStatus

R, J, W, A, S, C, F = BotStatus
ALLOWED = {(R, J), (J, W), (J, A), (J, S), (J, F), (W, A), (W, S), (W, F), (A, S), (S, C), (S, F)}


def a_lifecycle(*states: BotStatus) -> Lifecycle:
    lifecycle = Lifecycle()
    for state in states:
        lifecycle.enter(state)
    return lifecycle


def test_the_table_is_this_one() -> None:
    """Every pair of states, written out."""
    assert {(before, after) for before in BotStatus for after in FOLLOWERS[before]} == ALLOWED


@pytest.mark.parametrize("after", [status for status in BotStatus if (A, status) not in ALLOWED])
def test_a_state_that_cannot_follow_is_refused(after: BotStatus) -> None:
    """An active bot neither joins again nor ends without leaving."""
    with pytest.raises(Conflict):
        a_lifecycle(J, A).enter(after)


@pytest.mark.parametrize(
    ("states", "end", "path"),
    [
        ((J,), F, (F,)),
        ((J, W), F, (F,)),
        ((J, A), F, (S, F)),
        ((J,), C, (S, C)),
        ((J, W), C, (S, C)),
        ((J, A), C, (S, C)),
    ],
)
def test_the_way_to_the_end_depends_on_whether_the_bot_was_inside(
    states: tuple[BotStatus, ...], end: BotStatus, path: tuple[BotStatus, ...]
) -> None:
    """Each step of it is in the table."""
    lifecycle = a_lifecycle(*states)

    assert lifecycle.path_to(Ending(status=end, reason="any")) == path
    assert set(pairwise((states[-1], *path))) <= ALLOWED
