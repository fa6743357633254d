"""The door for images and local-dev: `uvicorn vexa_functions.collector.asgi:app`."""

from pathlib import Path

from starlette.types import Receive, Scope, Send

from vexa_functions.collector import events
from vexa_functions.collector.app import function
from vexa_functions.hosting.shell import shell

outer = shell("collector", function, source=Path(__file__).with_name("main.py"))


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Serve events past the layers of shell and framework, which cost more than what is behind them."""
    if scope["type"] == "http" and scope["path"] == events.PATH:
        await function().app(scope, receive, send)
    else:
        await outer(scope, receive, send)
