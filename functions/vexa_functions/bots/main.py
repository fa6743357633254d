"""The door for functions-framework: `--source …/bots/main.py --target bots`."""

from typing import Any

import functions_framework.aio
from starlette.requests import Request

from vexa_functions.bots.app import function


@functions_framework.aio.http
async def bots(_: Request) -> Any:  # an ASGI app is an answer too; the framework's types do not say so
    """Hand the request to the function's own app."""
    return function().app
