"""The signed identity that the gateway adds to what it forwards, and that functions check."""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import jwt
from starlette.requests import Request

from vexa_events.errors import Unauthenticated
from vexa_events.identity import UserId

HEADER = "x-vexa-identity"
AUDIENCE = "vexa-functions"
LIFETIME = timedelta(seconds=60)
REUSED_S = 5.0
MAX_SIGNED = 10_000
LEEWAY = timedelta(seconds=60)
"""Clocks of two machines may differ by this much."""
_ALGORITHM = "HS256"


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who is calling, as the gateway found out."""

    user_id: UserId
    scopes: frozenset[str]


def sign_identity(principal: Principal, *, key: str) -> str:
    """Sign who is calling, for the next minute."""
    now = datetime.now(UTC)
    payload = {
        "sub": str(principal.user_id),
        "scopes": sorted(principal.scopes),
        "aud": AUDIENCE,
        "iat": now,
        "exp": now + LIFETIME,
    }
    return jwt.encode(payload, key, algorithm=_ALGORITHM)


class IdentitySigner:
    """Signs for the gateway; one signature serves a principal's requests for a moment."""

    def __init__(self, key: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._key = key
        self._clock = clock
        self._signed: OrderedDict[Principal, tuple[float, str]] = OrderedDict()

    def sign(self, principal: Principal) -> str:
        """Return a signature that is good for at least LIFETIME less REUSED_S."""
        known = self._signed.get(principal)
        if known is not None and known[0] > self._clock():
            return known[1]
        signed = sign_identity(principal, key=self._key)
        self._signed[principal] = (self._clock() + REUSED_S, signed)
        self._signed.move_to_end(principal)
        while len(self._signed) > MAX_SIGNED:
            self._signed.popitem(last=False)
        return signed


def verify_identity(request: Request, *, key: str) -> Principal:
    """Return who is calling; raise Unauthenticated for anything that the gateway did not sign."""
    token = request.headers.get(HEADER)
    if token is None:
        raise Unauthenticated("call this function through the gateway: the signed identity is missing")
    try:
        payload = jwt.decode(
            token,
            key,
            algorithms=[_ALGORITHM],
            audience=AUDIENCE,
            leeway=LEEWAY,
            options={"require": ["exp", "sub", "aud"], "verify_iat": False},
        )
        return Principal(user_id=UserId(int(payload["sub"])), scopes=frozenset(payload.get("scopes", ())))
    except (jwt.InvalidTokenError, ValueError, RecursionError) as exc:
        raise Unauthenticated(f"signed identity refused: {type(exc).__name__}") from exc
