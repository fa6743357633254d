"""
HTTP as functions take it: uvicorn's protocol, with a bound on what comes before a body.

By itself it keeps headers without end, and waits for their end for ever: one
caller without a key could fill the memory, or hold connections by the thousand.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES = 64 * 1024
HEAD_TIMEOUT_S = 20.0
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large"
_TOO_SLOW = b"HTTP/1.1 408 Request Timeout"


class BoundedHttp(HttpToolsProtocol):
    """Refuses a request whose head is too large, or does not end in time."""

    head_timeout_s = HEAD_TIMEOUT_S

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._awaits_head = True
        self._heads = 0
        """How many came whole."""
        self._head_bytes = 0
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Give the first request its time."""
        super().connection_made(transport)
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on, unless what was read is a head that has grown too large; most come whole, and cost nothing here."""
        awaited = self._heads if self._awaits_head else None
        super().data_received(data)
        if self._awaits_head and self._heads == awaited:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._refuse(_TOO_LARGE)
            elif self._timer is None:
                self._start_timer()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take no header that comes behind the body: it would join those that were checked, and have no bound."""
        if self._awaits_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Stop counting: bodies are bounded where they are read."""
        self._awaits_head = False
        self._heads += 1
        self._stop_timer()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Take what comes next for another head."""
        self._awaits_head = True
        self._head_bytes = 0
        self._stop_timer()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Give a body that was answered before its end no more time than a head."""
        super().on_response_complete()
        if not self._awaits_head and self._timer is None:
            self._start_timer()

    def _start_timer(self) -> None:
        self._timer = self.loop.call_later(self.head_timeout_s, self._refuse, _TOO_SLOW)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _refuse(self, status: bytes) -> None:
        self._stop_timer()
        if self.transport.is_closing():
            return
        if self._awaits_head and (self.cycle is None or self.cycle.response_complete):
            self.transport.write(status + b"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        self.transport.close()
