"""Schedules of faults."""

from vexa_local.chaos.faults import BOT, FEWEST, MOST, Fault, FaultKind, draw

LENGTH_S = 40.0
SCHEDULES = [draw(seed, length_s=LENGTH_S) for seed in range(300)]


def test_the_same_seed_draws_the_same_faults() -> None:
    """A seed that failed can be tried again."""
    assert SCHEDULES[7] == draw(7, length_s=LENGTH_S)
    assert len(set(SCHEDULES)) == len(SCHEDULES)


def test_faults_come_in_order_within_the_meetings() -> None:
    """Nothing happens after the last word."""
    for faults in SCHEDULES:
        assert FEWEST <= len(faults) <= MOST
        assert [fault.at_s for fault in faults] == sorted(fault.at_s for fault in faults)
        assert all(0.5 <= fault.at_s <= LENGTH_S for fault in faults)


def test_every_kind_of_fault_is_drawn() -> None:
    """No kind is forgotten, and pauses last one to twenty seconds."""
    drawn = [fault for faults in SCHEDULES for fault in faults]

    assert {fault.kind for fault in drawn} == set(FaultKind)
    assert all(1.0 <= fault.duration_s <= 20.0 for fault in drawn if fault.kind is FaultKind.PAUSE)


def test_at_most_one_bot_is_killed_and_none_that_is_paused() -> None:
    """Whose death it was stays clear."""
    for faults in SCHEDULES:
        at_bots = [fault.kind for fault in faults if fault.target == BOT]
        assert FaultKind.KILL not in at_bots or len(at_bots) == 1


def test_a_target_has_one_fault_at_a_time() -> None:
    """A pause is not ended by another one's end."""
    for faults in SCHEDULES:
        for number, fault in enumerate(faults):
            assert not any(_meet(fault, other) for other in faults[number + 1 :])


def _meet(first: Fault, second: Fault) -> bool:
    return first.target == second.target and second.at_s <= first.until_s
