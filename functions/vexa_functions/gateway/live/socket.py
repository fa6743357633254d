"""The live feed over WebSocket: `/ws`."""

import asyncio
import json
import logging
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from starlette.websockets import WebSocket, WebSocketDisconnect

from vexa_events.errors import Forbidden, NotFound, Overloaded, Unauthenticated, Unavailable
from vexa_events.tracing import note
from vexa_functions.auth.scopes import Scope
from vexa_functions.gateway.access import KEY_HEADER
from vexa_functions.gateway.authentication import Holder
from vexa_functions.gateway.limits import RateLimited
from vexa_functions.gateway.live.feed import Feed
from vexa_functions.gateway.live.watching import LiveDeps, TooSlow, send_in_time
from vexa_functions.gateway.live.wire import MAX_SUBSCRIPTIONS, Json, Subscription

logger = logging.getLogger(__name__)

CLOSE_TIME_IS_UP = 1001
CLOSE_TRY_AGAIN = 1013
CLOSE_UNAUTHENTICATED = 4401
CLOSE_TOO_SLOW = 4408
CLOSE_RATE_LIMITED = 4429
CLOSE_UNAVAILABLE = 4503
CLOSE_TIMEOUT_S = 10.0
MAX_MESSAGE_CHARS = 64 * 1024


async def serve_socket(socket: WebSocket, deps: LiveDeps) -> None:
    """Accept a watcher, find out who it is, and serve it until either side ends."""
    await socket.accept()
    key = socket.headers.get(KEY_HEADER) or socket.query_params.get("api_key")
    try:
        with deps.places.place():
            holder = await deps.access.admit(socket, key, Scope.READ)
            await LiveSocket(socket, deps, holder, key or "").serve()
    except Unauthenticated:
        await _refuse(socket, deps, "missing_api_key", CLOSE_UNAUTHENTICATED)
    except Forbidden:
        await _refuse(socket, deps, "invalid_api_key", CLOSE_UNAUTHENTICATED)
    except RateLimited:
        await _refuse(socket, deps, "rate_limited", CLOSE_RATE_LIMITED)
    except Overloaded:
        await _refuse(socket, deps, "overloaded", CLOSE_TRY_AGAIN)
    except Unavailable:
        await _refuse(socket, deps, "unavailable", CLOSE_UNAVAILABLE)


async def _refuse(socket: WebSocket, deps: LiveDeps, error: str, code: int) -> None:
    _note_close(code)
    try:
        await send_in_time(socket.send_json({"type": "error", "error": error}), deps.send_timeout_s)
        await send_in_time(socket.close(code), deps.send_timeout_s)
    except (WebSocketDisconnect, TooSlow):
        return


def _note_close(code: int) -> None:
    note({"websocket.close_code": code})


class LiveSocket:
    """One watcher over WebSocket."""

    def __init__(self, socket: WebSocket, deps: LiveDeps, holder: Holder, key: str) -> None:
        self._socket = socket
        self._deps = deps
        self._holder = holder
        self._visit = deps.access.visit(key)
        self._feed = Feed(deps.store, deps.rings, holder.principal.user_id)
        self._changed = asyncio.Event()

    async def serve(self) -> None:
        """Carry messages both ways until the watcher goes, is too slow, or the time is up; raise what else ends it."""
        try:
            async with asyncio.timeout(self._deps.max_s), asyncio.TaskGroup() as tasks:
                tasks.create_task(self._follow())
                tasks.create_task(self._listen())
        except* WebSocketDisconnect:
            pass
        except* TimeoutError:
            await self._close(CLOSE_TIME_IS_UP)
        except* TooSlow:
            logger.info("watcher too slow")
            await self._close(CLOSE_TOO_SLOW)
        except* Forbidden:
            await _refuse(self._socket, self._deps, "invalid_api_key", CLOSE_UNAUTHENTICATED)
        except* Overloaded:
            await _refuse(self._socket, self._deps, "overloaded", CLOSE_TRY_AGAIN)
        except* Unavailable:
            await _refuse(self._socket, self._deps, "unavailable", CLOSE_UNAVAILABLE)
        finally:
            self._feed.close()

    async def _listen(self) -> None:
        while True:
            text = await self._receive()
            try:
                order = json.loads(text) if len(text) <= MAX_MESSAGE_CHARS else None
            except (ValueError, RecursionError):
                order = None
            if isinstance(order, dict):
                await self._obey(order)
            else:
                await self._complain("invalid_json")

    async def _receive(self) -> str:
        """Return the next text; what is binary reads as empty."""
        message = await self._socket.receive()
        if message["type"] == "websocket.disconnect":
            _note_close(message.get("code", 1005))
            raise WebSocketDisconnect(message.get("code", 1005))
        return message.get("text") or ""

    async def _obey(self, order: Mapping[str, Any]) -> None:
        try:
            await self._deps.access.count_key(self._holder)
        except RateLimited:
            await self._complain("rate_limited")
            return
        match order.get("action"):
            case "ping":
                await self._send({"type": "pong"})
            case "subscribe" | "unsubscribe" as action:
                await self._change(action, order)
            case _:
                await self._complain("unknown_action")

    async def _change(self, action: str, order: Mapping[str, Any]) -> None:
        try:
            subscription = Subscription.model_validate(order)
        except ValidationError:
            await self._complain(f"invalid_{action}_payload")
            return
        if action == "subscribe":
            await self._subscribe(subscription)
        else:
            await self._unsubscribe(subscription)

    async def _subscribe(self, subscription: Subscription) -> None:
        found: list[Json] = []
        missing: list[Json] = []
        too_many: list[Json] = []
        for ref in subscription.meetings:
            named = {"platform": ref.platform, "native_id": ref.native_id}
            if len(self._feed) >= MAX_SUBSCRIPTIONS:
                too_many.append(named)
                continue
            try:
                found.append(await self._feed.follow(ref, since=ref.since or subscription.since))
            except NotFound:
                missing.append(named)
        await self._send({"type": "subscribed", "meetings": found})
        if missing:
            await self._complain("meeting_not_found", meetings=missing)
        if too_many:
            await self._complain("too_many_subscriptions", meetings=too_many)
        self._changed.set()

    async def _unsubscribe(self, subscription: Subscription) -> None:
        for ref in subscription.meetings:
            self._feed.forget(ref)
        meetings = [{"platform": ref.platform, "native_id": ref.native_id} for ref in subscription.meetings]
        await self._send({"type": "unsubscribed", "meetings": meetings})

    async def _follow(self) -> None:
        while True:
            while not len(self._feed):
                self._changed.clear()
                await self._changed.wait()
            for message in await self._feed.next():
                sending = self._socket.send({"type": "websocket.send", "text": message.text})
                await send_in_time(sending, self._deps.send_timeout_s)
            await self._visit.check()

    async def _complain(self, error: str, **more: Any) -> None:
        await self._send({"type": "error", "error": error, **more})

    async def _send(self, message: Json) -> None:
        await send_in_time(self._socket.send_json(message), self._deps.send_timeout_s)

    async def _close(self, code: int) -> None:
        """Say why; a watcher that is slow has time to read as far as that, one that is dead has not."""
        _note_close(code)
        try:
            await send_in_time(self._socket.close(code), CLOSE_TIMEOUT_S)
        except (WebSocketDisconnect, TooSlow):
            return
