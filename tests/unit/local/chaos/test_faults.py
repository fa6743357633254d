"""Schedules of faults."""

from vexa_local.chaos.faults import (
    AIMED_AT,
    BOT,
    COMMANDS,
    FEWEST,
    LARGEST_STEP_S,
    LINKS,
    MOST,
    PROCESSES,
    Fault,
    FaultKind,
    draw,
)

LENGTHS_S = (40.0, 30.0, 25.0, 40.0)
OF_EVERY_SEED = 3
SCHEDULES = [draw(seed, lengths_s=LENGTHS_S) for seed in range(300)]
DRAWN = [fault for faults in SCHEDULES for fault in faults]


def test_the_same_seed_draws_the_same_faults() -> None:
    """A seed that failed can be tried again."""
    assert SCHEDULES[7] == draw(7, lengths_s=LENGTHS_S)
    assert len(set(SCHEDULES)) == len(SCHEDULES)


def test_faults_come_in_order_within_the_meetings() -> None:
    """Nothing happens after the last word."""
    for faults in SCHEDULES:
        assert FEWEST <= len(faults) - OF_EVERY_SEED <= MOST
        assert [fault.at_s for fault in faults] == sorted(fault.at_s for fault in faults)
        assert all(0.5 <= fault.at_s <= max(LENGTHS_S) for fault in faults)


def test_every_kind_of_fault_is_drawn() -> None:
    """No kind is forgotten; pauses last one to twenty seconds, and clocks jump either way."""
    steps_s = [fault.step_s for fault in DRAWN if fault.kind is FaultKind.STEP]

    assert {fault.kind for fault in DRAWN} == set(FaultKind)
    assert all(1.0 <= fault.duration_s <= 20.0 for fault in DRAWN if fault.kind is FaultKind.PAUSE)
    assert min(steps_s) < 0.0 < max(steps_s) <= LARGEST_STEP_S


def test_every_victim_is_drawn() -> None:
    """Each process is killed and paused, each link reset and cut, each moment aimed at."""
    assert victims(FaultKind.KILL) == {*PROCESSES, BOT}
    assert victims(FaultKind.PAUSE) == {*PROCESSES, BOT}
    assert victims(FaultKind.RESET) == victims(FaultKind.CUT) == set(LINKS)
    assert {fault.moment for fault in DRAWN if fault.moment} == set(AIMED_AT)


def test_every_seed_kills_a_bot_aims_a_kill_and_gives_a_command() -> None:
    """Of the bots exactly one is killed, while it hears its meeting; another one is given the command."""
    for faults in SCHEDULES:
        [death] = [fault for fault in faults if fault.kind is FaultKind.KILL and fault.target == BOT]
        [command] = [fault for fault in faults if fault.kind in COMMANDS]
        assert death.meeting is not None
        assert death.at_s < LENGTHS_S[death.meeting]
        assert command.meeting != death.meeting
        assert len([fault for fault in faults if fault.moment]) == 1


def test_the_bot_that_is_killed_is_not_paused() -> None:
    """Whose doing its silence was stays clear."""
    for faults in SCHEDULES:
        [death] = [fault for fault in faults if fault.kind is FaultKind.KILL and fault.target == BOT]
        assert not [fault for fault in faults if fault.kind is FaultKind.PAUSE and fault.meeting == death.meeting]


def test_a_target_has_one_fault_at_a_time() -> None:
    """A pause is not ended by another one's end; a clock may be wrong meanwhile."""
    for faults in SCHEDULES:
        for number, fault in enumerate(faults):
            assert not any(_meet(fault, other) for other in faults[number + 1 :])


def test_clocks_that_cannot_be_stepped_are_left_alone() -> None:
    """Everything else is drawn as it would be."""
    for seed, faults in enumerate(SCHEDULES):
        others = draw(seed, lengths_s=LENGTHS_S, has_clocks=False)
        assert others == tuple(fault for fault in faults if fault.kind is not FaultKind.STEP)


def victims(kind: FaultKind) -> set[str]:
    return {fault.target for fault in DRAWN if fault.kind is kind}


def _meet(first: Fault, second: Fault) -> bool:
    is_same_sort = (first.kind is FaultKind.STEP) == (second.kind is FaultKind.STEP)
    is_aimed = first.moment is not None or second.moment is not None
    same_target = (first.target, first.meeting) == (second.target, second.meeting)
    return same_target and is_same_sort and not is_aimed and second.at_s <= first.until_s
