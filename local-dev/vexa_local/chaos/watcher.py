"""Somebody who watches meetings live, and comes back whenever the connection is lost."""

import asyncio
import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from vexa_events.live import LiveKind

BEGINNING = "0-0"
_AGAIN_S = 0.5
_OPEN_LIMIT_S = 5.0
_SILENCE_LIMIT_S = 10.0
_MAX_MESSAGE_BYTES = 1024 * 1024


@dataclass(slots=True)
class Watcher:
    """Keeps the committed text of each meeting, as shown live."""

    url: str
    api_key: str
    committed: dict[int, dict[str, str]] = field(default_factory=lambda: defaultdict(dict))
    """Text by segment_id, by meeting."""
    connections: int = 0
    _positions: dict[str, str] = field(default_factory=dict)
    _socket: ClientConnection | None = None

    async def follow(self, native_ids: Iterable[str]) -> None:
        """Watch until cancelled, from each meeting's first message on and without missing any."""
        self._positions = dict.fromkeys(native_ids, BEGINNING)
        while True:
            try:
                await self._watch_once()
            except (OSError, ConnectionClosed, InvalidHandshake, TimeoutError, EOFError):
                await asyncio.sleep(_AGAIN_S)

    def turn_away(self, name: str) -> None:
        """Watch a meeting no longer once the connection is made anew."""
        self._positions.pop(name, None)

    def begin_anew(self, name: str) -> None:
        """Watch the newest meeting of a name from its first message on; the one before is not seen any more."""
        self._positions[name] = BEGINNING
        if self._socket is not None:
            self._socket.transport.abort()

    async def _watch_once(self) -> None:
        async with connect(
            self.url,
            additional_headers={"X-API-Key": self.api_key},
            proxy=None,
            open_timeout=_OPEN_LIMIT_S,
            close_timeout=1.0,
            max_size=_MAX_MESSAGE_BYTES,
            ping_interval=_SILENCE_LIMIT_S,
            ping_timeout=_SILENCE_LIMIT_S,
        ) as socket:
            self.connections += 1
            self._socket = socket
            for name, position in list(self._positions.items()):
                await socket.send(json.dumps(_subscription(name, position)))
            await self._read(socket)

    async def _read(self, socket: ClientConnection) -> None:
        async for text in socket:
            message = json.loads(text)
            if message["type"] == "error":
                raise EOFError(message["error"])
            if "id" in message:
                self._note(message)

    def _note(self, message: dict[str, Any]) -> None:
        name, meeting_id = message["meeting"]["native_id"], int(message["meeting"]["id"])
        if name in self._positions:
            self._positions[name] = message["id"]
        if message["type"] == LiveKind.FINALIZED:
            for segment in message["payload"]["segments"]:
                self.committed[meeting_id][segment["segment_id"]] = segment["text"]


def _subscription(name: str, position: str) -> dict[str, Any]:
    return {"action": "subscribe", "meetings": [{"platform": "replay", "native_id": name}], "since": position}
