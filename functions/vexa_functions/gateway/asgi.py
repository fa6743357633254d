"""The door for images and local-dev: `uvicorn vexa_functions.gateway.asgi:app`."""

from functools import partial
from pathlib import Path

from starlette.routing import WebSocketRoute
from starlette.types import Receive, Scope, Send

from vexa_functions.gateway.app import function, live_feed
from vexa_functions.hosting.shell import HEALTH, shell

outer = shell(
    "gateway",
    function,
    source=Path(__file__).with_name("main.py"),
    routes=[WebSocketRoute("/ws", partial(live_feed, function))],
)


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Serve requests past the layers of shell and framework, which cost half of what forwarding does."""
    if scope["type"] == "http" and scope["path"] != HEALTH:
        await function().app(scope, receive, send)
    else:
        await outer(scope, receive, send)
