"""Bots as processes."""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

from vexa_functions.bots.launchers.launcher import Exited, Observation, Running, Unknown
from vexa_functions.bots.launchers.process import ProcessLauncher

SLEEP = (sys.executable, "-c", "import time; time.sleep(60)")


async def test_a_bot_is_seen_running_stopped_and_ended(tmp_path: Path) -> None:
    """The instance that started a bot also learns how it ended."""
    launcher = ProcessLauncher(tmp_path, SLEEP)
    reference = await launcher.launch("session", {})

    running = await launcher.observe(reference)
    await launcher.stop(reference)
    ended = await _eventually(launcher, reference, lambda seen: isinstance(seen, Exited))

    assert (running, ended) == (Running(), Exited(-15))


async def test_a_bot_is_found_again_by_another_instance(tmp_path: Path) -> None:
    """What is known of a bot outlives the function's instance."""
    first = ProcessLauncher(tmp_path, SLEEP)
    reference = await first.launch("session", {})
    second = ProcessLauncher(tmp_path, SLEEP)

    running = await second.observe(reference)
    await second.stop(reference)
    ended = await _eventually(first, reference, lambda seen: isinstance(seen, Exited))

    assert (running, ended) == (Running(), Exited(-15))
    assert await second.observe(reference) == Exited(None)


async def test_a_bot_nobody_started_is_unknown(tmp_path: Path) -> None:
    """No record proves nothing: it is not an exit."""
    assert await ProcessLauncher(tmp_path, SLEEP).observe("process:never") == Unknown()


async def test_a_bot_sees_its_own_variables_and_none_of_our_secrets(tmp_path: Path) -> None:
    """The bot holds its session's token, never a key of ours."""
    seen = tmp_path / "seen"
    script = f"import os; open({str(seen)!r}, 'w').write(chr(10).join(sorted(os.environ)))"
    launcher = ProcessLauncher(tmp_path, (sys.executable, "-c", script))

    reference = await launcher.launch("session", {"VEXA_SESSION_TOKEN": "t"})
    await _eventually(launcher, reference, lambda observed: observed == Exited(0))

    names = set(seen.read_text().splitlines())
    assert "VEXA_SESSION_TOKEN" in names
    assert not names & {"DATABASE_URL", "TOKEN_SIGNING_KEY", "ADMIN_API_KEY"}


async def _eventually(launcher: ProcessLauncher, reference: str, is_it: Callable[[Observation], bool]) -> Observation:
    async with asyncio.timeout(20):
        while True:
            seen = await launcher.observe(reference)
            if is_it(seen):
                return seen
            await asyncio.sleep(0.02)
