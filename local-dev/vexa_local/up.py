"""Brings a whole stack up, tells where it is, and takes it down again."""

import asyncio
import itertools
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from vexa_local.account import ensure_api_key
from vexa_local.bot_processes import kill_bots, stop_bots
from vexa_local.elsewhere import require_answers, require_foreign
from vexa_local.launched_bots import LaunchedBots, counted, greet_leftovers
from vexa_local.parts import Output
from vexa_local.settings import inherited_environment
from vexa_local.stack import Stack
from vexa_local.state import read_env_file, write_env_file
from vexa_local.supervisor import Supervisor


@dataclass(slots=True)
class Interrupts:
    """The first Ctrl-C or SIGTERM ends in good order, the second at once."""

    stack: Stack
    task: "asyncio.Task[object]"
    supervisor: Supervisor
    bots: LaunchedBots
    count: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    def note(self) -> None:
        """Take one signal."""
        if next(self.count) == 1:
            self.task.cancel()
        else:
            kill_bots(self.stack.state.bots_dir)
            self.bots.hurry()
            self.supervisor.kill()


@asynccontextmanager
async def running_stack(stack: Stack, output: Output) -> AsyncIterator[dict[str, str]]:
    """
    Run the stack for as long as the block lasts; hand over what `.vexa/env` says.

    The task that runs the block is cancelled at the first signal.
    """
    require_foreign(stack)
    supervisor = Supervisor(inherited_environment(), output, records=stack.state.processes_file)
    bots = LaunchedBots(stack.bots_settings(), output)
    with stack.state.locked():
        _listen_for_signals(stack, supervisor, bots)
        try:
            await require_answers(stack)
            await greet_leftovers(stack, bots, output)
            await supervisor.start(stack.stages())
            yield await _publish_environment(stack)
        finally:
            await _take_down(stack, supervisor, bots, output)


async def run_up(stack: Stack, output: Output) -> None:
    """Run in the foreground until told to stop."""
    async with running_stack(stack, output) as environment:
        for line in _banner(environment, stack):
            output.note(line)
        await asyncio.Event().wait()


async def _take_down(stack: Stack, supervisor: Supervisor, bots: LaunchedBots, output: Output) -> None:
    """Shut the door, then stop bots while there is still somebody to whom they can report, then the rest."""
    await supervisor.stop_part("gateway")
    stopped = await stop_bots(stack.state.bots_dir) + await bots.stop()
    await supervisor.stop()
    stopped += await stop_bots(stack.state.bots_dir) + await bots.stop()
    stack.state.runtime_file.unlink(missing_ok=True)
    if stopped:
        output.note(f"{counted(stopped)} stopped")


def _listen_for_signals(stack: Stack, supervisor: Supervisor, bots: LaunchedBots) -> None:
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("a stack runs inside a task")
    interrupts = Interrupts(stack, task, supervisor, bots)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, interrupts.note)


async def _publish_environment(stack: Stack) -> dict[str, str]:
    addresses, secrets, file = stack.addresses, stack.secrets, stack.state.env_file
    known_key = read_env_file(file).get("VEXA_API_KEY")
    key = await ensure_api_key(addresses.gateway, admin_api_key=secrets.admin_api_key, known_key=known_key)
    environment = {
        "VEXA_API_URL": addresses.gateway,
        "VEXA_ADMIN_API_KEY": secrets.admin_api_key,
        "VEXA_API_KEY": key,
        "VEXA_STREAM_URL": addresses.stream,
        "VEXA_BROKER_URL": addresses.sink,
        "VEXA_REPLAY_DIR": str(stack.replay_dir),
        "DATABASE_URL": addresses.database,
        "REDIS_URL": addresses.valkey,
    }
    write_env_file(file, environment)
    return environment


def _banner(environment: dict[str, str], stack: Stack) -> list[str]:
    shown = {"API": "VEXA_API_URL", "API key": "VEXA_API_KEY", "admin key": "VEXA_ADMIN_API_KEY"}
    also = {"stream": "VEXA_STREAM_URL", "broker": "VEXA_BROKER_URL"}
    rows = [f"  {label:<10} {environment[name]}" for label, name in {**shown, **also}.items()]
    rows.append(f"  {'console':<10} {stack.addresses.broker}/")
    return ["ready", *rows, f"  {'variables':<10} {stack.state.env_file}", "  Ctrl-C stops everything"]
