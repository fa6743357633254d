"""How long a bot stays, over verdicts and times."""

from functools import partial

import pytest

from vexa_bot.browser.snapshot import MeetingState, Verdict
from vexa_bot.browser.stay import DEBOUNCE, DOUBT_S, Limits, Milestone, Stay
from vexa_bot.lifecycle import Ending
from vexa_events.identity import BotStatus

LIMITS = Limits(join_s=60, waiting_room_s=300, startup_alone_s=120, everyone_left_s=30, max_age_s=3_600)


def _verdict(state: MeetingState, reason: str | None = None) -> Verdict:
    return Verdict(state=state, evidence=f"saw {state.value}", reason=reason)


class _Seen:
    """A stay to which the test tells one look after another."""

    def __init__(self) -> None:
        self.stay = Stay(LIMITS)

    def at(
        self, now_s: float, state: MeetingState, *, others: int = 0, is_loud: bool = False, reason: str | None = None
    ) -> Milestone | Ending | None:
        return self.stay.look(_verdict(state, reason), others=others, is_loud=is_loud, now_s=now_s)

    def admitted(self) -> "_Seen":
        assert self.at(1.0, MeetingState.ADMITTED) is Milestone.ADMITTED
        return self


def test_waiting_and_admission_are_told_once() -> None:
    """However often they are seen."""
    seen = _Seen()

    steps = [seen.at(now_s, MeetingState.WAITING) for now_s in (1, 2, 3)]
    steps += [seen.at(now_s, MeetingState.ADMITTED) for now_s in (4, 5)]

    assert steps == [Milestone.AWAITING_ADMISSION, None, None, Milestone.ADMITTED, None]


@pytest.mark.parametrize(
    ("state", "status", "reason"),
    [
        (MeetingState.REMOVED, BotStatus.COMPLETED, "removed"),
        (MeetingState.ENDED, BotStatus.COMPLETED, "meeting_ended"),
        (MeetingState.BLOCKED, BotStatus.FAILED, "blocked"),
    ],
)
def test_a_bot_in_the_meeting_is_out_when_two_looks_agree(state: MeetingState, status: BotStatus, reason: str) -> None:
    """One look can be a page in mid-change."""
    seen = _Seen().admitted()

    assert seen.at(10.0, state) is None
    assert seen.at(10.5, MeetingState.ADMITTED) is None
    assert seen.at(11.0, state) is None
    assert seen.at(11.5, state) == Ending(status=status, reason=reason, evidence=f"saw {state.value}")
    assert DEBOUNCE == 2


def _notice(seen: _Seen, now_s: float, *, is_loud: bool = False) -> Milestone | Ending | None:
    verdict = Verdict(state=MeetingState.ENDED, evidence="the page shows ended", is_doubtful=True)
    return seen.stay.look(verdict, others=1, is_loud=is_loud, now_s=now_s)


def test_words_of_the_end_over_a_meeting_that_goes_on_end_nothing() -> None:
    """A notice passes, and what somebody wrote stays while people talk."""
    seen = _Seen().admitted()

    passing = [_notice(seen, 10.0 + step / 2) for step in range(20)]
    gone = seen.at(20.0, MeetingState.ADMITTED, others=1)
    talking = [_notice(seen, 21.0 + step / 2, is_loud=step % 30 == 0) for step in range(200)]

    assert {*passing, gone, *talking} == {None}


def test_a_notice_at_the_door_keeps_nobody_out() -> None:
    """The bot is in once it has passed."""
    seen = _Seen()

    at_the_door = [_notice(seen, 1.0 + step / 2) for step in range(10)]

    assert {*at_the_door} == {None}
    assert seen.at(6.0, MeetingState.ADMITTED) is Milestone.ADMITTED


def test_words_of_the_end_that_stay_over_a_silent_meeting_are_believed() -> None:
    """Some pages lay them over what they showed."""
    seen = _Seen().admitted()
    _notice(seen, 10.0)

    assert _notice(seen, 9.5 + DOUBT_S) is None
    assert isinstance(_notice(seen, 10.0 + DOUBT_S), Ending)


@pytest.mark.parametrize("state", [MeetingState.DENIED, MeetingState.ENDED, MeetingState.REMOVED])
def test_a_bot_that_never_was_in_the_meeting_has_failed(state: MeetingState) -> None:
    """Whatever the page says about why."""
    seen = _Seen()
    seen.at(1.0, state)

    ending = seen.at(1.5, state)

    assert isinstance(ending, Ending)
    assert ending.status is BotStatus.FAILED


def test_a_platforms_own_reason_is_told() -> None:
    """A wrong passcode is more than a denial."""
    seen = _Seen()
    seen.at(1.0, MeetingState.DENIED, reason="wrong_passcode")

    ending = seen.at(1.5, MeetingState.DENIED, reason="wrong_passcode")

    assert isinstance(ending, Ending)
    assert ending.reason == "wrong_passcode"


@pytest.mark.parametrize(
    ("state", "limit_s", "reason"),
    [
        (MeetingState.PREJOIN, 61, "join_timed_out"),
        (MeetingState.UNKNOWN, 61, "join_timed_out"),
        (MeetingState.WAITING, 301, "not_admitted_in_time"),
        (MeetingState.NOT_STARTED, 301, "not_started_in_time"),
    ],
)
def test_what_lasts_too_long_before_admission_fails(state: MeetingState, limit_s: float, reason: str) -> None:
    """The limits run from the first look, at one second here: how long a browser takes to start is no part of them."""
    seen = _Seen()
    seen.at(1.0, state)

    assert seen.at(limit_s - 0.1, state) is None
    ending = seen.at(limit_s, state)

    assert isinstance(ending, Ending)
    assert (ending.status, ending.reason) == (BotStatus.FAILED, reason)


def test_trying_again_does_not_make_the_wait_longer() -> None:
    """A page that is loaded anew shows other things in between, and the reason stays."""
    seen = _Seen()
    seen.at(1.0, MeetingState.NOT_STARTED, reason="room_not_found")

    assert seen.at(100.0, MeetingState.UNKNOWN) is None
    ending = seen.at(301.0, MeetingState.PREJOIN)

    assert isinstance(ending, Ending)
    assert ending.reason == "room_not_found"


def test_a_bot_to_which_nobody_came_leaves() -> None:
    """After the limit for that."""
    seen = _Seen().admitted()

    assert seen.at(120.9, MeetingState.ADMITTED) is None
    ending = seen.at(121.0, MeetingState.ADMITTED)

    assert isinstance(ending, Ending)
    assert (ending.status, ending.reason) == (BotStatus.COMPLETED, "no_one_joined")


def test_a_bot_that_is_left_alone_leaves_sooner() -> None:
    """Once it had company."""
    seen = _Seen().admitted()
    seen.at(50.0, MeetingState.ADMITTED, others=2)

    assert seen.at(79.9, MeetingState.ADMITTED) is None
    ending = seen.at(80.0, MeetingState.ADMITTED)

    assert isinstance(ending, Ending)
    assert ending.reason == "left_alone"


def test_nobody_is_missed_while_the_bot_itself_is_away() -> None:
    """A page that replaces a lost one shows nobody until it is in the meeting, and is alone only from then on."""
    seen = _Seen().admitted()
    seen.at(2.0, MeetingState.ADMITTED, others=1)
    seen.stay.begin_again()

    away = [seen.at(now_s, MeetingState.PREJOIN) for now_s in (10.0, 33.0, 60.0)]
    back = [seen.at(now_s, MeetingState.ADMITTED) for now_s in (61.0, 89.0)]
    ending = seen.at(90.0, MeetingState.ADMITTED)

    assert [*away, *back] == [None] * 5
    assert isinstance(ending, Ending)
    assert ending.reason == "left_alone"


def test_sound_without_anybody_to_see_keeps_the_bot_there() -> None:
    """A roster that is not read right must not cost words."""
    seen = _Seen().admitted()
    seen.at(50.0, MeetingState.ADMITTED, others=1)
    hear = partial(seen.at, state=MeetingState.ADMITTED, is_loud=True)

    assert [hear(now_s) for now_s in (70.0, 95.0, 120.0)] == [None, None, None]
    assert seen.at(149.0, MeetingState.ADMITTED) is None
    assert seen.at(150.0, MeetingState.ADMITTED) is not None


def test_the_longest_stay_is_bounded_in_the_best_company() -> None:
    """From admission on."""
    seen = _Seen().admitted()

    assert seen.at(3_600.0, MeetingState.ADMITTED, others=9) is None
    ending = seen.at(3_601.0, MeetingState.ADMITTED, others=9)

    assert isinstance(ending, Ending)
    assert ending.reason == "max_time_reached"
