"""The demo in front of a gateway that answers as it is told."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect
from tests.ports import free_port
from tests.waiting import DEADLINE_S

from vexa_local.demo.run import require_recording, require_writable, write_json
from vexa_local.demo.watching import Api, Attendance, DemoFailed, watch_until_final
from vexa_local.ports import LOOPBACK

OURS = Attendance(meeting_id=7, is_ours=True)
THEIRS = Attendance(meeting_id=7, is_ours=False)


@dataclass(slots=True)
class Gateway:
    """What is answered, and what was asked."""

    url: str = ""
    is_attended: bool = False
    status: str = "active"
    reason: str | None = None
    finalized: bool = False
    leaves_when_asked: bool = False
    """Whether a bot is gone once its transcript has been read."""
    asked: list[str] = field(default_factory=list)

    @property
    def api(self) -> Api:
        return Api(self.url, "key")

    async def bots(self, request: Request) -> Response:
        self.asked.append(request.method)
        if request.method == "POST" and self.is_attended:
            return JSONResponse({"detail": "attended"}, status_code=409)
        return JSONResponse({"id": 8}, status_code=201)

    async def transcript(self, _: Request) -> Response:
        self.is_attended = self.is_attended and not self.leaves_when_asked
        return JSONResponse(self.stored())

    def stored(self) -> dict[str, Any]:
        coverage = {"captured_s": 1.0}
        known = {"id": 7, "status": self.status, "finalized": self.finalized, "data": {"reason": self.reason}}
        return {**known, "segments": [{"text": "hello"}], "coverage": coverage}

    async def feed(self, socket: WebSocket) -> None:
        await socket.accept()
        try:
            while True:
                await socket.receive_text()
        except WebSocketDisconnect:
            return


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    answers, port = Gateway(), free_port()
    app = Starlette(
        routes=[
            Route("/bots", answers.bots, methods=["POST"]),
            Route("/bots/replay/standup", answers.bots, methods=["DELETE"]),
            Route("/transcripts/replay/standup", answers.transcript),
            WebSocketRoute("/ws", answers.feed),
        ]
    )
    config = uvicorn.Config(app, host=LOOPBACK, port=port, log_config=None, lifespan="off", ws="websockets-sansio")
    server = uvicorn.Server(config)
    async with asyncio.timeout(DEADLINE_S), asyncio.TaskGroup() as tasks:
        tasks.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        answers.url = f"http://{LOOPBACK}:{port}"
        yield answers
        server.should_exit = True


async def watch(gateway: Gateway, attendance: Attendance, *, patience_s: float = DEADLINE_S) -> dict[str, Any]:
    return await watch_until_final(gateway.api, "standup", attendance, show=lambda _: None, patience_s=patience_s)


async def test_a_running_bot_is_watched_not_stopped(gateway: Gateway) -> None:
    """A second demo in the same checkout must not end what the first one watches."""
    gateway.is_attended = True

    attendance = await gateway.api.send_bot("standup")

    assert (attendance, gateway.asked) == (THEIRS, ["POST"])


async def test_a_bot_that_is_about_to_leave_is_waited_for(gateway: Gateway) -> None:
    """The demo that was interrupted a moment ago must not spoil the next one."""
    gateway.is_attended, gateway.status, gateway.leaves_when_asked = True, "stopping", True

    attendance = await gateway.api.send_bot("standup")

    assert (attendance.is_ours, gateway.asked) == (True, ["POST", "POST"])


async def test_a_bot_that_we_sent_is_ours(gateway: Gateway) -> None:
    """Only that one may be told to leave."""
    assert await gateway.api.send_bot("standup") == Attendance(meeting_id=8, is_ours=True)


async def test_a_recording_heard_to_its_end_is_a_success(gateway: Gateway) -> None:
    """The bot is gone by then, so nobody is told to leave."""
    gateway.status, gateway.reason, gateway.finalized = "completed", "meeting_ended", True

    assert (await watch(gateway, OURS))["id"] == 7
    assert gateway.asked == []


async def test_a_bot_that_was_stopped_is_no_success(gateway: Gateway) -> None:
    """Half a transcript is not what was asked for."""
    gateway.status, gateway.reason, gateway.finalized = "completed", "stopped_by_user", True

    with pytest.raises(DemoFailed, match="completed: stopped_by_user"):
        await watch(gateway, OURS)


@pytest.mark.parametrize(("attendance", "asked"), [(OURS, ["DELETE"]), (THEIRS, [])])
async def test_only_a_bot_of_ours_leaves_when_we_give_up(
    gateway: Gateway, attendance: Attendance, asked: list[str]
) -> None:
    """Nobody would stop it otherwise; somebody else's goes on."""
    with pytest.raises(DemoFailed, match="nothing happened for 2 s"):
        await watch(gateway, attendance, patience_s=1.5)

    assert gateway.asked == asked


async def test_a_bot_of_ours_leaves_when_the_demo_is_interrupted(gateway: Gateway) -> None:
    """Ctrl-C cancels the task."""
    watching = asyncio.create_task(watch(gateway, OURS))
    await asyncio.sleep(0)
    watching.cancel()

    with pytest.raises(asyncio.CancelledError):
        await watching
    assert gateway.asked == ["DELETE"]


def test_a_missing_recording_is_named_beside_those_that_there_are(tmp_path: Path) -> None:
    """What lies in a recording's folder is for its bot to judge."""
    (tmp_path / "standup").mkdir()
    (tmp_path / "notes.txt").touch()
    require_recording(tmp_path, "standup")

    with pytest.raises(DemoFailed, match=r"no recording 'review' .* there are: standup$"):
        require_recording(tmp_path, "review")


def test_a_file_that_cannot_be_written_is_refused_at_once(tmp_path: Path) -> None:
    """Not after the whole meeting; and looking changes nothing."""
    new, old = tmp_path / "new.json", tmp_path / "old.json"
    old.write_text("kept")

    require_writable(new)
    require_writable(old)

    assert (new.exists(), old.read_text()) == (False, "kept")
    for path in (tmp_path, tmp_path / "no" / "such.json"):
        with pytest.raises(DemoFailed, match="cannot be written"):
            require_writable(path)


def test_a_full_disk_is_told_in_words() -> None:
    """The transcript has been shown by then."""
    with pytest.raises(DemoFailed, match="/dev/full cannot be written: No space left"):
        write_json(Path("/dev/full"), {"id": 7})
