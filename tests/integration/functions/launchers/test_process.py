"""What only the launcher of processes promises."""

import asyncio
import sys
from pathlib import Path

from tests.waiting import DEADLINE_S

from vexa_functions.bots.launchers.launcher import Exited, NewBot, Running, Unknown
from vexa_functions.bots.launchers.process import ProcessLauncher


async def test_a_bot_sees_its_own_variables_and_none_of_our_secrets(tmp_path: Path) -> None:
    """The bot holds its session's token, never a key of ours."""
    seen = tmp_path / "seen"
    script = f"import os; open({str(seen)!r}, 'w').write(chr(10).join(sorted(os.environ)))"
    launcher = ProcessLauncher(tmp_path / "bots", (sys.executable, "-c", script))

    reference = await launcher.launch(NewBot(session_uid="session", meeting_id=1, env={"VEXA_SESSION_TOKEN": "t"}))
    async with asyncio.timeout(DEADLINE_S):
        while await launcher.observe(reference) != Exited(0):
            await asyncio.sleep(0.02)

    names = set(seen.read_text().splitlines())
    assert "VEXA_SESSION_TOKEN" in names
    assert not names & {"DATABASE_URL", "TOKEN_SIGNING_KEY", "ADMIN_API_KEY"}


async def test_a_bot_that_nobody_wrote_down_is_listed(tmp_path: Path) -> None:
    """An instance may be killed between starting a bot and writing down which process it is."""
    bot = NewBot(session_uid="orphan", meeting_id=1, env={})
    reference = await ProcessLauncher(tmp_path, ("sleep", "60")).launch(bot)
    (tmp_path / "orphan.pid").write_text("")
    another = ProcessLauncher(tmp_path, ("sleep", "60"))

    found = await another.found()

    seen = await another.observe(reference)
    await another.kill(reference)
    assert [(one.session_uid, one.reference) for one in found] == [("orphan", reference)]
    assert seen == Running()


async def test_a_file_that_is_half_written_names_nobody(tmp_path: Path) -> None:
    """A crash while writing proves nothing about a bot."""
    (tmp_path / "session.pid").write_text('{"pid": 1')
    launcher = ProcessLauncher(tmp_path, ("sleep", "60"))

    assert await launcher.observe("process:session") == Unknown()
    assert await launcher.found() == []
