"""What images and local-dev serve: `python -m vexa_functions gateway`."""

from functools import partial

from starlette.routing import WebSocketRoute

from vexa_functions.gateway.app import function, live_feed
from vexa_functions.hosting.shell import Shell

app = Shell(function, routes=[WebSocketRoute("/ws", partial(live_feed, function))])
