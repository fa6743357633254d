"""A run of the harness: one stack, one seed after another."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from vexa_events.errors import InvalidMessage
from vexa_local.chaos.checker import EXACT, HEARD, Tolerance
from vexa_local.chaos.faults import draw
from vexa_local.chaos.liar import acknowledge_early
from vexa_local.chaos.recordings import Recording, ReferenceWord, heard_words, read_recordings, shortened
from vexa_local.chaos.report import RunFacts, print_table, seed_lines, write_report
from vexa_local.chaos.stand import Meeting, Stand, describe_stack, lay_out, prepare_folder, standing
from vexa_local.chaos.trial import CALM_LIMIT_S, Outcome, TrialPlan, run_trial

SCRIPTED, WHISPER = "scripted", "whisper"
ACKNOWLEDGEMENT = "acknowledgement"
LONGEST_SEED_S = 330.0
"""Beside the meetings' length; what takes longer is stuck, and so is the run."""
BROKEN_CALM_LIMIT_S = 30.0
"""What is broken on purpose does not come to rest."""
Words = Mapping[str, Mapping[str, Sequence[ReferenceWord]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """What the command line asked for."""

    meetings: Path
    at_once: int
    seeds: int
    from_seed: int
    json_file: Path | None
    engine: str = SCRIPTED
    length_s: float | None = None
    minutes: float | None = None
    broken: str | None = None
    port_offset: int = 10_000


async def run_chaos(options: RunOptions, console: Console) -> list[Outcome]:
    """Try every seed, or as many as there is time for; report what each led to."""
    began_s = time.monotonic()
    recordings = _read(options)
    folder = prepare_folder(options.port_offset)
    stack = describe_stack(folder, offset=options.port_offset, is_spelt=options.engine == SCRIPTED)
    meetings = lay_out(stack, recordings, count=options.at_once)
    outcomes: list[Outcome] = []
    async with standing(stack, meetings) as stand, _broken(options.broken, stack.direct.valkey):
        reference, tolerance = await _reference(stand, recordings, options, console)
        for seed in range(options.from_seed, options.from_seed + options.seeds):
            if _is_late(options, began_s, meetings):
                console.print(f"time is up after {len(outcomes)} of {options.seeds} seeds")
                break
            plan = _plan(options, seed, reference, tolerance, length_s=_longest_s(meetings))
            outcomes.append(await _try_seed(stand, plan, console))
            _keep(folder, outcomes[-1])
            _report(options, outcomes, began_s, meetings)
    print_table(console, outcomes)
    return outcomes


def _read(options: RunOptions) -> list[Recording]:
    recordings = read_recordings(options.meetings)
    if options.length_s is None:
        return recordings
    if options.engine != SCRIPTED:
        raise InvalidMessage("--length-s shortens spelt meetings only; recorded ones are held whole")
    return [shortened(recording, options.length_s) for recording in recordings]


def _plan(options: RunOptions, seed: int, reference: Words, tolerance: Tolerance, *, length_s: float) -> TrialPlan:
    calm_limit_s = CALM_LIMIT_S if options.broken is None else BROKEN_CALM_LIMIT_S
    return TrialPlan(
        seed=seed,
        faults=draw(seed, length_s=length_s),
        tolerance=tolerance,
        reference=reference,
        calm_limit_s=calm_limit_s,
    )


async def _try_seed(stand: Stand, plan: TrialPlan, console: Console) -> Outcome:
    for fault in plan.faults:
        console.print(f"  {fault}", highlight=False, soft_wrap=True)
    async with asyncio.timeout(_longest_s(stand.meetings) + LONGEST_SEED_S):
        outcome = await run_trial(stand, plan)
    for line in seed_lines(outcome):
        console.print(line, style="green" if outcome.is_good else "red", highlight=False, soft_wrap=True)
    return outcome


async def _reference(
    stand: Stand, recordings: Sequence[Recording], options: RunOptions, console: Console
) -> tuple[Words, Tolerance]:
    """Know the words: spelt audio says what the reference says, a real model what it hears without faults."""
    spoken = {meeting.name: meeting.recording.words_by_speaker for meeting in stand.meetings}
    if options.engine == SCRIPTED:
        return spoken, EXACT
    console.print("a run without faults comes first; its words are what the seeds are held against")
    plan = TrialPlan(seed=0, faults=(), tolerance=Tolerance(share=1.0, count=0, run=10_000), reference=spoken)
    first = await run_trial(stand, plan)
    return {name: heard_words(transcript) for name, transcript in first.transcripts.items()}, HEARD


@asynccontextmanager
async def _broken(what: str | None, valkey_url: str) -> AsyncIterator[None]:
    """Break what is to be broken for as long as the block lasts."""
    task = asyncio.create_task(acknowledge_early(valkey_url)) if what == ACKNOWLEDGEMENT else None
    try:
        yield
    finally:
        if task is not None:
            task.cancel()


def _report(options: RunOptions, outcomes: Sequence[Outcome], began_s: float, meetings: Sequence[Meeting]) -> None:
    """Write after each seed: a run that is cut short has told what it knows."""
    if options.json_file is None:
        return
    facts = RunFacts(
        engine=options.engine,
        meetings=len(meetings),
        length_s=_longest_s(meetings),
        broken=options.broken,
        wall_s=round(time.monotonic() - began_s, 1),
    )
    write_report(options.json_file, facts, outcomes)


def _keep(folder: Path, outcome: Outcome) -> None:
    """Keep the transcripts of a seed that did not hold, to look into."""
    if not outcome.is_good:
        (folder / f"seed-{outcome.seed}.json").write_text(json.dumps(outcome.transcripts, indent=1))


def _is_late(options: RunOptions, began_s: float, meetings: Sequence[Meeting]) -> bool:
    if options.minutes is None:
        return False
    return time.monotonic() - began_s + _longest_s(meetings) > options.minutes * 60


def _longest_s(meetings: Sequence[Meeting]) -> float:
    return max(meeting.recording.length_s for meeting in meetings)
