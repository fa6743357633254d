"""
Whether a meeting went through the faults unharmed. Values in, findings out.

What is due: every reference word whose middle lies in what its bot captured,
outside of intervals that may be missing. A bot that its user stopped captures
until then. Only a killed bot may leave such intervals: with the reason
`bot_lost`, and as long as the outage at its death plus ALLOWED_S. If anything
else was wrong around the death, the words that no worker had committed by then
count to the outage.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import SequenceMatcher
from typing import Any

from vexa_events.identity import BotStatus, MissingReason
from vexa_local.chaos.faults import BOT, CHANNEL, RECEIVER, USER, Fault, FaultKind
from vexa_local.chaos.recordings import ReferenceWord
from vexa_local.check import Finding

ALLOWED_S = 2.5
"""A bot tells every 2 s what it captured, and may be a little late."""
LENGTH_TOLERANCE_S = 0.3
EDGE_S = 0.5
"""Around the edge of a missing interval a word may be there or not."""
RECOVERY_S = 15.0
"""From the end of a fault until everything has been started again."""
TAIL_S = 45.0
"""A worker holds what it heard of a bot that is gone for this long before it commits it."""
COMMIT_LAG_S = 21.0
"""The longest a worker hears speech without committing any of it, and what has been committed takes to be stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """How many words of a speaker may differ from the reference."""

    share: float
    count: int
    run: int
    """So many words in a row may be lost or doubled."""

    def allows(self, wrong: int, *, of: int) -> bool:
        """Tell whether so many single words may differ."""
        return wrong <= max(self.count, self.share * of)


EXACT = Tolerance(share=0.0, count=0, run=0)
HEARD = Tolerance(share=0.03, count=2, run=2)
"""For a real model, whose windows fall differently after a fault, against a run without any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """A bot that was killed."""

    at_s: float
    """After the meetings began, as faults are timed."""
    outage_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All that is known of one meeting when calm has returned."""

    name: str
    length_s: float
    words_by_speaker: Mapping[str, Sequence[ReferenceWord]]
    transcript: Mapping[str, Any]
    """What GET /transcripts answered."""
    live: Mapping[str, str]
    """Committed text by segment_id, as a watcher has it."""
    notices: Collection[str]
    """Types of the webhooks that told of it."""
    death: Death | None = None
    is_told_to_leave: bool = False
    captured_before: Mapping[str, float] = field(default_factory=dict)
    """How far each speaker was known to be captured when the user told the bot to leave."""
    is_watched: bool = True
    """Whether the watcher could see it to its end."""


@dataclass(slots=True)
class Words:
    """What became of the words of one or more speakers."""

    due: int = 0
    lost: int = 0
    extra: int = 0

    def add(self, other: "Words") -> None:
        """Add another count."""
        self.due += other.due
        self.lost += other.lost
        self.extra += other.extra


def check_meeting(evidence: Evidence, tolerance: Tolerance) -> tuple[list[Finding], Words]:
    """Check one meeting; return what is wrong with it, and the count of its words."""
    findings = [
        *_check_ending(evidence),
        *_check_captured(evidence),
        *_check_missing(evidence),
        *_check_live(evidence),
        *_check_notices(evidence),
    ]
    total = Words()
    for speaker in sorted({*evidence.words_by_speaker, *_speakers(evidence.transcript)}):
        found, words = _check_speaker(evidence, speaker, tolerance)
        findings += found
        total.add(words)
    return findings, total


def outage_at(death_s: float, faults: Iterable[Fault]) -> float:
    """Tell how long something had been, or was going to be, wrong when a bot died."""
    others = [fault for fault in faults if _holds_audio_up(fault)]
    near = [fault for fault in others if fault.at_s < death_s + TAIL_S and death_s < fault.until_s + RECOVERY_S]
    if not near:
        return 0.0
    began_s, moved = death_s, True
    while moved:
        earlier = [fault.at_s for fault in others if fault.at_s < began_s < fault.until_s + RECOVERY_S]
        moved = bool(earlier)
        began_s = min([began_s, *earlier])
    return death_s - began_s + COMMIT_LAG_S


def _holds_audio_up(fault: Fault) -> bool:
    return fault.target not in {BOT, CHANNEL, RECEIVER, USER} and fault.kind is not FaultKind.STEP


def _check_ending(evidence: Evidence) -> Iterator[Finding]:
    read = evidence.transcript
    ended = (read["status"], read.get("data", {}).get("reason"))
    expected = {(BotStatus.COMPLETED, "stopped_by_user" if evidence.is_told_to_leave else "meeting_ended")}
    if evidence.is_told_to_leave:
        expected.add((BotStatus.COMPLETED, "meeting_ended"))
    if evidence.death is not None:
        lost = (BotStatus.FAILED, MissingReason.BOT_LOST)
        expected = {lost, *expected} if _is_whole(evidence) else {lost}
    if ended not in expected:
        told = " or ".join(sorted(f"{status} ({reason})" for status, reason in expected))
        yield Finding(rule="status", where=evidence.name, what=f"{ended[0]} ({ended[1]}), expected {told}")
    if not read["finalized"]:
        yield Finding(rule="stuck", where=evidence.name, what="not finalized")


def _is_whole(evidence: Evidence) -> bool:
    """Tell whether a bot that was killed had nothing left to do: everything it captured is stored."""
    missing_s = evidence.transcript["coverage"].get("missing_s", 0.0)
    return not missing_s and not list(_check_captured(replace(evidence, death=None)))


def _check_captured(evidence: Evidence) -> Iterator[Finding]:
    """A bot that lives hears everything until the end; one that is told to leave keeps what it had heard."""
    if evidence.death is not None:
        return
    for speaker in evidence.words_by_speaker:
        least_s = evidence.captured_before.get(speaker, 0.0) if evidence.is_told_to_leave else evidence.length_s
        ends = [stream["captured_until"] for stream in _streams(evidence.transcript) if stream["speaker"] == speaker]
        if evidence.is_told_to_leave and not ends and not least_s:
            continue
        if len(ends) != 1 or not least_s - LENGTH_TOLERANCE_S <= ends[0] <= evidence.length_s + LENGTH_TOLERANCE_S:
            what = f"{speaker} captured until {ends}, expected {least_s:.2f} of {evidence.length_s:.2f} s"
            yield Finding(rule="captured", where=evidence.name, what=what)


def _check_notices(evidence: Evidence) -> Iterator[Finding]:
    """The user is told at least once that the bot has ended, and that the transcript is ready."""
    ending = {BotStatus.COMPLETED: "meeting.completed", BotStatus.FAILED: "bot.failed"}
    for expected in ("transcription.ready", ending.get(evidence.transcript["status"])):
        if expected is not None and expected not in evidence.notices:
            yield Finding(rule="untold", where=evidence.name, what=f"no webhook told of {expected}")


def _check_missing(evidence: Evidence) -> Iterator[Finding]:
    lost_s: dict[str, float] = {}
    for gap in evidence.transcript["coverage"]["missing"]:
        length_s = gap["end"] - gap["start"]
        if evidence.death is None or gap["reason"] != MissingReason.BOT_LOST:
            what = f"{length_s:.2f} s of {gap['speaker']} from {gap['start']} s: {gap['reason']}"
            yield Finding(rule="missing", where=evidence.name, what=what)
        else:
            lost_s[gap["stream_uid"]] = lost_s.get(gap["stream_uid"], 0.0) + length_s
    for uid, length_s in lost_s.items():
        allowed_s = ALLOWED_S + (evidence.death.outage_s if evidence.death else 0.0)
        if length_s > allowed_s:
            what = f"{length_s:.2f} s lost with the bot, {allowed_s:.2f} s allowed"
            yield Finding(rule="missing", where=uid, what=what)


def _check_live(evidence: Evidence) -> Iterator[Finding]:
    stored = {segment["segment_id"]: segment["text"] for segment in evidence.transcript["segments"]}
    for uid in sorted(stored.keys() - evidence.live.keys() if evidence.is_watched else ()):
        yield Finding(rule="live", where=evidence.name, what=f"{uid} was stored and never shown")
    for uid in sorted(evidence.live.keys() - stored.keys()):
        yield Finding(rule="live", where=evidence.name, what=f"{uid} was shown as committed and is not stored")
    for uid in sorted(stored.keys() & evidence.live.keys()):
        if stored[uid] != evidence.live[uid]:
            yield Finding(rule="live", where=evidence.name, what=f"{uid} was shown with another text")


def _check_speaker(evidence: Evidence, speaker: str, tolerance: Tolerance) -> tuple[list[Finding], Words]:
    reference = evidence.words_by_speaker.get(speaker, ())
    read = evidence.transcript
    stored = [text for segment in read["segments"] if segment["speaker"] == speaker for text in segment["text"].split()]
    excuses = _excused(evidence, speaker)
    due = [not any(low - EDGE_S < word.middle_s < high + EDGE_S for low, high in excuses) for word in reference]
    lost, extra, longest = _differences([word.text for word in reference], stored, due)
    findings = []
    where = f"{evidence.name}, {speaker}"
    if not tolerance.allows(len(lost), of=len(reference)) or longest > max(tolerance.run, 0):
        told = ", ".join(f"{reference[at].text!r} at {reference[at].middle_s:.1f} s" for at in lost[:5])
        findings.append(Finding(rule="lost", where=where, what=f"{len(lost)} of {sum(due)} words: {told}"))
    if not tolerance.allows(len(extra), of=len(reference)):
        told = " ".join(extra[:8])
        findings.append(Finding(rule="doubled", where=where, what=f"{len(extra)} words too many: {told}"))
    return findings, Words(due=sum(due), lost=len(lost), extra=len(extra))


def _excused(evidence: Evidence, speaker: str) -> list[tuple[float, float]]:
    """List the intervals of a speaker that need not be in the transcript: lost with the bot, or never captured."""
    if evidence.death is None and not evidence.is_told_to_leave:
        return []
    missing = evidence.transcript["coverage"]["missing"]
    gaps = [
        (gap["start"], gap["end"])
        for gap in missing
        if gap["speaker"] == speaker and gap["reason"] == MissingReason.BOT_LOST
    ]
    ends = [stream["captured_until"] for stream in _streams(evidence.transcript) if stream["speaker"] == speaker]
    return [*gaps, (max(ends, default=0.0), float("inf"))]


def _differences(
    reference: Sequence[str], stored: Sequence[str], due: Sequence[bool]
) -> tuple[list[int], list[str], int]:
    """Align two texts; return the due words that are gone, the words too many, and the longest run of gone words."""
    lost: list[int] = []
    extra: list[str] = []
    longest = 0
    plain = [_spoken(text) for text in reference]
    matcher = SequenceMatcher(None, plain, [_spoken(text) for text in stored], autojunk=False)
    for _, low, high, since, until in (opcode for opcode in matcher.get_opcodes() if opcode[0] != "equal"):
        gone = [at for at in range(low, high) if due[at]]
        lost += gone
        excused = high - low - len(gone)
        extra += stored[since + min(excused, until - since) : until] if excused else stored[since:until]
        longest = max(longest, len(gone) - (until - since))
    return lost, extra, longest


def _spoken(text: str) -> str:
    return "".join(char for char in text.casefold() if char.isalnum() or char == "~")


def _streams(transcript: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    streams: Sequence[Mapping[str, Any]] = transcript["coverage"]["streams"]
    return streams


def _speakers(transcript: Mapping[str, Any]) -> set[str]:
    return {str(segment["speaker"]) for segment in transcript["segments"]}
