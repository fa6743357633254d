"""
The way of events into the Broker, which can be made to lose, repeat and reorder: `python -m vexa_local.chaos.channel`.

Producers post to it as to the Broker. Until told otherwise it passes every
event on and answers what the Broker answers.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from vexa_local.ports import LOOPBACK

TIMES = 5
"""How often an event is handed over in the manner `repeat`."""
DROP_EVERY = 3
HOLD_S = 0.7
"""How long events are collected in the manner `reverse`."""
ACCEPTED = 202
NO_BROKER = 503
_TIMEOUT_S = 35.0


class Manner(StrEnum):
    """What becomes of the events."""

    PASS = "pass"  # noqa: S105 - no secret
    DROP = "drop"
    REPEAT = "repeat"
    REVERSE = "reverse"


@dataclass(slots=True)
class _Held:
    body: bytes
    headers: dict[str, str]
    path: str
    answer: "asyncio.Future[Response]"


@dataclass(slots=True)
class Channel:
    """Everything between producers and the Broker."""

    client: httpx.AsyncClient
    manner: Manner = Manner.PASS
    seen: int = 0
    _held: list[_Held] = field(default_factory=list)
    _releasing: "asyncio.Task[None] | None" = None

    async def take(self, path: str, headers: dict[str, str], body: bytes) -> Response:
        """Treat one event in the manner of the moment."""
        self.seen += 1
        match self.manner:
            case Manner.DROP if self.seen % DROP_EVERY == 0:
                return Response(status_code=ACCEPTED)
            case Manner.REPEAT:
                answers = [await self._hand_over(path, headers, body) for _ in range(TIMES)]
                return answers[0]
            case Manner.REVERSE:
                return await self._hold(path, headers, body)
            case _:
                return await self._hand_over(path, headers, body)

    async def _hold(self, path: str, headers: dict[str, str], body: bytes) -> Response:
        held = _Held(body, headers, path, asyncio.get_running_loop().create_future())
        self._held.append(held)
        if self._releasing is None or self._releasing.done():
            self._releasing = asyncio.create_task(self._release())
        return await held.answer

    async def _release(self) -> None:
        while self._held:
            await asyncio.sleep(HOLD_S)
            batch, self._held = self._held, []
            for held in reversed(batch):
                held.answer.set_result(await self._hand_over(held.path, held.headers, held.body))

    async def _hand_over(self, path: str, headers: dict[str, str], body: bytes) -> Response:
        try:
            answer = await self.client.post(path, headers=headers, content=body)
        except httpx.HTTPError as exc:
            return PlainTextResponse(f"broker: {type(exc).__name__}", status_code=NO_BROKER)
        return Response(answer.content, status_code=answer.status_code)


async def take_event(request: Request) -> Response:
    """POST /{namespace}/{broker}"""
    passed_on = ("ce-", "content-type")
    headers = {name: value for name, value in request.headers.items() if name.startswith(passed_on)}
    channel: Channel = request.app.state.channel
    return await channel.take(request.url.path, headers, await request.body())


async def set_manner(request: Request) -> Response:
    """PUT /manner/{manner}"""
    request.app.state.channel.manner = Manner(request.path_params["manner"])
    return Response(status_code=204)


async def health(_: Request) -> Response:
    """GET /healthz"""
    return PlainTextResponse("ok")


def build(broker_url: str) -> Starlette:
    """Put the channel together."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with httpx.AsyncClient(base_url=broker_url, timeout=_TIMEOUT_S, trust_env=False) as client:
            app.state.channel = Channel(client)
            yield

    return Starlette(
        routes=[
            Route("/healthz", health),
            Route("/manner/{manner}", set_manner, methods=["PUT"]),
            Route("/{namespace}/{broker}", take_event, methods=["POST"]),
        ],
        lifespan=lifespan,
    )


def main() -> int:
    """Serve on PORT in front of BROKER_URL."""
    uvicorn.run(
        build(os.environ["BROKER_URL"]),
        host=LOOPBACK,
        port=int(os.environ["PORT"]),
        log_level="warning",
        access_log=False,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
