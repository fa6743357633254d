"""Sends a bot to a recorded meeting and follows it until its transcript is final."""

import asyncio
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
_CALL_TIMEOUT_S = 20.0
_STOP_WITHIN_S = 60.0
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

    async def send_bot(self, meeting: str) -> Json:
        """Ask for a bot; one that an earlier demo left behind is stopped first."""
        body = {"platform": PLATFORM, "native_meeting_id": meeting}
        answer = await self._call("POST", "/bots", json=body)
        if answer.status_code == httpx.codes.CONFLICT:
            await self._end_earlier(meeting)
            answer = await self._call("POST", "/bots", json=body)
        return _json(answer, f"POST /bots for {PLATFORM}/{meeting}")

    async def transcript(self, meeting: str, meeting_id: int) -> Json:
        """Read what is stored."""
        path = f"/transcripts/{PLATFORM}/{meeting}"
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

    async def _end_earlier(self, meeting: str) -> None:
        await self._call("DELETE", f"/bots/{PLATFORM}/{meeting}")
        async with asyncio.timeout(_STOP_WITHIN_S):
            while True:
                stored = _json(await self._call("GET", f"/transcripts/{PLATFORM}/{meeting}"), "GET /transcripts")
                if BotStatus(stored["status"]).is_terminal:
                    return
                await asyncio.sleep(_LOOK_EVERY_S)

    async def _call(self, method: str, path: str, *, json: object = None, params: Json | None = None) -> httpx.Response:
        headers = {"X-API-Key": self.key}
        try:
            async with httpx.AsyncClient(base_url=self.url, timeout=_CALL_TIMEOUT_S, trust_env=False) as client:
                return await client.request(method, path, headers=headers, json=json, params=params)
        except httpx.HTTPError as exc:
            raise DemoFailed(f"{method} {path}: {type(exc).__name__}") from exc


async def watch_until_final(api: Api, meeting: str, *, show: Callable[[Board], None], within_s: float) -> Json:
    """Send the bot, show the transcript as it grows, return it when it is final; raise DemoFailed otherwise."""
    meeting_id = int((await api.send_bot(meeting))["id"])
    board = Board()
    try:
        async with asyncio.timeout(within_s):
            stored = await _follow(api, meeting, meeting_id, board, show)
    except TimeoutError as exc:
        status = board.status or "requested"
        raise DemoFailed(f"the transcript was not final within {within_s:.0f} s; the bot is {status}") from exc
    if stored["status"] != BotStatus.COMPLETED:
        reason = stored.get("data", {}).get("reason", "no reason given")
        raise DemoFailed(f"the bot ended as {stored['status']}: {reason}")
    if not stored["segments"]:
        raise DemoFailed("the stored transcript is empty")
    return stored


async def _follow(api: Api, meeting: str, meeting_id: int, board: Board, show: Callable[[Board], None]) -> Json:
    seen = "0-0"
    for _ in range(_MAX_RECONNECTS):
        try:
            async with api.watch() as feed:
                names = [{"platform": PLATFORM, "native_id": meeting}]
                await feed.send(json.dumps({"action": "subscribe", "meetings": names, "since": seen}))
                look_at = 0.0
                while True:
                    seen = await _take_messages(feed, board) or seen
                    show(board)
                    now = asyncio.get_running_loop().time()
                    if now < look_at:
                        continue
                    stored = await api.transcript(meeting, meeting_id)
                    if stored["finalized"] or stored["status"] == BotStatus.FAILED:
                        return stored
                    look_at = now + _LOOK_EVERY_S
        except (WebSocketException, OSError):
            await asyncio.sleep(_LOOK_EVERY_S)
    raise DemoFailed(f"the live feed was lost {_MAX_RECONNECTS} times")


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


def _json(answer: httpx.Response, what: str) -> Json:
    if not answer.is_success:
        try:
            detail = answer.json()["detail"]
        except (ValueError, KeyError):
            detail = answer.text[:300]
        raise DemoFailed(f"{what} answered {answer.status_code}: {detail}")
    body: Json = answer.json()
    return body
