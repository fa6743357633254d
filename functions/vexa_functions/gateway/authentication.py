"""Who holds a key: one indexed read of its hash, remembered for a short while."""

import time
from collections import OrderedDict
from collections.abc import Callable

from vexa_events.errors import Forbidden, Unauthenticated
from vexa_functions.auth.api_keys import hash_api_key
from vexa_functions.auth.identity import Principal
from vexa_functions.store.tables import Store

CACHE_S = 5.0
"""A revoked key works for at most this long."""
CACHE_SIZE = 10_000


class Authenticator:
    """Turns API keys into principals."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._known: OrderedDict[bytes, tuple[float, Principal]] = OrderedDict()

    async def principal(self, key: str | None) -> Principal:
        """Raise Unauthenticated without a key, Forbidden for an unknown one, Unavailable when nobody can tell."""
        if not key:
            raise Unauthenticated("X-API-Key is missing")
        key_hash = hash_api_key(key)
        known = self._known.get(key_hash)
        if known is not None and known[0] > self._clock():
            return known[1]
        async with self._store.reading() as tables:
            grant = await tables.tokens.grant(key_hash)
        if grant is None:
            self._known.pop(key_hash, None)
            raise Forbidden("X-API-Key is not valid")
        principal = Principal(user_id=grant.user_id, scopes=grant.scopes)
        self._remember(key_hash, principal)
        return principal

    def _remember(self, key_hash: bytes, principal: Principal) -> None:
        self._known[key_hash] = (self._clock() + CACHE_S, principal)
        self._known.move_to_end(key_hash)
        while len(self._known) > CACHE_SIZE:
            self._known.popitem(last=False)
