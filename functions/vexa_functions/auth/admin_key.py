"""The administrator's key, compared in constant time."""

import hmac

from starlette.requests import Request

from vexa_events.errors import Forbidden, Unauthenticated

HEADER = "x-admin-api-key"


def check_admin_key(request: Request, *, key: str) -> None:
    """Raise Unauthenticated without a key, Forbidden for a wrong one."""
    given = request.headers.get(HEADER)
    if given is None:
        raise Unauthenticated("X-Admin-API-Key is missing")
    if not hmac.compare_digest(given.encode(), key.encode()):
        raise Forbidden("X-Admin-API-Key is not the administrator's")
