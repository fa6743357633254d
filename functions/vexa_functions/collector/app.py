"""The collector: takes events at /events, answers readers at /transcripts and /meetings."""

import os
from functools import cache

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from vexa_events.errors import VexaError
from vexa_functions.collector import events, routes, ticks
from vexa_functions.collector.deps import open_deps
from vexa_functions.collector.settings import CollectorSettings
from vexa_functions.hosting.door import error_answer
from vexa_functions.hosting.function import Function
from vexa_functions.hosting.measured import ROUTE
from vexa_functions.hosting.serving import put_together

OPERATIONS = (*events.OPERATIONS, *ticks.OPERATIONS, *routes.OPERATIONS)


class Collector(Starlette):
    """The collector's app; events go past its layers, which cost a third of what taking them does."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == events.PATH and scope["method"] == "POST":
            scope["app"] = self
            scope[ROUTE] = events.PATH
            request = Request(scope, receive)
            try:
                response = await events.take_event(request)
            except VexaError as exc:
                response = error_answer(exc)
            await response(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def build(settings: CollectorSettings) -> Function:
    """Put the function together; nothing is opened yet."""
    return put_together("collector", OPERATIONS, open_deps, settings, app_class=Collector)


@cache
def function() -> Function:
    """Return this process's one collector."""
    return build(CollectorSettings.from_env(os.environ))
