"""Users' receivers as the courier sees them: no cold start pays for an HTTP client before something is delivered."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

from vexa_functions.hosting.lazy import Lazy
from vexa_functions.webhooks.schedule import Outcome

if TYPE_CHECKING:
    from vexa_functions.webhooks.sender import Sender


class Receivers:
    """Sends as Sender does; opened by the first delivery."""

    def __init__(self, *, timeout_s: float, allow_loopback: bool) -> None:
        self._sender = Lazy(partial(_open, timeout_s, allow_loopback=allow_loopback))

    async def send(self, url: str, body: str, *, secret: str | None) -> Outcome:
        """Post once."""
        return await (await self._sender.get()).send(url, body, secret=secret)

    async def aclose(self) -> None:
        """Close what was opened."""
        await self._sender.aclose()


@asynccontextmanager
async def _open(timeout_s: float, *, allow_loopback: bool) -> "AsyncIterator[Sender]":
    import httpx  # noqa: PLC0415 - see the module

    from vexa_functions.webhooks.sender import Sender  # noqa: PLC0415
    from vexa_functions.webhooks.transport import PublicTransport  # noqa: PLC0415

    transport = PublicTransport(allow_loopback=allow_loopback)
    async with httpx.AsyncClient(
        transport=transport, timeout=timeout_s, follow_redirects=False, trust_env=False
    ) as client:
        yield Sender(client, timeout_s=timeout_s)
