"""What the gateway itself answers."""

from starlette.responses import JSONResponse, Response

from vexa_functions.answers import Answer
from vexa_functions.gateway.limits import RateLimited
from vexa_functions.hosting.door import error_answer


class HealthAnswer(Answer):
    """The gateway answers."""

    status: str
    service: str


class KeyAnswer(Answer):
    """What a key may do."""

    user_id: int
    scopes: tuple[str, ...]
    """`user` is every call of a user; `read` and `bots` are those that name them."""


def refusal(exc: Exception) -> Response:
    """Answer what was raised on purpose."""
    if isinstance(exc, RateLimited):
        return JSONResponse({"detail": str(exc)}, 429, headers={"Retry-After": str(max(1, round(exc.retry_after_s)))})
    return error_answer(exc)
