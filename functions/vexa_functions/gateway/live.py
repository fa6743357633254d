"""
The live feed over WebSocket: `/ws`.

One reader per connection follows the Valkey streams of the meetings it
subscribed to. A reader that cannot keep up is disconnected by the send
timeout; it resumes with `since`.
"""

import asyncio
import json
import logging
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.websockets import WebSocket, WebSocketDisconnect

from vexa_events.errors import Forbidden, Unauthenticated, Unavailable
from vexa_events.fields import Name
from vexa_events.live import LiveKind, LiveMessage
from vexa_functions.auth.identity import Principal
from vexa_functions.gateway.authentication import Authenticator
from vexa_functions.live_feed import LiveReader
from vexa_functions.store.tables import Store

logger = logging.getLogger(__name__)

CLOSE_UNAUTHENTICATED = 4401
CLOSE_UNAVAILABLE = 4503
CLOSE_TIME_IS_UP = 1001
SEND_TIMEOUT_S = 10.0
MAX_SUBSCRIPTIONS = 50
MAX_MESSAGE_BYTES = 64 * 1024


class MeetingRef(BaseModel):
    """A meeting as subscribers name it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    platform: Name
    native_id: Name


class Subscription(BaseModel):
    """`subscribe` and `unsubscribe`."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    meetings: tuple[MeetingRef, ...] = Field(min_length=1, max_length=MAX_SUBSCRIPTIONS)
    since: str | None = Field(None, pattern=r"^\d+-\d+$")
    """Id of the last message seen; the feed goes on behind it."""


class LiveConnection:
    """One watcher."""

    def __init__(self, socket: WebSocket, store: Store, reader: LiveReader, principal: Principal) -> None:
        self._socket = socket
        self._store = store
        self._reader = reader
        self._principal = principal
        self._refs: dict[int, MeetingRef] = {}
        self._positions: dict[int, str] = {}
        self._changed = asyncio.Event()

    async def serve(self, max_s: float) -> None:
        """Carry messages both ways until the watcher goes or the time is up."""
        try:
            async with asyncio.timeout(max_s), asyncio.TaskGroup() as tasks:
                follower = tasks.create_task(self._follow())
                await self._listen()
                follower.cancel()
        except* TimeoutError:
            await self._socket.close(CLOSE_TIME_IS_UP)
        except* WebSocketDisconnect:
            pass
        except* Unavailable:
            await self._send({"type": "error", "error": "unavailable"})
            await self._socket.close(CLOSE_UNAVAILABLE)

    async def _listen(self) -> None:
        while True:
            text = await self._socket.receive_text()
            try:
                order = json.loads(text) if len(text) <= MAX_MESSAGE_BYTES else None
            except (json.JSONDecodeError, RecursionError):
                order = None
            if not isinstance(order, dict):
                await self._send({"type": "error", "error": "invalid_json"})
                continue
            await self._obey(order)

    async def _obey(self, order: Mapping[str, Any]) -> None:
        action = order.get("action")
        if action == "ping":
            await self._send({"type": "pong"})
        elif action in {"subscribe", "unsubscribe"}:
            try:
                subscription = Subscription.model_validate(order)
            except ValidationError:
                await self._send({"type": "error", "error": f"invalid_{action}_payload"})
                return
            await (self._subscribe(subscription) if action == "subscribe" else self._unsubscribe(subscription))
        else:
            await self._send({"type": "error", "error": "unknown_action"})

    async def _subscribe(self, subscription: Subscription) -> None:
        found, missing = [], []
        for ref in subscription.meetings:
            async with self._store.reading() as tables:
                meeting = await tables.meetings.latest(self._principal.user_id, ref.platform, ref.native_id)
            if meeting is None or len(self._refs) >= MAX_SUBSCRIPTIONS:
                missing.append(ref.model_dump())
                continue
            self._positions[meeting.id] = subscription.since or await self._reader.newest(meeting.id)
            self._refs[meeting.id] = ref
            found.append(ref.model_dump())
        self._changed.set()
        await self._send({"type": "subscribed", "meetings": found})
        if missing:
            await self._send({"type": "error", "error": "meeting_not_found", "meetings": missing})

    async def _unsubscribe(self, subscription: Subscription) -> None:
        for meeting_id in [known for known, ref in self._refs.items() if ref in subscription.meetings]:
            del self._refs[meeting_id], self._positions[meeting_id]
        await self._send({"type": "unsubscribed", "meetings": [ref.model_dump() for ref in subscription.meetings]})

    async def _follow(self) -> None:
        while True:
            if not self._positions:
                self._changed.clear()
                await self._changed.wait()
            for meeting_id, entry_id, message in await self._reader.read(dict(self._positions)):
                if meeting_id in self._refs:
                    self._positions[meeting_id] = entry_id
                    await self._send(wire_message(entry_id, self._refs[meeting_id], message))

    async def _send(self, message: Mapping[str, Any]) -> None:
        async with asyncio.timeout(SEND_TIMEOUT_S):
            await self._socket.send_json(message)


def wire_message(entry_id: str, ref: MeetingRef, message: LiveMessage) -> dict[str, Any]:
    """Spell one feed entry as watchers read it."""
    payload: dict[str, Any] = {"status": message.status} if message.kind is LiveKind.STATUS else {}
    if message.kind is not LiveKind.STATUS:
        payload["stream_uid"] = message.stream_uid
        payload["segments"] = [
            {
                "segment_id": segment.segment_id,
                "stream_uid": segment.stream_uid,
                "session_uid": message.session_uid,
                "start": segment.start_s,
                "end": segment.end_s,
                "text": segment.text,
                "language": segment.language,
                "speaker": segment.speaker,
                "revision": segment.revision,
                "completed": segment.completed,
            }
            for segment in message.segments
        ]
    return {
        "type": message.kind,
        "id": entry_id,
        "meeting": {"platform": ref.platform, "native_id": ref.native_id, "id": message.meeting_id},
        "payload": payload,
        "ts": message.at.isoformat(),
    }


async def admit(socket: WebSocket, authenticator: Authenticator) -> Principal | None:
    """Accept the connection and find out who it is; without a valid key say why and close."""
    await socket.accept()
    key = socket.headers.get("x-api-key") or socket.query_params.get("api_key")
    try:
        return await authenticator.principal(key)
    except Unauthenticated:
        error, code = "missing_api_key", CLOSE_UNAUTHENTICATED
    except Forbidden:
        error, code = "invalid_api_key", CLOSE_UNAUTHENTICATED
    except Unavailable:
        error, code = "unavailable", CLOSE_UNAVAILABLE
    await socket.send_json({"type": "error", "error": error})
    await socket.close(code)
    return None
