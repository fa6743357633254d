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


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long what may take."""

    launch: timedelta
    """From the request to the bot's process."""
    stop_grace: timedelta
    """From an order to leave until a bot that does not fetch it is told by its launcher."""
    kill_grace: timedelta
    """From there until its process is ended."""
    silence: timedelta
    """A bot that cannot reach us for so long ends by itself."""
    kept: timedelta
    """How long what is left of an ended bot is kept, for those who read its log."""
    heartbeat: timedelta
    """A bot that lives tells at least so often what it captured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """The session is over."""

    status: BotStatus
    reason: str | None
    """None leaves the reason that the bot gave for leaving."""
    evidence: str
    at: datetime | None = None
    """When the bot last showed life; None where it never did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unheard:
    """An interval in which a lost bot captured what it told nobody of, in seconds on the session clock."""

    from_s: float
    until_s: float


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
        case Unknown() if now - _last_sign(session) > limits.silence:
            return _lost_in_silence(session, limits)
    return Undecided()


def judge_unlaunched(session: Session, *, now: datetime, limits: Limits) -> Ended | Undecided:
    """Say what follows for a session whose bot no launcher knows and none was ever noted to have launched."""
    if session.heartbeat_at is not None:
        return _lost_in_silence(session, limits) if now - session.heartbeat_at > limits.silence else Undecided()
    if session.stop_requested_at is not None and now > session.launch_due_at:
        evidence = "the bot was told to leave before it was launched"
        return Ended(status=BotStatus.COMPLETED, reason="stopped_by_user", evidence=evidence)
    return Undecided()


def judge_launch(session: Session, cause: str, *, now: datetime, limits: Limits) -> Ended | Undecided:
    """Say what follows for a session whose bot the launcher cannot launch."""
    if session.heartbeat_at is None and now - session.requested_at > limits.launch:
        return _failed("launch_lost", f"the bot could not be launched within {limits.launch}: {cause}")
    return Undecided()


def judge_exit(session: Session, seen: Exited, streams: Sequence[Stream], *, now: datetime) -> Ended:
    """Say how a session ended whose bot's process ended without a last word, and when it last showed life."""
    code = "an unknown code" if seen.code is None else f"code {seen.code}"
    evidence = f"the bot's process ended with {code}" + (f" ({seen.why})" if seen.why else "")
    at = min(now, _last_life(session, seen, streams))
    is_all_stored = all(reaches(stream.stored_until_s, stream.captured_until_s) for stream in streams)
    was_told = session.stop_requested_at is not None
    if is_all_stored and (was_told or (session.status is BotStatus.STOPPING and seen.code == 0)):
        reason = "stopped_by_user" if was_told else None
        return Ended(status=BotStatus.COMPLETED, reason=reason, evidence=evidence, at=at)
    return _failed("bot_lost", evidence, at=at)


def judge_unheard(session: Session, seen: Exited, *, now: datetime, limits: Limits) -> Unheard | None:
    """
    Say for how long a lost bot may have listened since its last word; None where it did not, or told that it ceased to.

    Where nobody wrote down when it ended, until its next word was due.
    """
    if session.clock_zero_at is None or session.heartbeat_at is None or session.status is not BotStatus.ACTIVE:
        return None
    ended_at = min(now, seen.at or session.heartbeat_at + limits.heartbeat)
    from_s, until_s = ((at - session.clock_zero_at).total_seconds() for at in (session.heartbeat_at, ended_at))
    return Unheard(from_s=max(0.0, from_s), until_s=until_s) if until_s > max(0.0, from_s) else None


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


def _last_life(session: Session, seen: Exited, streams: Sequence[Stream]) -> datetime:
    """Find the last evidence of life: a call, what was heard, or the end that somebody wrote down."""
    signs = [_last_sign(session), *([seen.at] if seen.at else [])]
    if session.clock_zero_at is not None:
        ends = (max(stream.captured_until_s, stream.stored_until_s) for stream in streams)
        signs += [session.clock_zero_at + timedelta(seconds=end_s) for end_s in ends]
    return max(signs)


def _lost_in_silence(session: Session, limits: Limits) -> Ended:
    evidence = f"no launcher knows the bot, and it was silent for {limits.silence}"
    return _failed("bot_lost", evidence, at=_last_sign(session))


def _failed(reason: str, evidence: str, *, at: datetime | None = None) -> Ended:
    return Ended(status=BotStatus.FAILED, reason=reason, evidence=evidence, at=at)
