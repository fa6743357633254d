"""The door for images and local-dev: `uvicorn vexa_functions.gateway.asgi:app`."""

from functools import partial
from pathlib import Path

from starlette.routing import Mount, WebSocketRoute
from starlette.types import Receive, Scope, Send

from vexa_functions.gateway.app import function, live_feed
from vexa_functions.hosting.shell import shell


async def whole_gateway(scope: Scope, receive: Receive, send: Send) -> None:
    """Serve every other route, past the framework: its layers would be a fifth of what a forwarded request costs."""
    await function().app(scope, receive, send)


app = shell(
    "gateway",
    function,
    source=Path(__file__).with_name("main.py"),
    routes=[WebSocketRoute("/ws", partial(live_feed, function)), Mount("/", app=whole_gateway)],
)
