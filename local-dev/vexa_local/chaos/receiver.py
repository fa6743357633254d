"""
The user's own server, which is told by webhook: `python -m vexa_local.chaos.receiver`.

It remembers what it took, and can be made to refuse.
"""

import os
import sys
from collections import defaultdict
from dataclasses import dataclass, field

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from vexa_local.ports import LOOPBACK

_TAKEN, _REFUSED = 204, 503


@dataclass(slots=True)
class Receiver:
    """What was told, and whether anything is taken at the moment."""

    is_refusing: bool = False
    types_by_meeting: dict[int, set[str]] = field(default_factory=lambda: defaultdict(set))

    async def take(self, request: Request) -> Response:
        """POST /hook"""
        if self.is_refusing:
            return Response(status_code=_REFUSED)
        notice = await request.json()
        self.types_by_meeting[int(notice["data"]["meeting"]["id"])].add(str(notice["event_type"]))
        return Response(status_code=_TAKEN)

    async def tell(self, _: Request) -> Response:
        """GET /notices"""
        return JSONResponse({str(meeting): sorted(types) for meeting, types in self.types_by_meeting.items()})

    async def refuse(self, _: Request) -> Response:
        """PUT /refusing"""
        self.is_refusing = True
        return Response(status_code=204)

    async def accept(self, _: Request) -> Response:
        """DELETE /refusing"""
        self.is_refusing = False
        return Response(status_code=204)


async def health(_: Request) -> Response:
    """GET /healthz"""
    return PlainTextResponse("ok")


def build(receiver: Receiver) -> Starlette:
    """Put the server together."""
    return Starlette(
        routes=[
            Route("/healthz", health),
            Route("/hook", receiver.take, methods=["POST"]),
            Route("/notices", receiver.tell),
            Route("/refusing", receiver.refuse, methods=["PUT"]),
            Route("/refusing", receiver.accept, methods=["DELETE"]),
        ]
    )


def main() -> int:
    """Serve on PORT."""
    port = int(os.environ["PORT"])
    uvicorn.run(build(Receiver()), host=LOOPBACK, port=port, log_level="warning", access_log=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
