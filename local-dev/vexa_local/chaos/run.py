"""A run of the harness: one seed after another, on one stack for as long as that one lasts."""

import asyncio
import json
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from rich.console import Console

from vexa_events.errors import InvalidMessage, VexaError
from vexa_local.chaos.attendance import Meeting
from vexa_local.chaos.calm import CALM_LIMIT_S, LONGEST_CALM_S
from vexa_local.chaos.checker import EXACT, HEARD, Tolerance
from vexa_local.chaos.clocks import find_library
from vexa_local.chaos.faults import draw, kills_of_a_liar
from vexa_local.chaos.recordings import Recording, ReferenceWord, heard_words, read_recordings, shortened
from vexa_local.chaos.report import RunFacts, print_table, seed_lines, write_report
from vexa_local.chaos.stand import Stand, describe_stack, lay_out, prepare_folder, standing
from vexa_local.chaos.trial import Outcome, TrialPlan, run_trial
from vexa_local.check import Finding

SCRIPTED, WHISPER = "scripted", "whisper"
ACKNOWLEDGEMENT = "acknowledgement"
LONGEST_SEED_S = 1_500.0
"""Beside the meetings' length; what takes longer is stuck."""
BROKEN_CALM_S = 30.0
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


@dataclass(slots=True)
class Run:
    """What has been tried so far."""

    options: RunOptions
    console: Console
    recordings: Sequence[Recording]
    began_s: float
    outcomes: list[Outcome] = field(default_factory=list)

    @property
    def next_seed(self) -> int:
        return self.options.from_seed + len(self.outcomes)

    @property
    def is_over(self) -> bool:
        """Whether every seed was tried, or the time is up."""
        if len(self.outcomes) >= self.options.seeds:
            return True
        if self.options.minutes is None:
            return False
        return time.monotonic() - self.began_s + self.longest_s > self.options.minutes * 60

    @property
    def longest_s(self) -> float:
        return max(recording.length_s for recording in self.recordings[: self.options.at_once])


async def run_chaos(options: RunOptions, console: Console) -> list[Outcome]:
    """Try every seed, or as many as there is time for; after one that did not hold the next gets a fresh stack."""
    run = Run(options=options, console=console, recordings=_read(options), began_s=time.monotonic())
    if find_library() is None:
        console.print("libfaketime is not installed (Debian: apt-get install libfaketime): no clock is stepped")
    while not run.is_over:
        await _try_on_one_stack(run)
    print_table(console, run.outcomes)
    if len(run.outcomes) < options.seeds:
        console.print(f"{len(run.outcomes)} of {options.seeds} seeds were tried")
    return run.outcomes


async def _try_on_one_stack(run: Run) -> None:
    """Try seeds until they are over, or one did not hold: what it left behind would be taken for the next one's."""
    options = run.options
    folder = prepare_folder(options.port_offset)
    stack = describe_stack(folder, offset=options.port_offset, is_spelt=options.engine == SCRIPTED)
    stack = replace(stack, acknowledges_early=options.broken == ACKNOWLEDGEMENT)
    meetings = lay_out(stack, run.recordings, count=options.at_once)
    async with standing(stack, meetings) as stand:
        reference, tolerance = await _reference(stand, run)
        while not run.is_over:
            outcome = await _try_seed(stand, run, reference, tolerance)
            run.outcomes.append(outcome)
            _keep(folder, outcome)
            _report(run)
            if not outcome.is_good:
                return


async def _try_seed(stand: Stand, run: Run, reference: Words, tolerance: Tolerance) -> Outcome:
    plan = _plan(run, stand.meetings, reference, tolerance)
    run.console.print(f"seed {plan.seed}", highlight=False)
    for fault in plan.faults:
        run.console.print(f"  {fault}", highlight=False, soft_wrap=True)
    try:
        async with asyncio.timeout(run.longest_s + LONGEST_SEED_S):
            outcome = await run_trial(stand, plan)
    except (VexaError, TimeoutError, ExceptionGroup) as exc:
        cause = Finding(rule="harness", where="trial", what=_told(exc))
        outcome = Outcome(seed=plan.seed, faults=plan.faults, findings=(cause,))
    for line in seed_lines(outcome):
        run.console.print(line, style="green" if outcome.is_good else "red", highlight=False, soft_wrap=True)
    return outcome


def _told(exc: BaseException) -> str:
    """Name every error of a group."""
    if isinstance(exc, BaseExceptionGroup):
        return "; ".join(_told(each) for each in exc.exceptions)
    return f"{type(exc).__name__}: {exc}"


def _read(options: RunOptions) -> list[Recording]:
    recordings = read_recordings(options.meetings)
    if options.length_s is None:
        return recordings
    if options.engine != SCRIPTED:
        raise InvalidMessage("--length-s shortens spelt meetings only; recorded ones are held whole")
    return [shortened(recording, options.length_s) for recording in recordings]


def _plan(run: Run, meetings: Sequence[Meeting], reference: Words, tolerance: Tolerance) -> TrialPlan:
    lengths_s = [meeting.recording.length_s for meeting in meetings]
    faults = draw(run.next_seed, lengths_s=lengths_s, has_clocks=find_library() is not None)
    if run.options.broken == ACKNOWLEDGEMENT:
        faults += kills_of_a_liar(length_s=max(lengths_s))
    return TrialPlan(
        seed=run.next_seed,
        faults=faults,
        tolerance=tolerance,
        reference=reference,
        calm_limit_s=CALM_LIMIT_S if run.options.broken is None else BROKEN_CALM_S,
        longest_calm_s=LONGEST_CALM_S if run.options.broken is None else BROKEN_CALM_S,
    )


async def _reference(stand: Stand, run: Run) -> tuple[Words, Tolerance]:
    """Know the words: spelt audio says what the reference says, a real model what it hears without faults."""
    spoken = {meeting.name: meeting.recording.words_by_speaker for meeting in stand.meetings}
    if run.options.engine == SCRIPTED:
        return spoken, EXACT
    run.console.print("a run without faults comes first; its words are what the seeds are held against")
    plan = TrialPlan(seed=0, faults=(), tolerance=Tolerance(share=1.0, count=0, run=10_000), reference=spoken)
    first = await run_trial(stand, plan)
    return {name.partition(",")[0]: heard_words(read) for name, read in first.transcripts.items()}, HEARD


def _report(run: Run) -> None:
    """Write after each seed: a run that is cut short has told what it knows."""
    if run.options.json_file is None:
        return
    facts = RunFacts(
        engine=run.options.engine,
        meetings=run.options.at_once,
        length_s=run.longest_s,
        broken=run.options.broken,
        wall_s=round(time.monotonic() - run.began_s, 1),
    )
    write_report(run.options.json_file, facts, run.outcomes)


def _keep(folder: Path, outcome: Outcome) -> None:
    """Keep the transcripts and logs of a seed that did not hold, beside the stack's folder, to look into."""
    if not outcome.is_good:
        kept = folder.with_name(f"{folder.name}-seed-{outcome.seed}")
        shutil.rmtree(kept, ignore_errors=True)
        shutil.copytree(folder / "logs", kept)
        (kept / "transcripts.json").write_text(json.dumps(outcome.transcripts, indent=1))
