"""What the collector does when a PingSource ticks."""

from starlette.requests import Request
from starlette.responses import Response

from vexa_functions.collector.deps import CollectorDeps
from vexa_functions.hosting.operations import tick_operation
from vexa_functions.hosting.serving import deps_of

NO_CONTENT = 204


async def tick(request: Request) -> Response:
    """Do what is due."""
    deps = await deps_of(request, CollectorDeps)
    await deps.finalizer.sweep()
    await deps.repairer.sweep()
    return Response(status_code=NO_CONTENT)


OPERATIONS = (tick_operation(tick),)
