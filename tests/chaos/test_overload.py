"""A whole stack whose workers cannot keep up: what is given up is the same wherever one looks."""

import asyncio
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.waiting import DEADLINE_S

from vexa_local.chaos.attendance import Attendance, Meeting
from vexa_local.chaos.clocks import Clocks
from vexa_local.chaos.recordings import ReferenceWord, read_recordings, shortened
from vexa_local.chaos.stand import describe_stack, lay_out, standing
from vexa_local.chaos.user import User, new_key
from vexa_local.ports import LOOPBACK

RECORDING = "standup"
AT_ONCE = 3
LENGTH_S = 12.0
READING_S = 1.5
MOST_LAG_S = 1
"""Workers fall behind with every reading."""
EDGE_S = 0.5
WARNING = re.compile(rb"overload: ([0-9.]+)-([0-9.]+) s will not be transcribed")
METRIC = re.compile(r'^vexa_pool_audio_shed_seconds_total\{reason="overload"\} ([0-9.]+)$', re.MULTILINE)
Intervals = list[tuple[float, float]]


@dataclass
class Wire:
    """What workers answered to bots."""

    heard: bytearray = field(default_factory=bytearray)

    @property
    def warnings(self) -> Intervals:
        return sorted((float(since), float(until)) for since, until in WARNING.findall(self.heard))


@dataclass
class Attended:
    """Meetings that were heard to their end, and every account of what was given up."""

    meetings: Sequence[Meeting]
    transcripts: Sequence[Mapping[str, Any]]
    on_the_wire: Intervals
    in_metrics_s: float

    @property
    def missing(self) -> list[Mapping[str, Any]]:
        return [gap for transcript in self.transcripts for gap in transcript["coverage"]["missing"]]


@pytest.mark.slow
async def test_what_overload_costs_is_told_alike_on_the_wire_in_metrics_and_in_coverage(
    tmp_path: Path, meetings_dir: Path, free_port_offset: Callable[[], int]
) -> None:
    """Each shed interval is warned of, counted and shown missing with its reason; all other words are stored."""
    attended = await attend_overloaded(tmp_path, meetings_dir, free_port_offset())

    missing_s = sum(transcript["coverage"]["missing_s"] for transcript in attended.transcripts)
    assert missing_s > 0.0
    assert {gap["reason"] for gap in attended.missing} == {"overload"}
    assert edges(attended.on_the_wire) == edges([(gap["start"], gap["end"]) for gap in attended.missing])
    assert sum(until - since for since, until in attended.on_the_wire) == pytest.approx(missing_s, abs=0.01)
    assert attended.in_metrics_s == pytest.approx(missing_s, abs=0.01)
    for meeting, transcript in zip(attended.meetings, attended.transcripts, strict=True):
        for speaker, words in meeting.recording.words_by_speaker.items():
            due = outside_of_gaps(words, transcript["coverage"], speaker)
            assert is_kept(due, stored_words(transcript, speaker))


async def attend_overloaded(folder: Path, meetings_dir: Path, offset: int) -> Attended:
    stack = replace(
        describe_stack(folder, offset=offset, is_spelt=True),
        reading_s=READING_S,
        worker_environment={"MAX_LAG_S": str(MOST_LAG_S)},
        clocks=Clocks(folder, None),
    )
    recordings = [each for each in read_recordings(meetings_dir) if each.folder.name == RECORDING]
    meetings = lay_out(stack, [shortened(each, LENGTH_S) for each in recordings], count=AT_ONCE)
    wire = Wire()
    async with standing(stack, meetings) as stand:
        stand.victims.links["pool"].overhear = wire.heard.extend
        key = await new_key(stack.direct.gateway, admin_key=stack.secrets.admin_api_key, email="ann@example.org")
        async with httpx.AsyncClient(
            base_url=stack.direct.gateway, headers={"X-API-Key": key}, timeout=DEADLINE_S
        ) as client:
            user = User(client)
            attendances = [await user.send_bot(meeting) for meeting in meetings]
            transcripts = [await heard_out(user, each, stack.direct.collector) for each in attendances]
        ports = [stack.ports.pool + number for number in (1, 2)]
        in_metrics_s = sum([await shed_s(port) for port in ports])
    return Attended(meetings=meetings, transcripts=transcripts, on_the_wire=wire.warnings, in_metrics_s=in_metrics_s)


async def heard_out(user: User, attendance: Attendance, collector_url: str) -> dict[str, Any]:
    """Wait until the transcript is final."""
    async with asyncio.timeout(DEADLINE_S), httpx.AsyncClient(timeout=DEADLINE_S) as client:
        while not (transcript := await user.transcript(attendance))["finalized"]:
            await client.post(f"{collector_url}/internal/tick")
            await asyncio.sleep(0.2)
    return transcript


async def shed_s(port: int) -> float:
    async with httpx.AsyncClient(timeout=DEADLINE_S) as client:
        text = (await client.get(f"http://{LOOPBACK}:{port}/metrics")).text
    return sum(float(value) for value in METRIC.findall(text))


def edges(intervals: Intervals) -> set[float]:
    """Reduce intervals to what survives joining those that touch, as the ledger does and the wire does not."""
    counts = Counter(round(edge, 3) for interval in intervals for edge in interval)
    return {edge for edge, count in counts.items() if count % 2}


def outside_of_gaps(words: Sequence[ReferenceWord], coverage: Mapping[str, Any], speaker: str) -> list[str]:
    gaps = [(gap["start"] - EDGE_S, gap["end"] + EDGE_S) for gap in coverage["missing"] if gap["speaker"] == speaker]
    return [word.text for word in words if not any(low < word.end_s and word.start_s < high for low, high in gaps)]


def stored_words(transcript: Mapping[str, Any], speaker: str) -> list[str]:
    return [
        word for segment in transcript["segments"] if segment["speaker"] == speaker for word in segment["text"].split()
    ]


def is_kept(due: Sequence[str], stored: Sequence[str]) -> bool:
    """Tell whether the due words are there, in order."""
    rest = iter(stored)
    return all(word in rest for word in due)
