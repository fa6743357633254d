"""The door for functions-framework: `--source …/webhooks/main.py --target webhooks`."""

from typing import Any

import functions_framework.aio
from starlette.requests import Request

from vexa_functions.webhooks.app import function


@functions_framework.aio.http
async def webhooks(_: Request) -> Any:  # an ASGI app is an answer too; the framework's types do not say so
    """Hand the request to the function's own app."""
    return function().app
