"""Who has the model next, and for how long."""

from collections import Counter

import pytest

from vexa_pool.engine.turns import Turn, Turns


def a_turn(waited_s: float = 1.0, *, tenant: str = "", encoder_s: float = 6.0) -> Turn:
    return Turn(tenant=tenant, waited_s=waited_s, encoder_s=encoder_s)


def seconds_had(turns: Turns, waiting: list[Turn], *, rounds: int) -> Counter[str]:
    """Let all of them wait for ever, and decode a second at a time."""
    had: Counter[str] = Counter()
    for _ in range(rounds):
        tenants = [waiting[at].tenant for at in turns.choose(waiting)]
        turns.charge(tenants, 1.0)
        had.update({tenant: 1.0 / len(tenants) for tenant in tenants})
    return had


def test_the_window_that_has_waited_longest_is_first() -> None:
    """Deadlines are equally far from when a window began to wait."""
    turns = Turns(threads=1, most=1)

    assert turns.choose([a_turn(1.0), a_turn(3.0), a_turn(2.0)]) == [1]


def test_a_group_holds_windows_of_one_length_by_deadline() -> None:
    """Others would have to be padded."""
    turns = Turns(threads=1, most=2)

    assert turns.choose([a_turn(1.0), a_turn(3.0), a_turn(2.5, encoder_s=12.0), a_turn(2.0)]) == [1, 3]


def test_a_group_leaves_a_share_to_other_threads() -> None:
    """Two threads with four windows decode two each."""
    turns = Turns(threads=2, most=8)

    assert len(turns.choose([a_turn(n) for n in range(4)])) == 2


@pytest.mark.parametrize("most", [1, 8])
def test_a_tenant_with_thirty_streams_does_not_starve_one_with_one(most: int) -> None:
    """Under overload each has half of the model, whoever has waited longer."""
    turns = Turns(threads=1, most=most)
    waiting = [*[a_turn(9.0, tenant="many") for _ in range(30)], a_turn(1.0, tenant="one")]

    had = seconds_had(turns, waiting, rounds=100)

    assert turns.choose(waiting)
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
    assert Turns(threads=2, most=4).choose([]) == []
