"""Follows a bot in a recorded meeting until its transcript is final; sends it where none is there."""

import asyncio
import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from vexa_events.identity import BotStatus
from vexa_local.demo.board import Board
from vexa_local.errors import StartFailed

PLATFORM = "replay"
ENDED_BY_ITSELF = "meeting_ended"
"""The reason of a bot that heard the recording to its end."""
_CALL_TIMEOUT_S = 20.0
_STOP_TIMEOUT_S = 5.0
_LEAVES_WITHIN_S = 60.0
_LOOK_EVERY_S = 1.0
_FRAME_S = 0.25
_MAX_RECONNECTS = 5

Json = dict[str, Any]


class DemoFailed(StartFailed):
    """The meeting did not end as it should; the message says how it did."""


@dataclass(frozen=True, slots=True)
class Api:
    """The few calls of the public API that the demo makes."""

    url: str
    key: str

    async def send_bot(self, meeting: str) -> "Attendance":
        """Ask for a bot; one that is there already is meant instead, unless it is about to leave."""
        body = {"platform": PLATFORM, "native_meeting_id": meeting}
        try:
            async with asyncio.timeout(_LEAVES_WITHIN_S):
                while True:
                    answer = await self._call("POST", "/bots", json=body)
                    if answer.status_code != httpx.codes.CONFLICT:
                        sent = _json(answer, f"POST /bots for {_name(meeting)}")
                        return Attendance(meeting_id=int(sent["id"]), is_ours=True)
                    there = _json(await self._call("GET", f"/transcripts/{_name(meeting)}"), "GET /transcripts")
                    status = BotStatus(there["status"])
                    if status is not BotStatus.STOPPING and not status.is_terminal:
                        return Attendance(meeting_id=int(there["id"]), is_ours=False)
                    await asyncio.sleep(_LOOK_EVERY_S)
        except TimeoutError as exc:
            raise DemoFailed(f"an earlier bot did not leave {meeting} within {_LEAVES_WITHIN_S:.0f} s") from exc

    async def stop_bot(self, meeting: str) -> None:
        """Tell the bot to leave."""
        await self._call("DELETE", f"/bots/{_name(meeting)}")

    async def transcript(self, meeting: str, meeting_id: int) -> Json:
        """Read what is stored."""
        path = f"/transcripts/{_name(meeting)}"
        return _json(await self._call("GET", path, params={"meeting_id": meeting_id}), f"GET {path}")

    async def works(self) -> bool:
        """Tell whether the gateway answers and knows the key."""
        try:
            return (await self._call("GET", "/meetings")).is_success
        except DemoFailed:
            return False

    def watch(self) -> connect:
        """Open the live feed."""
        url = urlsplit(self.url)._replace(scheme="ws", path="/ws").geturl()
        return connect(url, additional_headers={"X-API-Key": self.key}, proxy=None, open_timeout=_CALL_TIMEOUT_S)

    async def _call(self, method: str, path: str, *, json: object = None, params: Json | None = None) -> httpx.Response:
        headers = {"X-API-Key": self.key}
        try:
            async with httpx.AsyncClient(base_url=self.url, timeout=_CALL_TIMEOUT_S, trust_env=False) as client:
                return await client.request(method, path, headers=headers, json=json, params=params)
        except httpx.HTTPError as exc:
            raise DemoFailed(f"{method} {path}: {type(exc).__name__}") from exc


@dataclass(frozen=True, slots=True, kw_only=True)
class Attendance:
    """The bot that is watched."""

    meeting_id: int
    is_ours: bool
    """Whether we sent it; somebody else's is not ours to stop."""


async def watch_until_final(
    api: Api, meeting: str, attendance: Attendance, *, show: Callable[[Board], None], patience_s: float
) -> Json:
    """
    Show the transcript as it grows, return it when it is final; raise DemoFailed otherwise.

    `patience_s` bounds how long nothing may happen; a bot of ours that is not
    watched to its end is told to leave.
    """
    board, is_over = Board(), False
    try:
        async with asyncio.timeout(patience_s) as deadline:
            follower = _Follower(api, meeting, attendance.meeting_id, board, deadline, patience_s)
            stored = await follower.follow(show)
            is_over = True
    except TimeoutError as exc:
        status = board.status or "requested"
        raise DemoFailed(f"nothing happened for {patience_s:.0f} s; the bot is {status}") from exc
    finally:
        if attendance.is_ours and not is_over:
            await _stop_quietly(api, meeting)
    _require_good_end(stored)
    return stored


def _require_good_end(stored: Json) -> None:
    reason = (stored.get("data") or {}).get("reason", "no reason given")
    if stored["status"] != BotStatus.COMPLETED or reason != ENDED_BY_ITSELF:
        raise DemoFailed(f"the bot ended as {stored['status']}: {reason}")
    if not stored["segments"]:
        raise DemoFailed("the stored transcript is empty")


async def _stop_quietly(api: Api, meeting: str) -> None:
    """Let the bot go; what ends us matters more than whether it heard."""
    with contextlib.suppress(DemoFailed, TimeoutError):
        async with asyncio.timeout(_STOP_TIMEOUT_S):
            await api.stop_bot(meeting)


@dataclass(slots=True)
class _Follower:
    api: Api
    meeting: str
    meeting_id: int
    board: Board
    deadline: asyncio.Timeout
    patience_s: float
    seen: str = "0-0"
    progress: tuple[object, ...] = ()

    async def follow(self, show: Callable[[Board], None]) -> Json:
        """Read the live feed until the transcript is final or the bot has failed."""
        for _ in range(_MAX_RECONNECTS):
            try:
                async with self.api.watch() as feed:
                    return await self._read(feed, show)
            except (WebSocketException, OSError):
                await asyncio.sleep(_LOOK_EVERY_S)
        raise DemoFailed(f"the live feed was lost {_MAX_RECONNECTS} times")

    async def _read(self, feed: ClientConnection, show: Callable[[Board], None]) -> Json:
        names = [{"platform": PLATFORM, "native_id": self.meeting}]
        await feed.send(json.dumps({"action": "subscribe", "meetings": names, "since": self.seen}))
        look_at = 0.0
        while True:
            self.seen = await _take_messages(feed, self.board) or self.seen
            show(self.board)
            now = asyncio.get_running_loop().time()
            if now < look_at:
                continue
            stored = await self.api.transcript(self.meeting, self.meeting_id)
            if stored["finalized"] or stored["status"] == BotStatus.FAILED:
                return stored
            self._note_progress(stored, now)
            look_at = now + _LOOK_EVERY_S

    def _note_progress(self, stored: Json, now: float) -> None:
        """How long a recording is, its bot alone knows; while it is heard, time goes on."""
        progress = (stored["status"], stored["coverage"]["captured_s"], len(stored["segments"]))
        if progress != self.progress:
            self.progress = progress
            self.deadline.reschedule(now + self.patience_s)


async def _take_messages(feed: ClientConnection, board: Board) -> str | None:
    """Take in what arrives within one frame; return the id of the last message."""
    seen = None
    try:
        async with asyncio.timeout(_FRAME_S):
            while True:
                message = json.loads(await feed.recv())
                board.apply(message)
                seen = message.get("id", seen)
    except TimeoutError:
        return seen


def _name(meeting: str) -> str:
    return f"{PLATFORM}/{meeting}"


def _json(answer: httpx.Response, what: str) -> Json:
    if not answer.is_success:
        try:
            detail = answer.json()["detail"]
        except (ValueError, KeyError):
            detail = answer.text[:300]
        raise DemoFailed(f"{what} answered {answer.status_code}: {detail}")
    body: Json = answer.json()
    return body
