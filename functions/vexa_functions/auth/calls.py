"""Who calls a function, together with what that function works with."""

from typing import Protocol, TypeVar

from starlette.requests import Request

from vexa_functions.auth.admin_key import check_admin_key
from vexa_functions.auth.identity import Principal, verify_identity
from vexa_functions.hosting.serving import deps_of


class KnowsUsers(Protocol):
    """Can tell that the gateway has signed an identity."""

    @property
    def signing_key(self) -> str: ...


class KnowsAdministrator(Protocol):
    """Can tell the administrator's key."""

    @property
    def admin_key(self) -> str: ...


U = TypeVar("U", bound=KnowsUsers)
A = TypeVar("A", bound=KnowsAdministrator)


async def user_call(request: Request, kind: type[U]) -> tuple[U, Principal]:
    """Return what the function works with, and the user who calls it; raise Unauthenticated."""
    deps = await deps_of(request, kind)
    return deps, verify_identity(request, key=deps.signing_key)


async def admin_call(request: Request, kind: type[A]) -> A:
    """Return what the function works with where the administrator calls it; raise Unauthenticated."""
    deps = await deps_of(request, kind)
    check_admin_key(request, key=deps.admin_key)
    return deps
