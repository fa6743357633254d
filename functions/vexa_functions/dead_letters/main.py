"""The door for functions-framework: `--source …/dead_letters/main.py --target dead_letters`."""

from typing import Any

import functions_framework.aio
from starlette.requests import Request

from vexa_functions.dead_letters.app import function


@functions_framework.aio.http
async def dead_letters(_: Request) -> Any:  # an ASGI app is an answer too; the framework's types do not say so
    """Hand the request to the function's own app."""
    return function().app
