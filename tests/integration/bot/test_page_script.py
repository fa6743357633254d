"""What the script in a page tells of what people put there, in a real Chromium."""

import asyncio
import os
from http import HTTPStatus
from pathlib import Path
from urllib.parse import quote

import pytest
from tests.waiting import DEADLINE_S
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from vexa_bot.browser.chromium import Chromium
from vexa_bot.browser.page_messages import Person
from vexa_bot.browser.snapshot import MeetingState, Snapshot
from vexa_bot.browser.visit import open_visit
from vexa_bot.platforms.janus import JanusSite
from vexa_bot.platforms.jitsi import JitsiSite

CHROMIUM = Path("/usr/bin/chromium")
LIMIT_S = DEADLINE_S
MEETING = """
<body><button aria-label="Leave the meeting">Leave</button>
<span><span id="participant_a1"><b class="displayname"></b></span></span>
<script>document.querySelector("b").textContent = "{name}"</script>
"""

ROOM = """
<body><button id="start">Start</button>
<script>
  const ask = () => {
    const socket = new WebSocket(`ws://${location.host}/signals`);
    socket.onmessage = () => setTimeout(() => location.reload(sessionStorage.been = 1), 1500);
  };
  if (!sessionStorage.been) document.getElementById("start").onclick = ask;
</script>
"""
"""A page that is told of its admission, and after a while loads itself anew."""

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


async def test_what_was_signalled_to_a_document_says_nothing_about_the_next() -> None:
    """A page that loads itself anew is back at the door, though its server once let it in."""
    async with serve(_admit, "127.0.0.1", 0, process_request=_room) as server:
        url = f"http://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/"
        async with open_visit(Chromium(path=CHROMIUM), JanusSite(url)) as visit, asyncio.timeout(LIMIT_S):
            await visit.steps.open(url)
            await visit.steps.click("#start")
            states = [MeetingState.UNKNOWN]
            while states[-1] is not MeetingState.PREJOIN or MeetingState.ADMITTED not in states:
                await visit.next_message(0.1)
                states.append(JanusSite(url).probe(visit.snapshot()).state)


async def _admit(connection: ServerConnection) -> None:
    await connection.send('{"plugindata": {"data": {"videoroom": "joined"}}}')
    await connection.wait_closed()


def _room(connection: ServerConnection, request: Request) -> Response | None:
    if request.path == "/signals":
        return None
    answer = connection.respond(HTTPStatus.OK, ROOM)
    del answer.headers["Content-Type"]
    answer.headers["Content-Type"] = "text/html"
    return answer
