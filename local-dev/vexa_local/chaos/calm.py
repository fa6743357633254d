"""The time after the faults: everything comes to rest, or should have, and is then held against what was said."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import httpx

from vexa_events.errors import VexaError
from vexa_functions.store.census import Census
from vexa_functions.store.database import Database
from vexa_functions.store.transcripts import StoredSpan, Transcripts
from vexa_local.chaos.attendance import Attendance
from vexa_local.chaos.checker import Death, Evidence, Tolerance, Words, check_meeting, outage_at
from vexa_local.chaos.commands import Commander
from vexa_local.chaos.faults import Fault
from vexa_local.chaos.inventory import telling, undelivered
from vexa_local.chaos.orphans import orphans
from vexa_local.chaos.recordings import ReferenceWord
from vexa_local.chaos.stand import Stand, parts_ready
from vexa_local.chaos.watcher import Watcher
from vexa_local.check import Finding, check_transcript

CALM_LIMIT_S = 200.0
"""Without any progress; batches and deliveries may be waiting for more than a minute."""
LONGEST_CALM_S = 600.0
LOOK_EVERY_S = 2.0
PARTS_LIMIT_S = 120.0
LIVE_LIMIT_S = 60.0
_TIMEOUT_S = 10.0
_SHUT_DOWN_S = 60.0
Reference = Mapping[str, Mapping[str, Sequence[ReferenceWord]]]


@dataclass(slots=True)
class Verdict:
    """What was found when calm had returned."""

    findings: list[Finding] = field(default_factory=list)
    words: Words = field(default_factory=Words)
    missing_s: float = 0.0
    settled_s: float = 0.0
    transcripts: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Calm:
    """Looks at everything past the links, and judges."""

    stand: Stand
    commander: Commander
    database: Database
    watcher: Watcher
    faults: Sequence[Fault]
    """As they were done."""

    async def judge(self, reference: Reference, tolerance: Tolerance, *, limit_s: float, longest_s: float) -> Verdict:
        """Wait until everything has come to rest, or nothing has moved for so long; then check it."""
        calm_s = asyncio.get_running_loop().time()
        late = await parts_ready(self.stand.victims, within_s=PARTS_LIMIT_S)
        unsettled = await self._settle(limit_s, until_s=calm_s + longest_s)
        verdict = Verdict(settled_s=asyncio.get_running_loop().time() - calm_s)
        verdict.findings += [Finding(rule="down", where=name, what="does not come back") for name in late]
        verdict.findings += [Finding(rule="stuck", where="stores", what=f"{n} {what}") for what, n in unsettled.items()]
        verdict.findings += [*self.commander.findings, *await self._check_orphans()]
        notices = await self._notices()
        for attendance in self.commander.attendances:
            if attendance.is_deleted:
                verdict.findings += await self._check_deleted(attendance)
            else:
                evidence = await self._evidence(attendance, reference, notices)
                await self._check(attendance, evidence, tolerance, verdict)
        return verdict

    async def _check(self, attendance: Attendance, evidence: Evidence, tolerance: Tolerance, verdict: Verdict) -> None:
        found, words = check_meeting(evidence, tolerance)
        spans = await self._spans(attendance.meeting_id)
        verdict.findings += [*found, *check_transcript(evidence.transcript, spans)]
        verdict.words.add(words)
        verdict.missing_s += evidence.transcript["coverage"]["missing_s"]
        verdict.transcripts[f"{attendance.meeting.name}, {attendance.meeting_id}"] = evidence.transcript

    async def _settle(self, limit_s: float, *, until_s: float) -> Mapping[str, int]:
        """Wait until nothing is left to do; return what is once that has not changed for so long."""
        seen: object = None
        moved_s = asyncio.get_running_loop().time()
        while True:
            counts, stored = {"stores out of reach": 1}, 0
            with suppress(VexaError):
                counts, stored = await self._unsettled(), await self._stored_batches()
            now_s = asyncio.get_running_loop().time()
            if (counts, stored) != seen:
                seen, moved_s = (counts, stored), now_s
            if not counts or now_s - moved_s > limit_s or now_s > until_s:
                return counts
            await asyncio.sleep(LOOK_EVERY_S)

    async def _unsettled(self) -> dict[str, int]:
        ids = [attendance.meeting_id for attendance in self.commander.attendances]
        async with self.database.connection() as connection:
            counts = (await Census(connection).unsettled(ids)).counts
        waiting = await undelivered(self.stand.victims.valkey_url)
        return counts | ({"undelivered_events": waiting} if waiting else {})

    async def _stored_batches(self) -> int:
        async with self.database.connection() as connection:
            return await Census(connection).stored_batches()

    async def _spans(self, meeting_id: int) -> list[StoredSpan]:
        async with self.database.connection() as connection:
            return await Transcripts(connection).spans(meeting_id)

    async def _check_orphans(self) -> list[Finding]:
        parts, mark = self.stand.victims.parts, self.stand.stack.mark
        await self._until(lambda: not orphans(parts, mark), within_s=_SHUT_DOWN_S)
        left = orphans(parts, mark)
        return [Finding(rule="orphan", where=str(each.pid), what=" ".join(each.cmdline())) for each in left]

    async def _check_deleted(self, attendance: Attendance) -> list[Finding]:
        """Nothing is read of a deleted meeting, and no word or name of it is kept."""
        where = attendance.meeting.name
        findings = []
        if not await self.commander.user.is_gone(attendance):
            findings.append(Finding(rule="kept", where=where, what="a deleted meeting is still read"))
        async with self.database.connection() as connection:
            rows = await Census(connection).remains(attendance.session_uid)
        keys = await telling(self.stand.victims.valkey_url, attendance.session_uid)
        findings += [Finding(rule="kept", where=where, what=f"{n} rows in {table}") for table, n in rows.items()]
        return findings + [Finding(rule="kept", where=where, what=f"words in {key}") for key in keys]

    async def _notices(self) -> Mapping[int, Sequence[str]]:
        async with httpx.AsyncClient(timeout=_TIMEOUT_S, trust_env=False) as client:
            told: dict[str, list[str]] = (await client.get(f"{self.stand.victims.receiver_url}/notices")).json()
        return {int(meeting): types for meeting, types in told.items()}

    async def _evidence(
        self, attendance: Attendance, reference: Reference, notices: Mapping[int, Sequence[str]]
    ) -> Evidence:
        transcript = await self.commander.user.transcript(attendance)
        live = self.watcher.committed[attendance.meeting_id]
        if not attendance.is_followed:
            await self._until(lambda: len(live) >= len(transcript["segments"]), within_s=LIVE_LIMIT_S)
        return Evidence(
            name=attendance.meeting.name,
            length_s=attendance.meeting.recording.length_s,
            words_by_speaker=reference[attendance.meeting.name],
            transcript=transcript,
            live=dict(live),
            notices=notices.get(attendance.meeting_id, ()),
            death=self._death(attendance),
            is_told_to_leave=attendance.is_told_to_leave,
            captured_before=attendance.captured_before,
            is_watched=not attendance.is_followed,
        )

    async def _until(self, is_so: Callable[[], bool], *, within_s: float) -> None:
        """Wait for something, but not for ever."""
        deadline_s = asyncio.get_running_loop().time() + within_s
        while not is_so() and asyncio.get_running_loop().time() < deadline_s:  # noqa: ASYNC110 - others' processes
            await asyncio.sleep(LOOK_EVERY_S / 4)

    def _death(self, attendance: Attendance) -> Death | None:
        at_s = attendance.killed_at_s
        return None if at_s is None else Death(at_s=at_s, outage_s=outage_at(at_s, self.faults))
