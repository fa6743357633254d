"""What follows from the evidence about a bot."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from vexa_events.identity import BotStatus, MeetingId, SessionUid, StreamKind, StreamUid, Task, UserId
from vexa_functions.bots.judging import (
    Ended,
    Limits,
    ToKill,
    ToRemove,
    ToStop,
    Undecided,
    judge_exit,
    judge_launch,
    judge_leftover,
    judge_running,
    judge_unlaunched,
)
from vexa_functions.bots.launchers.launcher import Exited, Observation, Running, Starting, Unknown
from vexa_functions.store.sessions import Session
from vexa_functions.store.streams import Stream

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
LIMITS = Limits(
    launch=timedelta(seconds=100),
    stop_grace=timedelta(seconds=10),
    kill_grace=timedelta(seconds=20),
    silence=timedelta(seconds=1_500),
    kept=timedelta(seconds=300),
    heartbeat=timedelta(seconds=2),
)


@pytest.mark.parametrize(
    ("seen", "ages", "expected"),
    [
        (Running(), {"requested": 90_000}, None),
        (Running(), {"requested": 90_000, "heartbeat": 80_000}, None),
        (Starting("no room"), {"requested": 100}, None),
        (Starting("no room"), {"requested": 101}, "launch_failed"),
        (Starting("no room"), {"requested": 5_000, "heartbeat": 4_000}, None),
        (Unknown(), {"requested": 1_500}, None),
        (Unknown(), {"requested": 1_501}, "bot_lost"),
        (Unknown(), {"requested": 9_000, "heartbeat": 1_500}, None),
        (Unknown(), {"requested": 9_000, "heartbeat": 1_501}, "bot_lost"),
    ],
)
def test_only_evidence_ends_a_session(seen: Observation, ages: dict[str, Any], expected: str | None) -> None:
    """Silence, a launcher that knows nothing, and a slow start are each no end alone."""
    judgement = judge_running(a_session(**ages), seen, now=NOW, limits=LIMITS)

    assert (judgement.reason if isinstance(judgement, Ended) else None) == expected


@pytest.mark.parametrize(
    ("ages", "expected"),
    [
        ({"stop": 10}, Undecided()),
        ({"stop": 11}, ToStop()),
        ({"stop": 30}, ToStop()),
        ({"stop": 31}, ToKill()),
        ({"stop": 3_000, "heartbeat": 5}, Undecided()),
        ({"stop": 3_000, "heartbeat": 11}, ToStop()),
        ({"stop": 5, "heartbeat": 3_000}, Undecided()),
    ],
)
def test_an_order_is_enforced_on_those_alone_who_do_not_hear_it(ages: dict[str, Any], expected: object) -> None:
    """A bot that heartbeats after its order is storing its last audio, however long that takes."""
    assert judge_running(a_session(**ages), Running(), now=NOW, limits=LIMITS) == expected


@pytest.mark.parametrize(
    ("ages", "expected"),
    [
        ({"requested": 9_000}, None),
        ({"stop": 5, "due": 0}, None),
        ({"stop": 5, "due": 1}, ("completed", "stopped_by_user")),
        ({"stop": 5, "due": 1, "heartbeat": 1}, None),
        ({"heartbeat": 1_500}, None),
        ({"heartbeat": 1_501}, ("failed", "bot_lost")),
    ],
)
def test_a_bot_that_was_never_noted_is_waited_for_unless_nobody_wants_it(
    ages: dict[str, Any], expected: tuple[str, str] | None
) -> None:
    """A heartbeat proves that it was launched after all; a stop ends what nobody is about to launch."""
    assert _outcome(judge_unlaunched(a_session(**ages), now=NOW, limits=LIMITS)) == expected


@pytest.mark.parametrize(
    ("ages", "expected"),
    [
        ({"requested": 100}, None),
        ({"requested": 101}, ("failed", "launch_lost")),
        ({"requested": 101, "heartbeat": 1}, None),
    ],
)
def test_a_launcher_that_cannot_is_given_time(ages: dict[str, Any], expected: tuple[str, str] | None) -> None:
    """A heartbeat proves that it could."""
    assert _outcome(judge_launch(a_session(**ages), "no engine", now=NOW, limits=LIMITS)) == expected


@pytest.mark.parametrize(
    ("fields", "seen", "unstored_s", "expected"),
    [
        ({}, Exited(1), 0.0, ("failed", "bot_lost")),
        ({}, Exited(0), 0.0, ("failed", "bot_lost")),
        ({}, Exited(None), 0.0, ("failed", "bot_lost")),
        ({"status": BotStatus.STOPPING}, Exited(0), 0.0, ("completed", None)),
        ({"status": BotStatus.STOPPING}, Exited(0), 0.0005, ("completed", None)),
        ({"status": BotStatus.STOPPING}, Exited(0), 1.0, ("failed", "bot_lost")),
        ({"status": BotStatus.STOPPING}, Exited(1), 0.0, ("failed", "bot_lost")),
        ({"status": BotStatus.STOPPING, "stop": 5}, Exited(137), 0.0, ("completed", "stopped_by_user")),
        ({"status": BotStatus.STOPPING, "stop": 5}, Exited(0), 1.0, ("failed", "bot_lost")),
    ],
)
def test_an_exit_without_a_last_word_is_told_from_what_is_stored(
    fields: dict[str, Any], seen: Exited, unstored_s: float, expected: tuple[str, str | None]
) -> None:
    """Audio that was captured and is not stored is never passed over as a good end."""
    stream = a_stream(stored_until_s=5.0, captured_until_s=5.0 + unstored_s)

    assert _outcome(judge_exit(a_session(**fields), seen, [stream], now=NOW)) == expected


@pytest.mark.parametrize(
    ("ages", "exited", "expected"),
    [
        ({"heartbeat": 50}, None, 50),
        ({"heartbeat": 50}, 48, 48),
        ({"heartbeat": 50}, 52, 50),
        ({"heartbeat": 50, "zero": 60}, None, 48),
        ({"heartbeat": 50, "zero": 60}, 47, 47),
        ({"requested": 90}, None, 90),
        ({"heartbeat": 50}, -5, 0),
    ],
    ids=["a call", "the end", "a late call", "what was heard", "the end after all", "nothing", "a clock that is fast"],
)
def test_a_session_ends_with_the_last_evidence_of_life(ages: dict[str, Any], exited: int | None, expected: int) -> None:
    """Nobody attended from there to the tick that found it out; twelve seconds were heard."""
    seen = Exited(1, at=None if exited is None else _ago(exited))

    ended = judge_exit(a_session(**ages), seen, [a_stream(stored_until_s=12.0, captured_until_s=11.0)], now=NOW)

    assert ended.at == _ago(expected)


def test_a_bot_lost_in_silence_ended_with_its_last_call() -> None:
    """Half an hour without a sign is not half an hour of attendance."""
    ended = judge_running(a_session(heartbeat=1_900), Unknown(), now=NOW, limits=LIMITS)

    assert isinstance(ended, Ended)
    assert ended.at == _ago(1_900)


def test_the_evidence_names_code_and_cause() -> None:
    """An administrator reads what happened without the runtime at hand."""
    ended = judge_exit(a_session(), Exited(137, "out of memory"), [], now=NOW)

    assert ended.evidence == "the bot's process ended with code 137 (out of memory)"


@pytest.mark.parametrize(
    ("age_s", "seen", "expected"),
    [
        (10, Running(), Undecided()),
        (11, Running(), ToStop()),
        (31, Running(), ToKill()),
        (31, Starting(), ToKill()),
        (299, Exited(0), Undecided()),
        (300, Exited(0), ToRemove()),
        (90_000, Unknown(), Undecided()),
    ],
)
def test_a_leftover_is_ended_then_forgotten(age_s: int, seen: Observation, expected: object) -> None:
    """Its log is kept for a while."""
    assert judge_leftover(NOW - timedelta(seconds=age_s), seen, now=NOW, limits=LIMITS) == expected


def a_stream(*, stored_until_s: float, captured_until_s: float) -> Stream:
    return Stream(
        stream_uid=StreamUid("s.0"),
        session_uid=SessionUid("s"),
        kind=StreamKind.PARTICIPANT,
        start_s=0.0,
        epoch=1,
        next_batch_seq=1,
        stored_until_s=stored_until_s,
        captured_until_s=captured_until_s,
    )


def a_session(
    *,
    requested: int = 9_000,
    heartbeat: int | None = None,
    stop: int | None = None,
    zero: int | None = None,
    due: int = 0,
    status: BotStatus = BotStatus.ACTIVE,
) -> Session:
    """Build a session; the numbers are how many seconds ago something was."""
    return Session(
        session_uid=SessionUid("s"),
        meeting_id=MeetingId(1),
        user_id=UserId(1),
        platform="replay",
        native_meeting_id="standup",
        meeting_url=None,
        status=status,
        sequence=1,
        bot_name="Vexa",
        language=None,
        task=Task.TRANSCRIBE,
        passcode=None,
        automatic_leave=None,
        launcher_ref="process:s",
        launch_due_at=_ago(due),
        requested_at=_ago(requested),
        clock_zero_at=None if zero is None else _ago(zero),
        heartbeat_at=None if heartbeat is None else _ago(heartbeat),
        reconfigured_at=None,
        stop_requested_at=None if stop is None else _ago(stop),
        ended_at=None,
        end_noted_at=None,
        finalized_at=None,
    )


def _ago(seconds: int) -> datetime:
    return NOW - timedelta(seconds=seconds)


def _outcome(judgement: Ended | Undecided) -> tuple[str, str | None] | None:
    return (judgement.status.value, judgement.reason) if isinstance(judgement, Ended) else None
