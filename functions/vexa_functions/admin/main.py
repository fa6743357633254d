"""The door for functions-framework: `--source …/admin/main.py --target admin`."""

from typing import Any

import functions_framework.aio
from starlette.requests import Request

from vexa_functions.admin.app import function


@functions_framework.aio.http
async def admin(_: Request) -> Any:  # an ASGI app is an answer too; the framework's types do not say so
    """Hand the request to the function's own app."""
    return function().app
