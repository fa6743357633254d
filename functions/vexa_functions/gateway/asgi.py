"""The door for images and local-dev: `uvicorn vexa_functions.gateway.asgi:app`."""

from functools import partial
from pathlib import Path

from starlette.routing import WebSocketRoute

from vexa_functions.gateway.app import function, live_feed
from vexa_functions.hosting.shell import shell

app = shell(
    "gateway",
    function,
    source=Path(__file__).with_name("main.py"),
    routes=[WebSocketRoute("/ws", partial(live_feed, function))],
)
