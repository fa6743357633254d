"""Who may pass the gateway: the key's holder, within the limits, with the scope that is needed."""

import time
from collections.abc import Callable, Mapping

from starlette.requests import HTTPConnection

from vexa_events.errors import Forbidden, Unavailable
from vexa_functions.auth.scopes import allows
from vexa_functions.gateway.authentication import Authenticator, Holder
from vexa_functions.gateway.limits import Limit, Limiter

KEY_HEADER = "x-api-key"
CHECK_EVERY_S = 30.0
"""How long a live connection may outlast its key."""


class Access:
    """
    Lets callers in.

    A key that was verified a moment ago counts against its own limit alone;
    everything else counts against the limit of its address before anybody is
    asked, so that guessing keys stays slow and costs little.
    """

    def __init__(
        self,
        authenticator: Authenticator,
        limiter: Limiter,
        *,
        per_key: Limit,
        per_address: Limit,
        trusted_hops: int,
    ) -> None:
        """`trusted_hops` is how many proxies in front append to X-Forwarded-For."""
        self._authenticator = authenticator
        self._limiter = limiter
        self._per_key = per_key
        self._per_address = per_address
        self._trusted_hops = trusted_hops

    async def admit(self, connection: HTTPConnection, key: str | None, scope: str | None) -> Holder:
        """Return the key's holder; raise the error that refuses it."""
        holder = self._authenticator.remembered(key)
        if holder is None:
            await self.count_address(connection)
            holder = await self._authenticator.look_up(key or "")
        await self.count_key(holder)
        if not allows(holder.principal.scopes, scope):
            raise Forbidden(f"X-API-Key does not allow this: it needs the scope {scope or 'user'}")
        return holder

    async def count_key(self, holder: Holder) -> None:
        """Count a request of a known key; raise RateLimited."""
        await self._limiter.take(f"key:{holder.token_id}", self._per_key)

    async def count_address(self, connection: HTTPConnection) -> None:
        """Count a request of nobody known yet; raise RateLimited."""
        address = client_address(connection, self._trusted_hops)
        await self._limiter.take(f"address:{address}", self._per_address)

    def visit(self, key: str) -> "Visit":
        """Watch over a connection that was admitted."""
        return Visit(self._authenticator, key)


class Visit:
    """A live connection whose key is looked up again from time to time."""

    def __init__(self, authenticator: Authenticator, key: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._authenticator = authenticator
        self._key = key
        self._clock = clock
        self._check_at_s = clock() + CHECK_EVERY_S

    async def check(self) -> None:
        """Raise Forbidden once the key is worthless."""
        if self._clock() < self._check_at_s:
            return
        self._check_at_s = self._clock() + CHECK_EVERY_S
        try:
            await self._authenticator.look_up(self._key)
        except Unavailable:
            return


def client_address(connection: HTTPConnection, trusted_hops: int) -> str:
    """Return the address that the outermost trusted proxy saw, or that of the peer."""
    peer = connection.client.host if connection.client else "unknown"
    return forwarded_for(connection.headers, trusted_hops) or peer


def forwarded_for(headers: Mapping[str, str], trusted_hops: int) -> str | None:
    """Read X-Forwarded-For as far from its end as proxies are trusted: what lies before, anybody can write."""
    hops = [hop.strip()[:64] for hop in headers.get("x-forwarded-for", "").split(",") if hop.strip()]
    return hops[-min(trusted_hops, len(hops))] if trusted_hops and hops else None
