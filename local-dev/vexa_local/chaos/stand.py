"""The running stack with its links: what every seed of a run shares."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from vexa_local.bot_processes import kill_bots, stop_bots
from vexa_local.chaos.attendance import Meeting
from vexa_local.chaos.clocks import Clocks, find_library
from vexa_local.chaos.faults import LINKS
from vexa_local.chaos.link import Link
from vexa_local.chaos.orphans import MARK
from vexa_local.chaos.recordings import Recording, numbered
from vexa_local.chaos.saboteur import Victims
from vexa_local.chaos.spelling import vocabulary_of, write_meeting, write_vocabulary
from vexa_local.chaos.stack import SLOTS, ChaosStack
from vexa_local.console import LogFiles, terminal
from vexa_local.ports import LOOPBACK, Ports
from vexa_local.settings import LocalSettings, inherited_environment
from vexa_local.state import CHECKOUT, State
from vexa_local.supervisor import Supervisor


@dataclass(frozen=True, slots=True, kw_only=True)
class Stand:
    """A stack that runs."""

    stack: ChaosStack
    victims: Victims
    meetings: Sequence[Meeting]


def prepare_folder(offset: int) -> Path:
    """Make an empty folder for a stack's files; stop what a killed run left there."""
    folder = CHECKOUT / ".vexa" / f"chaos-{offset}"
    state = State(folder)
    kill_bots(state.bots_dir)
    Supervisor({}, terminal(), records=state.processes_file).stop_leftovers()
    shutil.rmtree(folder, ignore_errors=True)
    return folder


def describe_stack(folder: Path, *, offset: int, is_spelt: bool) -> ChaosStack:
    """Describe a stack whose files, recordings included, lie in one folder."""
    state = State(folder)
    state.prepare()
    environment = {"VEXA_REPLAY_DIR": str(folder / "recordings"), "POOL_SLOTS": str(SLOTS)}
    return ChaosStack(
        settings=LocalSettings.from_env(environment),
        state=state,
        ports=Ports.at_offset(offset),
        secrets=state.secrets(),
        clocks=Clocks(folder / "clocks", find_library()),
        vocabulary=folder / "vocabulary.json" if is_spelt else None,
    )


def lay_out(stack: ChaosStack, recordings: Sequence[Recording], *, count: int) -> list[Meeting]:
    """Put `count` meetings where bots find them: recordings are repeated, and spelt where the workers spell."""
    held = [recordings[number % len(recordings)] for number in range(count)]
    names = [f"{recording.folder.name}-{number}" for number, recording in enumerate(held, 1)]
    if stack.vocabulary is None:
        for name, recording in zip(names, held, strict=True):
            _copy_tracks(recording.folder, stack.replay_dir / name)
    else:
        held = [numbered(recording, number) for number, recording in enumerate(held, 1)]
        vocabulary = vocabulary_of(held)
        write_vocabulary(vocabulary, stack.vocabulary)
        for name, recording in zip(names, held, strict=True):
            write_meeting(recording, stack.replay_dir / name, vocabulary)
    return [Meeting(name=name, recording=recording) for name, recording in zip(names, held, strict=True)]


@asynccontextmanager
async def standing(stack: ChaosStack, meetings: Sequence[Meeting]) -> AsyncIterator[Stand]:
    """Run everything for as long as the block lasts; stop every process at its end."""
    output = LogFiles(stack.state.logs_dir)
    inherited = {**inherited_environment(), MARK: stack.mark}
    supervisor = Supervisor(inherited, output, records=stack.state.processes_file)
    async with AsyncExitStack() as exits:
        exits.enter_context(stack.state.locked())
        exits.callback(output.close)
        links = {name: Link(stack.upstream_port(name)) for name in LINKS}
        for name, link in links.items():
            await exits.enter_async_context(link.listen(stack.link_port(name)))
        exits.push_async_callback(supervisor.stop)
        exits.push_async_callback(stop_bots, stack.state.bots_dir)
        await supervisor.start(stack.stages())
        victims = Victims(
            parts={part.spec.name: part for stage in supervisor.stages for part in stage},
            links=links,
            clocks=stack.clocks,
            channel_url=f"http://{LOOPBACK}:{stack.channel_port}",
            receiver_url=stack.receiver_url,
            valkey_url=stack.direct.valkey,
            bots_dir=stack.state.bots_dir,
        )
        yield Stand(stack=stack, victims=victims, meetings=meetings)


async def parts_ready(victims: Victims, *, within_s: float) -> list[str]:
    """Wait until every part answers; name those that do not."""
    late = []
    deadline_s = asyncio.get_running_loop().time() + within_s
    for name, part in victims.parts.items():
        while not await part.spec.is_ready():
            if asyncio.get_running_loop().time() > deadline_s:
                late.append(name)
                break
            await asyncio.sleep(0.2)
    return late


def _copy_tracks(source: Path, target: Path) -> None:
    target.mkdir(parents=True)
    for track in source.glob("track-*"):
        shutil.copy(track, target)
