"""
What follows from the evidence about one bot; plain values in and out.

Silence alone proves nothing, and neither does a launcher that knows nothing of
a bot: the one may be a network that is down, the other a runtime that cleaned
up. A process that is known to have ended is evidence, and so is silence past
the time after which a bot gives up by itself, where no launcher knows it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from vexa_events.fields import reaches
from vexa_events.identity import BotStatus
from vexa_functions.bots.launchers.launcher import Exited, Observation, Running, Starting, Unknown
from vexa_functions.store.sessions import Session
from vexa_functions.store.streams import Stream

GIVES_UP_AFTER = timedelta(minutes=30)
"""A bot that cannot reach us for so long ends by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long what may take."""

    launch: timedelta
    """From the request to the bot's process."""
    stop_grace: timedelta
    """From an order to leave until a bot that does not fetch it is told by its launcher."""
    kill_grace: timedelta
    """From there until its process is ended."""
    kept: timedelta
    """How long what is left of an ended bot is kept, for those who read its log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """The session is over."""

    status: BotStatus
    reason: str | None
    """None leaves the reason that the bot gave for leaving."""
    evidence: str


@dataclass(frozen=True, slots=True)
class Undecided:
    """Nothing follows yet."""


@dataclass(frozen=True, slots=True)
class ToStop:
    """The launcher must tell the bot's process to end."""


@dataclass(frozen=True, slots=True)
class ToKill:
    """The launcher must end the bot's process."""


@dataclass(frozen=True, slots=True)
class ToRemove:
    """The launcher must forget the bot."""


def judge_running(
    session: Session, seen: Observation, *, now: datetime, limits: Limits
) -> Ended | ToStop | ToKill | Undecided:
    """Say what follows for a session that has not ended; how one ended that exited is told by `judge_exit`."""
    match seen:
        case Starting(why) if session.heartbeat_at is None and now - session.requested_at > limits.launch:
            return _failed("launch_failed", why or "the bot was accepted and never started")
        case Running() | Starting():
            return _judge_order(session, now=now, limits=limits)
        case Unknown() if now - _last_sign(session) > GIVES_UP_AFTER:
            return _failed("bot_lost", f"no launcher knows the bot, and it was silent for {GIVES_UP_AFTER}")
    return Undecided()


def judge_unlaunched(session: Session, *, now: datetime, limits: Limits) -> Ended | Undecided:
    """Say what follows for a session that no launcher knows of and that none was ever told of."""
    if session.heartbeat_at is None and now - session.requested_at > limits.launch:
        evidence = f"the bot was not launched within {limits.launch}"
        if session.stop_requested_at is not None:
            return Ended(status=BotStatus.COMPLETED, reason="stopped_by_user", evidence=evidence)
        return _failed("launch_lost", evidence)
    if session.heartbeat_at is not None and now - session.heartbeat_at > GIVES_UP_AFTER:
        return _failed("bot_lost", f"no launcher knows the bot, and it was silent for {GIVES_UP_AFTER}")
    return Undecided()


def judge_exit(session: Session, seen: Exited, streams: Sequence[Stream]) -> Ended:
    """Say how a session ended whose bot's process ended without a last word."""
    code = "an unknown code" if seen.code is None else f"code {seen.code}"
    evidence = f"the bot's process ended with {code}" + (f" ({seen.why})" if seen.why else "")
    is_all_stored = all(reaches(stream.stored_until_s, stream.captured_until_s) for stream in streams)
    was_told = session.stop_requested_at is not None
    if is_all_stored and (was_told or (session.status is BotStatus.STOPPING and seen.code == 0)):
        return Ended(status=BotStatus.COMPLETED, reason="stopped_by_user" if was_told else None, evidence=evidence)
    return _failed("bot_lost", evidence)


def judge_leftover(
    since: datetime, seen: Observation, *, now: datetime, limits: Limits
) -> ToStop | ToKill | ToRemove | Undecided:
    """Say what follows for a bot whose session ended, or was erased, at `since`."""
    age = now - since
    if isinstance(seen, Exited):
        return ToRemove() if age >= limits.kept else Undecided()
    if isinstance(seen, Running | Starting):
        return _ended_by(age, limits)
    return Undecided()


def _judge_order(session: Session, *, now: datetime, limits: Limits) -> ToStop | ToKill | Undecided:
    if session.stop_requested_at is None:
        return Undecided()
    return _ended_by(now - max(_last_sign(session), session.stop_requested_at), limits)


def _ended_by(age: timedelta, limits: Limits) -> ToStop | ToKill | Undecided:
    if age > limits.stop_grace + limits.kill_grace:
        return ToKill()
    return ToStop() if age > limits.stop_grace else Undecided()


def _last_sign(session: Session) -> datetime:
    return session.heartbeat_at or session.requested_at


def _failed(reason: str, evidence: str) -> Ended:
    return Ended(status=BotStatus.FAILED, reason=reason, evidence=evidence)
