"""What the collector does when a PingSource ticks."""

from starlette.requests import Request
from starlette.responses import Response

from vexa_functions.collector.deps import CollectorDeps
from vexa_functions.hosting.operations import Caller, Operation

NO_CONTENT = 204


async def tick(request: Request) -> Response:
    """Do what is due."""
    deps: CollectorDeps = await request.app.state.deps.get()
    await deps.finalizer.sweep()
    await deps.repairer.sweep()
    return Response(status_code=NO_CONTENT)


OPERATIONS = (
    Operation(
        method="POST",
        path="/internal/tick",
        handler=tick,
        summary="Do what is due",
        caller=Caller.BROKER,
        answers={204: None},
    ),
)
