"""One seed: meetings are held, things go wrong, calm returns, and everything is checked."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import httpx

from vexa_functions.store.census import Census
from vexa_functions.store.database import Database
from vexa_local.chaos.calm import CALM_LIMIT_S, LONGEST_CALM_S, Calm
from vexa_local.chaos.checker import Tolerance, Words
from vexa_local.chaos.commands import Commander
from vexa_local.chaos.faults import Fault
from vexa_local.chaos.recordings import ReferenceWord
from vexa_local.chaos.saboteur import Saboteur
from vexa_local.chaos.stand import Stand
from vexa_local.chaos.user import User, new_key
from vexa_local.chaos.watcher import Watcher
from vexa_local.check import Finding
from vexa_local.stack import Addresses

TICK_EVERY_S = 4.0
_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialPlan:
    """What is to be tried."""

    seed: int
    faults: tuple[Fault, ...]
    tolerance: Tolerance
    reference: Mapping[str, Mapping[str, Sequence[ReferenceWord]]]
    """By meeting name, then speaker."""
    calm_limit_s: float = CALM_LIMIT_S
    longest_calm_s: float = LONGEST_CALM_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one seed led to."""

    seed: int
    faults: tuple[Fault, ...]
    """As they were done; those that missed their moment, as they were drawn."""
    findings: tuple[Finding, ...]
    words: Words = field(default_factory=Words)
    missing_s: float = 0.0
    played_s: float = 0.0
    """From the beginning of the meetings to the end of the last one, or of the last fault."""
    settled_s: float = 0.0
    """From there until nothing was left to do."""
    deaths: int = 0
    missed: tuple[Fault, ...] = ()
    """Faults whose moment did not come."""
    transcripts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_good(self) -> bool:
        return not self.findings


async def run_trial(stand: Stand, plan: TrialPlan) -> Outcome:
    """Hold the meetings once under the plan's faults."""
    addresses, began_s = stand.stack.direct, asyncio.get_running_loop().time()
    email = f"seed-{plan.seed}-{time.time_ns()}@chaos.local"
    key = await new_key(addresses.gateway, admin_key=stand.stack.secrets.admin_api_key, email=email)
    watcher = Watcher(addresses.gateway.replace("http", "ws") + "/ws", key)
    async with (
        _client(addresses.gateway, key) as client,
        _database(addresses.database) as database,
        asyncio.TaskGroup() as tasks,
    ):
        commander = Commander(user=User(client), watcher=watcher, meetings=stand.meetings)
        saboteur = _saboteur(stand, commander, database)
        await commander.user.listen_at(f"{stand.victims.receiver_url}/hook")
        await commander.begin()
        background = [
            tasks.create_task(watcher.follow([meeting.name for meeting in stand.meetings])),
            tasks.create_task(_tick(addresses)),
        ]
        await asyncio.gather(saboteur.carry_out(plan.faults), asyncio.sleep(saboteur.length_s))
        await _play_out(commander)
        played_s = asyncio.get_running_loop().time() - began_s
        calm = Calm(stand=stand, commander=commander, database=database, watcher=watcher, faults=saboteur.struck)
        verdict = await calm.judge(
            plan.reference, plan.tolerance, limit_s=plan.calm_limit_s, longest_s=plan.longest_calm_s
        )
        for task in background:
            task.cancel()
    return Outcome(
        seed=plan.seed,
        faults=tuple(sorted([*saboteur.struck, *saboteur.missed], key=lambda fault: fault.at_s)),
        findings=tuple(verdict.findings),
        words=verdict.words,
        missing_s=round(verdict.missing_s, 3),
        played_s=round(played_s, 1),
        settled_s=round(verdict.settled_s, 1),
        deaths=sum(attendance.killed_at_s is not None for attendance in commander.attendances),
        missed=tuple(saboteur.missed),
        transcripts=verdict.transcripts,
    )


def _saboteur(stand: Stand, commander: Commander, database: Database) -> Saboteur:
    async def stored_batches() -> int:
        async with database.connection() as connection:
            return await Census(connection).stored_batches()

    length_s = max(meeting.recording.length_s for meeting in stand.meetings)
    return Saboteur(victims=stand.victims, commander=commander, stored_batches=stored_batches, length_s=length_s)


async def _play_out(commander: Commander) -> None:
    """Wait for meetings that were begun anew."""
    ends_s = max(each.begun_s + each.meeting.recording.length_s for each in commander.attendances)
    await asyncio.sleep(max(0.0, ends_s - asyncio.get_running_loop().time()))


async def _tick(addresses: Addresses) -> None:
    """Do what the PingSources do, more often."""
    async with httpx.AsyncClient(timeout=_TIMEOUT_S, trust_env=False) as client:
        while True:
            for url in (addresses.bots, addresses.collector, addresses.webhooks):
                with suppress(httpx.HTTPError):
                    await client.post(f"{url}/internal/tick")
            await asyncio.sleep(TICK_EVERY_S)


def _client(url: str, key: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=url, headers={"X-API-Key": key}, timeout=_TIMEOUT_S, trust_env=False)


@asynccontextmanager
async def _database(url: str) -> AsyncIterator[Database]:
    database = Database(url, max_connections=2)
    try:
        yield database
    finally:
        await database.aclose()
