"""Kills that wait for a delicate moment."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import chain, count, repeat
from pathlib import Path

import httpx
import psutil
import pytest
from tests.ports import free_port
from tests.waiting import DEADLINE_S

from vexa_functions.bots.launchers.process import seconds_after_boot
from vexa_local.chaos.clocks import Clocks
from vexa_local.chaos.commands import Commander
from vexa_local.chaos.faults import BALANCER, MARKS, Fault, FaultKind, Moment
from vexa_local.chaos.link import Link
from vexa_local.chaos.saboteur import Saboteur, Victims
from vexa_local.chaos.user import User
from vexa_local.chaos.watcher import Watcher
from vexa_local.parts import Part, PartSpec
from vexa_local.ports import LOOPBACK

NOWHERE = "http://127.0.0.1:9"
ATTEMPT_S = 0.05


class Silence:
    """Where a part's lines go."""

    def line(self, name: str, text: str) -> None:
        """Forget it."""

    def note(self, text: str) -> None:
        """Forget it."""


@pytest.fixture
def bot(tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A bot that is still in its meeting."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    facts = {"pid": process.pid, "started": seconds_after_boot(psutil.Process(process.pid))}
    (tmp_path / "session.pid").write_text(json.dumps(facts))
    yield process
    process.kill()
    process.wait()


@pytest.fixture
async def bots_link() -> AsyncIterator[Link]:
    """The way of bots to their function, which answers nothing here."""

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(take, LOOPBACK, 0)
    yield Link(upstream_port=server.sockets[0].getsockname()[1])
    server.close()


@pytest.fixture
def collector() -> Part:
    """A collector that is down: a kill finds nothing."""

    async def is_ready() -> bool:
        return True

    spec = PartSpec(name="collector", command=("true",), port=9, is_ready=is_ready)
    return Part(spec, {}, Silence(), spawned=lambda *_: None)


@pytest.fixture
def saboteur(tmp_path: Path, bots_link: Link, collector: Part) -> Callable[[Iterator[int]], Saboteur]:
    """Make one that is told, one after the other, how many batches are stored."""

    def make(stored: Iterator[int]) -> Saboteur:
        async def stored_batches() -> int:
            return next(stored)

        victims = Victims(
            parts={"collector": collector},
            links={MARKS: Link(upstream_port=9), BALANCER: Link(upstream_port=9), "bots": bots_link},
            clocks=Clocks(tmp_path, None),
            channel_url=NOWHERE,
            receiver_url=NOWHERE,
            valkey_url=NOWHERE,
            bots_dir=tmp_path,
        )
        commander = Commander(user=User(httpx.AsyncClient()), watcher=Watcher(NOWHERE, "key"), meetings=[])
        return Saboteur(
            victims=victims, commander=commander, stored_batches=stored_batches, length_s=0.0, attempt_s=ATTEMPT_S
        )

    return make


def a_kill(moment: Moment) -> Fault:
    return Fault(kind=FaultKind.KILL, target="collector", at_s=0.0, moment=moment)


async def test_a_commit_is_waited_for_as_long_as_there_are_bots(
    saboteur: Callable[[Iterator[int]], Saboteur], bot: "subprocess.Popen[bytes]"
) -> None:
    """On a slow machine batches are minutes apart: several attempts find none."""
    aiming = saboteur(chain(repeat(7, 20), count(8)))

    async with asyncio.timeout(DEADLINE_S):
        await aiming.carry_out([a_kill(Moment.UNACKNOWLEDGED)])

    assert bot.poll() is None
    assert [fault.kind for fault in aiming.struck] == [FaultKind.KILL]
    assert aiming.missed == []
    assert not aiming.victims.links[MARKS].condition.is_stalled


async def test_a_bot_that_ends_late_is_waited_for(
    saboteur: Callable[[Iterator[int]], Saboteur], bots_link: Link, bot: "subprocess.Popen[bytes]"
) -> None:
    """It says that it leaves long after the recordings are over."""
    aiming, port = saboteur(repeat(7)), free_port()
    async with bots_link.listen(port), asyncio.timeout(DEADLINE_S):
        waiting = asyncio.create_task(aiming.carry_out([a_kill(Moment.LAST_FLUSH)]))
        while not aiming.struck:
            await asyncio.sleep(3 * ATTEMPT_S)
            _, writer = await asyncio.open_connection(LOOPBACK, port)
            writer.write(b'{"status": "stopping"}')
            await writer.drain()
            writer.close()
        await waiting

    assert aiming.missed == []


@pytest.mark.parametrize("moment", list(Moment))
async def test_a_moment_that_cannot_come_any_more_is_told(
    saboteur: Callable[[Iterator[int]], Saboteur], moment: Moment
) -> None:
    """Where every bot has left, nothing is committed, opened or ended."""
    aiming = saboteur(repeat(7))

    async with asyncio.timeout(DEADLINE_S):
        await aiming.carry_out([a_kill(moment)])

    assert (aiming.struck, [fault.moment for fault in aiming.missed]) == ([], [moment])
    assert not aiming.victims.links[MARKS].condition.is_stalled
