"""Who has the model next, and for how long."""

import pytest

from vexa_pool.engine.turns import Group, Turn, Turns


def a_turn(waited_s: float = 1.0, *, tenant: str = "", attended_s: float = 6.0, is_elastic: bool = False) -> Turn:
    return Turn(tenant=tenant, waited_s=waited_s, attended_s=attended_s, is_elastic=is_elastic)


def chosen(turns: Turns, waiting: list[Turn]) -> tuple[int, ...]:
    group = turns.choose(waiting)
    assert group is not None
    return group.members


def seconds_had(turns: Turns, waiting: list[Turn], *, rounds: int) -> dict[str, float]:
    """Let all of them wait for ever, and decode a second at a time."""
    had = {turn.tenant: 0.0 for turn in waiting}
    for _ in range(rounds):
        tenants = [waiting[at].tenant for at in chosen(turns, waiting)]
        turns.charge(tenants, 1.0)
        for tenant in tenants:
            had[tenant] += 1.0 / len(tenants)
    return had


def test_the_window_that_has_waited_longest_is_first() -> None:
    """Deadlines are equally far from when a window began to wait."""
    assert chosen(Turns(threads=1, most=1), [a_turn(1.0), a_turn(3.0), a_turn(2.0)]) == (1,)


def test_a_group_holds_windows_of_one_length_by_deadline() -> None:
    """Those whose words are committed are never padded further, for then load would decide what is heard."""
    turns = Turns(threads=1, most=2)

    assert chosen(turns, [a_turn(1.0), a_turn(3.0), a_turn(2.5, attended_s=8.0), a_turn(2.0)]) == (1, 3)


def test_an_elastic_window_joins_longer_ones() -> None:
    """Silence is put behind it up to their length; shorter ones are no company for a longer one that is not elastic."""
    turns = Turns(threads=1, most=8)
    waiting = [
        a_turn(3.0, is_elastic=True),
        a_turn(2.0, attended_s=8.0),
        a_turn(1.0, attended_s=8.0, is_elastic=True),
        a_turn(0.9, attended_s=30.0),
        a_turn(0.8),
    ]

    group = turns.choose(waiting)

    assert group == Group(members=(0, 1, 2), attended_s=8.0)


def test_a_window_is_not_padded_for_nothing() -> None:
    """Of two groups that hold as many, the one that attends to less is decoded."""
    first, long, short = a_turn(3.0, is_elastic=True), a_turn(2.0, attended_s=14.0), a_turn(1.0, attended_s=8.0)
    waiting = [first, long, short, long, short]

    group = Turns(threads=2, most=8).choose(waiting)

    assert group == Group(members=(0, 2, 4), attended_s=8.0)


def test_windows_that_are_only_shown_attend_to_more_by_themselves() -> None:
    """They flicker less so, and nobody's group is held up."""
    waiting = [a_turn(is_elastic=True), a_turn(is_elastic=True)]

    group = Turns(threads=1, most=8).choose(waiting)

    assert group == Group(members=(0, 1), attended_s=12.0)


def test_a_group_leaves_a_share_to_other_threads() -> None:
    """Two threads with four windows decode two each."""
    assert len(chosen(Turns(threads=2, most=8), [a_turn(n) for n in range(4)])) == 2


@pytest.mark.parametrize("most", [1, 8])
def test_a_tenant_with_thirty_streams_does_not_starve_one_with_one(most: int) -> None:
    """Under overload its window is in every group until it has had as much, however long the others have waited."""
    waiting = [*[a_turn(9.0, tenant="many") for _ in range(30)], a_turn(1.0, tenant="one")]

    had = seconds_had(Turns(threads=1, most=most), waiting, rounds=100)

    assert had["one"] >= 100 / 2 / most - 1
    assert had["many"] > 0


def test_a_tenant_that_was_away_has_saved_nothing_up() -> None:
    """It gets its share from now on, and does not shut out the one that worked meanwhile."""
    turns = Turns(threads=1, most=1)
    seconds_had(turns, [a_turn(tenant="early")], rounds=50)

    had = seconds_had(turns, [a_turn(tenant="early"), a_turn(tenant="late")], rounds=20)

    assert had["early"] == pytest.approx(10.0, abs=1.0)


def test_a_tenant_that_left_is_forgotten() -> None:
    """Nothing is kept of those who come no more."""
    turns = Turns(threads=1, most=1)
    seconds_had(turns, [a_turn(tenant="gone")], rounds=5)

    turns.forget("gone")

    assert turns._used_s == {}


def test_nobody_is_chosen_where_nobody_waits() -> None:
    """The model rests."""
    assert Turns(threads=2, most=4).choose([]) is None
