"""Carries out faults on a running stack, and undoes them."""

import asyncio
import contextlib
import json
import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import httpx
import psutil
import redis.asyncio as redis
from redis.exceptions import RedisError

from vexa_local.chaos.channel import Manner
from vexa_local.chaos.faults import BOT, Fault, FaultKind
from vexa_local.chaos.link import Condition, Link
from vexa_local.leftovers import find_process
from vexa_local.parts import Part

SLOW_BYTES_PER_S = 24_000.0
"""Less than one stream's audio needs."""
LATENCY_S = 0.3
_TIMEOUT_S = 5.0
_MANNERS = {
    FaultKind.DROP: Manner.DROP,
    FaultKind.REPEAT: Manner.REPEAT,
    FaultKind.REVERSE: Manner.REVERSE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Victims:
    """What can be made to fail."""

    parts: Mapping[str, Part]
    links: Mapping[str, Link]
    channel_url: str
    valkey_url: str
    """Without a link."""
    bots_dir: Path


@dataclass(slots=True)
class Saboteur:
    """Does what a schedule says; `killed_at_s` tells which sessions lost their bot, and when."""

    victims: Victims
    random: Random
    killed_at_s: dict[str, float] = field(default_factory=dict)
    done: list[str] = field(default_factory=list)
    """What was done, in words."""

    async def carry_out(self, faults: Sequence[Fault]) -> None:
        """Carry out a schedule; return once everything is undone."""
        began_s = asyncio.get_running_loop().time()
        async with asyncio.TaskGroup() as tasks:
            for fault in faults:
                tasks.create_task(self._one(fault, began_s))

    async def _one(self, fault: Fault, began_s: float) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(max(0.0, began_s + fault.at_s - loop.time()))
        match fault.kind:
            case FaultKind.KILL | FaultKind.PAUSE:
                await self._signal(fault, at_s=loop.time() - began_s)
            case FaultKind.EMPTY:
                await self._empty_valkey()
            case FaultKind.RESET:
                self.victims.links[fault.target].reset()
            case FaultKind.CUT | FaultKind.SLOW | FaultKind.LATENCY:
                await self._spoil(self.victims.links[fault.target], fault)
            case _:
                await self._disturb(fault)
        self.done.append(str(fault))

    async def _signal(self, fault: Fault, *, at_s: float) -> None:
        processes = self._bot() if fault.target == BOT else self._processes(fault.target)
        if fault.kind is FaultKind.KILL:
            if fault.target == BOT:
                self._note_death(processes, at_s)
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

    def _bot(self) -> list[psutil.Process]:
        living = [process for _, process in living_bots(self.victims.bots_dir)]
        return [self.random.choice(living)] if living else []

    def _note_death(self, processes: Sequence[psutil.Process], at_s: float) -> None:
        for uid, process in living_bots(self.victims.bots_dir):
            if process in processes:
                self.killed_at_s[uid] = at_s

    async def _empty_valkey(self) -> None:
        client: redis.Redis = redis.Redis.from_url(self.victims.valkey_url, socket_timeout=_TIMEOUT_S)
        with contextlib.suppress(RedisError, OSError):
            await client.flushall()
        await client.aclose()

    async def _spoil(self, link: Link, fault: Fault) -> None:
        if fault.kind is FaultKind.CUT:
            link.condition = Condition(is_cut=True)
            link.reset()
        elif fault.kind is FaultKind.SLOW:
            link.condition = Condition(bytes_per_s=SLOW_BYTES_PER_S)
        else:
            link.condition = Condition(latency_s=LATENCY_S)
        try:
            await asyncio.sleep(fault.duration_s)
        finally:
            link.condition = Condition()

    async def _disturb(self, fault: Fault) -> None:
        try:
            await self._set_manner(_MANNERS[fault.kind])
            await asyncio.sleep(fault.duration_s)
        finally:
            await self._set_manner(Manner.PASS)

    async def _set_manner(self, manner: Manner) -> None:
        async with httpx.AsyncClient(timeout=_TIMEOUT_S, trust_env=False) as client:
            (await client.put(f"{self.victims.channel_url}/manner/{manner}")).raise_for_status()


def living_bots(folder: Path) -> Iterator[tuple[str, psutil.Process]]:
    """Yield session and process of each bot that lives."""
    for file in sorted(folder.glob("*.pid")):
        with contextlib.suppress(OSError, ValueError, KeyError):
            record = json.loads(file.read_text())
            process = find_process(int(record["pid"]), float(record["started"]))
            if process is not None:
                yield file.stem, process


def _send(processes: Sequence[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)
