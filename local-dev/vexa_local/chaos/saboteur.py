"""Carries out faults on a running stack, and undoes them."""

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx
import psutil
import redis.asyncio as redis
from redis.exceptions import RedisError

from vexa_events.errors import VexaError
from vexa_local.bot_processes import bots_by_session, running_bots
from vexa_local.chaos.attendance import Attendance
from vexa_local.chaos.channel import Manner
from vexa_local.chaos.clocks import Clocks
from vexa_local.chaos.commands import Commander
from vexa_local.chaos.faults import BALANCER, BOT, COMMANDS, MARKS, Fault, FaultKind, Moment
from vexa_local.chaos.liar import HELD
from vexa_local.chaos.link import Condition, Link
from vexa_local.leftovers import tell
from vexa_local.parts import Part
from vexa_local.ports import LOOPBACK

SLOW_BYTES_PER_S = 24_000.0
"""Less than one stream's audio needs."""
LATENCY_S = 0.3
ATTEMPT_S = 20.0
"""How long a moment is waited for before it is tried to bring it about once more."""
MOMENT_LIMIT_S = 240.0
"""After the meetings, while there are bots still."""
_LOOK_EVERY_S = 0.02
_TIMEOUT_S = 5.0
_MANNERS = {
    FaultKind.DROP: Manner.DROP,
    FaultKind.REPEAT: Manner.REPEAT,
    FaultKind.REVERSE: Manner.REVERSE,
}
_CONDITIONS = {
    FaultKind.CUT: Condition(is_cut=True),
    FaultKind.SLOW: Condition(bytes_per_s=SLOW_BYTES_PER_S),
    FaultKind.LATENCY: Condition(latency_s=LATENCY_S),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Victims:
    """What can be made to fail."""

    parts: Mapping[str, Part]
    links: Mapping[str, Link]
    clocks: Clocks
    channel_url: str
    receiver_url: str
    valkey_url: str
    """Without a link."""
    bots_dir: Path


@dataclass(slots=True, kw_only=True)
class Saboteur:
    """Does what a schedule says."""

    victims: Victims
    commander: Commander
    stored_batches: Callable[[], Awaitable[int]]
    """Counts what is committed, past every link."""
    length_s: float
    """Of the meetings."""
    attempt_s: float = ATTEMPT_S
    struck: list[Fault] = field(default_factory=list)
    """What was done, each at the time when it was."""
    missed: list[Fault] = field(default_factory=list)
    """What waited for a moment that did not come."""

    async def carry_out(self, faults: Sequence[Fault]) -> None:
        """Carry out a schedule; return once everything is undone."""
        began_s = asyncio.get_running_loop().time()
        async with asyncio.TaskGroup() as tasks:
            for fault in faults:
                tasks.create_task(self._one(fault, began_s))

    async def _one(self, fault: Fault, began_s: float) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(max(0.0, began_s + fault.at_s - loop.time()))
        if fault.moment is not None and not await self._moment(fault.moment, meetings_end_s=began_s + self.length_s):
            self.missed.append(fault)
            return
        await asyncio.sleep(fault.delay_s)
        struck = replace(fault, at_s=round(loop.time() - began_s, 2))
        self.struck.append(struck)
        try:
            await self._strike(struck)
        finally:
            if fault.moment is Moment.UNACKNOWLEDGED:
                self._let_acknowledge()

    async def _strike(self, fault: Fault) -> None:
        if fault.kind in COMMANDS:
            await self.commander.carry_out(fault)
        elif fault.kind in _CONDITIONS:
            await self._spoil(self.victims.links[fault.target], fault)
        elif fault.kind in _MANNERS:
            await self._disturb(fault)
        else:
            await self._strike_at_once(fault)

    async def _strike_at_once(self, fault: Fault) -> None:
        match fault.kind:
            case FaultKind.KILL | FaultKind.PAUSE:
                await self._signal(fault)
            case FaultKind.STEP:
                await self._step_clock(fault)
            case FaultKind.REFUSE:
                await self._refuse(fault)
            case FaultKind.EMPTY:
                await self._empty_valkey()
            case FaultKind.RESET:
                self.victims.links[fault.target].reset()

    async def _moment(self, moment: Moment, *, meetings_end_s: float) -> bool:
        """Bring a moment about, again and again; false where every bot is gone before it comes."""
        now = asyncio.get_running_loop().time
        while not await self._comes(moment):
            if now() > meetings_end_s + MOMENT_LIMIT_S:
                return False
            if now() > meetings_end_s and not running_bots(self.victims.bots_dir):
                return False
        return True

    async def _comes(self, moment: Moment) -> bool:
        """Try once to bring a moment about; false where it does not come."""
        links = self.victims.links
        match moment:
            case Moment.LAST_FLUSH:
                return await links["bots"].sighted(b'"stopping"', within_s=self.attempt_s)
            case Moment.NEW_EPOCH:
                links[BALANCER].reset()
                return await links["bots"].sighted(b"/epochs HTTP", within_s=self.attempt_s)
            case Moment.UNACKNOWLEDGED:
                return await self._has_committed() and await self._has_committed_unacknowledged()
            case Moment.UNSTORED:
                return await self._holds_words()

    async def _has_committed_unacknowledged(self) -> bool:
        """Hold up acknowledgements until something is committed, and on from there."""
        self.victims.links[MARKS].condition = Condition(is_stalled=True)
        has_come = await self._has_committed()
        if not has_come:
            self._let_acknowledge()
        return has_come

    async def _has_committed(self) -> bool:
        """Wait until something is committed."""
        try:
            async with asyncio.timeout(self.attempt_s):
                before = await self.stored_batches()
                while await self.stored_batches() == before:  # noqa: ASYNC110 - a row in a database
                    await asyncio.sleep(_LOOK_EVERY_S)
        except (TimeoutError, VexaError):
            return False
        return True

    async def _holds_words(self) -> bool:
        """Wait until a collector that acknowledges too early holds words that it has not stored."""
        url = f"http://{LOOPBACK}:{self.victims.parts['collector'].spec.port}{HELD}"
        try:
            async with asyncio.timeout(self.attempt_s), httpx.AsyncClient(trust_env=False) as client:
                while not await _number(client, url):  # noqa: ASYNC110 - another process
                    await asyncio.sleep(_LOOK_EVERY_S)
        except TimeoutError:
            return False
        return True

    def _let_acknowledge(self) -> None:
        link = self.victims.links[MARKS]
        link.condition = Condition()
        link.reset()

    async def _signal(self, fault: Fault) -> None:
        processes = self._bot(fault) if fault.target == BOT else self._processes(fault.target)
        if fault.kind is FaultKind.KILL:
            _send(processes, signal.SIGKILL)
            return
        _send(processes, signal.SIGSTOP)
        try:
            await asyncio.sleep(fault.duration_s)
        finally:
            _send(processes, signal.SIGCONT)

    def _processes(self, name: str) -> list[psutil.Process]:
        """Find a part's process; Postgres is a family, and what the bots function started is not its own."""
        pid = self.victims.parts[name].pid
        try:
            process = psutil.Process(pid) if pid else None
            if process is None:
                return []
            return [process, *(process.children(recursive=True) if name == "postgres" else ())]
        except psutil.NoSuchProcess:
            return []

    def _bot(self, fault: Fault) -> list[psutil.Process]:
        """Find the process of a meeting's bot, and note its death."""
        attendance: Attendance = self.commander.attendance(fault)
        process = bots_by_session(self.victims.bots_dir).get(attendance.session_uid)
        if process is None:
            return []
        if fault.kind is FaultKind.KILL:
            attendance.killed_at_s = fault.at_s
        return [process]

    async def _step_clock(self, fault: Fault) -> None:
        self.victims.clocks.step(fault.target, fault.step_s)
        try:
            await asyncio.sleep(fault.duration_s)
        finally:
            self.victims.clocks.set_right(fault.target)

    async def _empty_valkey(self) -> None:
        client: redis.Redis = redis.Redis.from_url(self.victims.valkey_url, socket_timeout=_TIMEOUT_S)
        with contextlib.suppress(RedisError, OSError):
            await client.flushall()
        await client.aclose()

    async def _spoil(self, link: Link, fault: Fault) -> None:
        link.condition = replace(_CONDITIONS[fault.kind])
        if link.condition.is_cut:
            link.reset()
        try:
            await asyncio.sleep(fault.duration_s)
        finally:
            link.condition = Condition()

    async def _disturb(self, fault: Fault) -> None:
        manner = f"{self.victims.channel_url}/manner"
        try:
            await _order("PUT", f"{manner}/{_MANNERS[fault.kind]}")
            await asyncio.sleep(fault.duration_s)
        finally:
            await _order("PUT", f"{manner}/{Manner.PASS}")

    async def _refuse(self, fault: Fault) -> None:
        try:
            await _order("PUT", f"{self.victims.receiver_url}/refusing")
            await asyncio.sleep(fault.duration_s)
        finally:
            await _order("DELETE", f"{self.victims.receiver_url}/refusing")


async def _number(client: httpx.AsyncClient, url: str) -> int:
    """Read a number; 0 where nobody answers right now."""
    try:
        return int((await client.get(url)).raise_for_status().text)
    except httpx.HTTPError:
        return 0


async def _order(method: str, url: str) -> None:
    async with httpx.AsyncClient(timeout=_TIMEOUT_S, trust_env=False) as client:
        (await client.request(method, url)).raise_for_status()


def _send(processes: Sequence[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        tell(process, number)
