"""
The bots that the bots function started on a runtime of its own: containers, Jobs.

They outlive the function, so the end of a stack looks for them by the stack's
own label. Bots that are processes are for `bot_processes`.
"""

import asyncio
from collections.abc import Awaitable, Callable

from vexa_events.errors import Unavailable
from vexa_functions.bots.launchers.choosing import open_launcher
from vexa_functions.bots.launchers.launcher import Found, Launcher, Running, Starting
from vexa_functions.bots.settings import BotsSettings, LauncherName
from vexa_local.bot_processes import STOP_WITHIN_S, running_bots
from vexa_local.parts import Output
from vexa_local.stack import Stack
from vexa_local.state import read_env_file, write_env_file

_POLL_S = 0.2
_RUNTIME = (
    "launcher",
    "image",
    "deployment",
    "docker_host",
    "docker_tls_verify",
    "docker_cert_path",
    "kubeconfig",
    "namespace",
)
"""Settings that say where bots are found."""


class LaunchedBots:
    """The bots of one stack, on whatever its bots function launches them."""

    def __init__(self, settings: BotsSettings, output: Output) -> None:
        self._settings = settings
        self._output = output
        self._hurried = asyncio.Event()

    @property
    def runtime(self) -> dict[str, str]:
        """Spell as variables what the bots run on; an empty one is not set."""
        fields, settings = BotsSettings.model_fields, self._settings
        return {fields[name].alias or name: str(getattr(settings, name) or "") for name in _RUNTIME}

    async def count(self) -> int:
        """Count the living ones."""
        return await self._ask(_count)

    async def stop(self) -> int:
        """Tell every bot to end, wait, kill those that stay, forget all; return how many lived."""
        return await self._ask(self._stop)

    def hurry(self) -> None:
        """Wait for none of them any longer."""
        self._hurried.set()

    async def _stop(self, launcher: Launcher) -> int:
        found = await launcher.found()
        told = await _living(launcher, found)
        for bot in told:
            await launcher.stop(bot.reference)
        await self._wait(launcher, told)
        for bot in found:
            await launcher.remove(bot.reference)
        return len(told)

    async def _wait(self, launcher: Launcher, living: list[Found]) -> None:
        deadline = asyncio.get_running_loop().time() + STOP_WITHIN_S
        while living and not self._hurried.is_set() and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(_POLL_S)
            living = await _living(launcher, living)

    async def _ask(self, question: Callable[[Launcher], Awaitable[int]]) -> int:
        """Ask the launcher of bots that are no processes; tell where it does not answer, which counts as none."""
        if self._settings.launcher is LauncherName.PROCESS:
            return 0
        try:
            async with open_launcher(self._settings) as launcher:
                return await question(launcher)
        except Unavailable as exc:
            self._output.note(f"bots that may still run were not asked for: {exc}")
            return 0


async def greet_leftovers(stack: Stack, bots: LaunchedBots, output: Output) -> None:
    """Stop the bots that a killed run left on another runtime, where nobody would look; the others find us again."""
    file, own = stack.state.runtime_file, bots.runtime
    known = read_env_file(file)
    if known and known != own:
        forsaken = await LaunchedBots(stack.bots_settings(**known), output).stop()
        output.note(f"{counted(forsaken)} of an earlier run stopped")
    write_env_file(file, own)
    remaining = len(running_bots(stack.state.bots_dir)) + await bots.count()
    if remaining:
        output.note(f"{counted(remaining)} of an earlier run may go on")


def counted(bots: int) -> str:
    """Spell a number of bots."""
    return f"{bots} {'bot' if bots == 1 else 'bots'}"


async def _count(launcher: Launcher) -> int:
    return len(await _living(launcher, await launcher.found()))


async def _living(launcher: Launcher, bots: list[Found]) -> list[Found]:
    return [bot for bot in bots if isinstance(await launcher.observe(bot.reference), Running | Starting)]
