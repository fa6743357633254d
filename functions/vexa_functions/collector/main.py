"""The door for functions-framework: `--source …/collector/main.py --target collector`."""

from typing import Any

import functions_framework.aio
from starlette.requests import Request

from vexa_functions.collector.app import function


@functions_framework.aio.http
async def collector(_: Request) -> Any:  # an ASGI app is an answer too; the framework's types do not say so
    """Hand the request to the collector's own app."""
    return function().app
