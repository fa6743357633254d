"""One seed: meetings are held, things go wrong, calm returns, and everything is checked."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from random import Random
from typing import Any

import httpx

from vexa_events.errors import VexaError
from vexa_functions.store.census import Census, Unsettled
from vexa_functions.store.database import Database
from vexa_functions.store.transcripts import StoredSpan, Transcripts
from vexa_local.chaos.checker import Death, Evidence, Tolerance, Words, check_meeting, outage_at
from vexa_local.chaos.faults import Fault
from vexa_local.chaos.recordings import ReferenceWord
from vexa_local.chaos.saboteur import Saboteur, living_bots
from vexa_local.chaos.stand import Meeting, Stand, parts_ready
from vexa_local.chaos.user import User, new_key
from vexa_local.chaos.watcher import Watcher
from vexa_local.check import Finding, check_transcript

TICK_EVERY_S = 4.0
LOOK_EVERY_S = 2.0
CALM_LIMIT_S = 200.0
"""After the last fault; batches and deliveries may be waiting for more than a minute by then."""
PARTS_LIMIT_S = 60.0
LIVE_LIMIT_S = 10.0
_TIMEOUT_S = 10.0
_SHUT_DOWN_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one seed led to."""

    seed: int
    faults: tuple[Fault, ...]
    findings: tuple[Finding, ...]
    words: Words
    missing_s: float
    settled_s: float
    """From the end of the last fault, or of the meetings, until nothing was left to do."""
    deaths: int
    transcripts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_good(self) -> bool:
        return not self.findings


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialPlan:
    """What is to be tried."""

    seed: int
    faults: tuple[Fault, ...]
    tolerance: Tolerance
    reference: Mapping[str, Mapping[str, Sequence[ReferenceWord]]]
    """By meeting name, then speaker."""
    calm_limit_s: float = CALM_LIMIT_S


async def run_trial(stand: Stand, plan: TrialPlan) -> Outcome:
    """Hold the meetings once under the plan's faults."""
    stack, names = stand.stack, [meeting.name for meeting in stand.meetings]
    addresses = stack.direct
    email = f"seed-{plan.seed}-{time.time_ns()}@chaos.local"
    key = await new_key(addresses.gateway, admin_key=stack.secrets.admin_api_key, email=email)
    watcher = Watcher(addresses.gateway.replace("http", "ws") + "/ws", key)
    saboteur = Saboteur(stand.victims, Random(plan.seed))  # noqa: S311 - a choice, no secret
    headers = {"X-API-Key": key}
    async with (
        httpx.AsyncClient(base_url=addresses.gateway, headers=headers, timeout=_TIMEOUT_S, trust_env=False) as client,
        _database(addresses.database) as database,
        asyncio.TaskGroup() as tasks,
    ):
        user = User(client)
        for name in names:
            await user.send_bot(name)
        background = [
            tasks.create_task(watcher.follow(names)),
            tasks.create_task(_tick(addresses.bots, addresses.collector)),
        ]
        length_s = max(meeting.recording.length_s for meeting in stand.meetings)
        await asyncio.gather(saboteur.carry_out(plan.faults), asyncio.sleep(length_s))
        calm = _Calm(stand, user, database, watcher, saboteur)
        outcome = await calm.judge(plan)
        for task in background:
            task.cancel()
    return outcome


@dataclass(slots=True)
class _Calm:
    """The time after the faults."""

    stand: Stand
    user: User
    database: Database
    watcher: Watcher
    saboteur: Saboteur

    async def judge(self, plan: TrialPlan) -> Outcome:
        """Wait until everything has come to rest, or should have; then check it."""
        loop = asyncio.get_running_loop()
        calm_s = loop.time()
        late = await parts_ready(self.stand.victims, within_s=PARTS_LIMIT_S)
        unsettled = await self._settle(deadline_s=calm_s + plan.calm_limit_s)
        settled_s = loop.time() - calm_s
        findings = [Finding(rule="down", where=name, what="does not come back") for name in late]
        findings += [Finding(rule="stuck", where="database", what=f"{n} {what}") for what, n in unsettled.items()]
        findings += await self._check_orphans()
        words, missing_s, transcripts = Words(), 0.0, {}
        for meeting in self.stand.meetings:
            evidence = await self._evidence(meeting, plan)
            found, counted = check_meeting(evidence, plan.tolerance)
            spans = await self._spans(int(evidence.transcript["id"]))
            findings += [*found, *check_transcript(evidence.transcript, spans)]
            words.add(counted)
            missing_s += evidence.transcript["coverage"]["missing_s"]
            transcripts[meeting.name] = evidence.transcript
        return Outcome(
            seed=plan.seed,
            faults=plan.faults,
            findings=tuple(findings),
            words=words,
            missing_s=round(missing_s, 3),
            settled_s=round(settled_s, 1),
            deaths=len(self.saboteur.killed_at_s),
            transcripts=transcripts,
        )

    async def _settle(self, *, deadline_s: float) -> Mapping[str, int]:
        """Wait until nothing is left to do; return what is."""
        ids = [int((await self.user.transcript(meeting.name))["id"]) for meeting in self.stand.meetings]
        while True:
            counts: Mapping[str, int] = {"databases out of reach": 1}
            with suppress(VexaError):
                counts = (await self._unsettled(ids)).counts
            if not counts or asyncio.get_running_loop().time() > deadline_s:
                return counts
            await asyncio.sleep(LOOK_EVERY_S)

    async def _unsettled(self, ids: Sequence[int]) -> Unsettled:
        async with self.database.connection() as connection:
            return await Census(connection).unsettled(ids)

    async def _spans(self, meeting_id: int) -> list[StoredSpan]:
        async with self.database.connection() as connection:
            return await Transcripts(connection).spans(meeting_id)

    async def _check_orphans(self) -> list[Finding]:
        folder = self.stand.victims.bots_dir
        await self._until(lambda: not list(living_bots(folder)), within_s=_SHUT_DOWN_S)
        living = living_bots(folder)
        return [Finding(rule="orphan", where=uid, what=f"bot process {bot.pid} still runs") for uid, bot in living]

    async def _evidence(self, meeting: Meeting, plan: TrialPlan) -> Evidence:
        transcript = await self.user.transcript(meeting.name)
        live = self.watcher.committed[meeting.name]
        await self._until(lambda: len(live) >= len(transcript["segments"]), within_s=LIVE_LIMIT_S)
        return Evidence(
            name=meeting.name,
            length_s=meeting.recording.length_s,
            words_by_speaker=plan.reference[meeting.name],
            transcript=transcript,
            live=dict(live),
            death=self._death(transcript, plan.faults),
        )

    async def _until(self, is_so: Callable[[], bool], *, within_s: float) -> None:
        """Wait for something, but not for ever."""
        deadline_s = asyncio.get_running_loop().time() + within_s
        while True:
            if is_so() or asyncio.get_running_loop().time() > deadline_s:
                return
            await asyncio.sleep(LOOK_EVERY_S / 4)

    def _death(self, transcript: Mapping[str, Any], faults: Sequence[Fault]) -> Death | None:
        """Find whether this meeting's bot was killed while it had something to do."""
        sessions = {stream["session_uid"] for stream in transcript["coverage"]["streams"]}
        killed = [at_s for uid, at_s in self.saboteur.killed_at_s.items() if uid in sessions]
        return Death(at_s=killed[0], outage_s=outage_at(killed[0], faults)) if killed else None


async def _tick(*function_urls: str) -> None:
    """Do what the PingSources do, more often."""
    async with httpx.AsyncClient(timeout=_TIMEOUT_S, trust_env=False) as client:
        while True:
            for url in function_urls:
                with suppress(httpx.HTTPError):
                    await client.post(f"{url}/internal/tick")
            await asyncio.sleep(TICK_EVERY_S)


@asynccontextmanager
async def _database(url: str) -> AsyncIterator[Database]:
    database = Database(url, max_connections=2)
    try:
        yield database
    finally:
        await database.aclose()
