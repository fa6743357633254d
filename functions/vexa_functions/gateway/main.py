"""The door for functions-framework: `--source …/gateway/main.py --target gateway`."""

from typing import Any

import functions_framework.aio
from starlette.requests import Request

from vexa_functions.gateway.app import function


@functions_framework.aio.http
async def gateway(_: Request) -> Any:  # an ASGI app is an answer too; the framework's types do not say so
    """Hand the request to the gateway's own app."""
    return function().app
