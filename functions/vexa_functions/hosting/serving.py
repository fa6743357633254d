"""What the functions have in common that are Starlette over operations: their graph, opened on first use."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TypeVar

from starlette.applications import Starlette
from starlette.requests import Request

from vexa_functions.hosting.door import answer_errors
from vexa_functions.hosting.function import Function
from vexa_functions.hosting.lazy import Lazy
from vexa_functions.hosting.operations import Operation, routes_of
from vexa_functions.hosting.settings import Settings

D = TypeVar("D")
S = TypeVar("S", bound=Settings)


def put_together(
    name: str,
    operations: Sequence[Operation],
    open_deps: Callable[[S], AbstractAsyncContextManager[object]],
    settings: S,
    *,
    app_class: type[Starlette] = Starlette,
) -> Function:
    """Put a function together; nothing is opened yet."""
    deps = Lazy(lambda: open_deps(settings))
    app = app_class(routes=routes_of(operations), exception_handlers=answer_errors())
    app.state.deps = deps
    return Function(name=name, app=app, settings=settings, aclose=deps.aclose)


async def deps_of(request: Request, kind: type[D]) -> D:
    """Return what the function works with, which is of this kind."""
    deps = await request.app.state.deps.get()
    if not isinstance(deps, kind):
        raise TypeError(f"the function works with {type(deps).__name__}, not with {kind.__name__}")
    return deps
