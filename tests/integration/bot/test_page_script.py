"""What the script in a page tells of what people put there, in a real Chromium."""

import asyncio
import os
from pathlib import Path
from urllib.parse import quote

import pytest

from vexa_bot.browser.chromium import Chromium
from vexa_bot.browser.page_messages import Person
from vexa_bot.browser.snapshot import MeetingState, Snapshot
from vexa_bot.browser.visit import open_visit
from vexa_bot.platforms.jitsi import JitsiSite

CHROMIUM = Path("/usr/bin/chromium")
LIMIT_S = 30.0
MEETING = """
<body><button aria-label="Leave the meeting">Leave</button>
<span><span id="participant_a1"><b class="displayname"></b></span></span>
<script>document.querySelector("b").textContent = "{name}"</script>
"""

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def chromium() -> None:
    """Without it there is nothing to test, which CI must not overlook."""
    if not CHROMIUM.exists():
        told = f"missing: {CHROMIUM}; tests/acceptance/janus/setup installs it"
        pytest.fail(told) if os.environ.get("CI") == "true" else pytest.skip(told)


async def _seen(name: str) -> Snapshot:
    """Look at a meeting with one person in it; `name` is spelled as in JavaScript."""
    async with open_visit(Chromium(path=CHROMIUM), JitsiSite("room")) as visit, asyncio.timeout(LIMIT_S):
        await visit.steps.open("data:text/html," + quote(MEETING.format(name=name)))
        while not (snapshot := visit.snapshot()).people:
            await visit.next_message(0.1)
    return snapshot


async def test_a_name_that_no_database_holds_is_told_as_near_as_can_be() -> None:
    """Half a character and NUL would have the page's whole report refused, and the page taken for lost."""
    snapshot = await _seen("Joe \\ud83d\\0")

    assert snapshot.people == (Person(id="participant_a1", name="Joe \ufffd\ufffd"),)


async def test_a_name_says_nothing_about_the_meeting() -> None:
    """Whoever is called like a sign of the page neither ends the meeting nor keeps the bot in the lobby."""
    snapshot = await _seen("Lobby: the meeting has been terminated")

    assert JitsiSite("room").probe(snapshot).state is MeetingState.ADMITTED
