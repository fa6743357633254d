"""Who holds a key: one indexed read of its hash, remembered for a short while."""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from vexa_events.errors import Forbidden, Unauthenticated, Unavailable
from vexa_functions.auth.api_keys import hash_api_key
from vexa_functions.auth.identity import Principal
from vexa_functions.store.tables import Store
from vexa_functions.store.tokens import Grant

logger = logging.getLogger(__name__)

CACHE_S = 5.0
"""A revoked key works for at most this long."""
CACHE_SIZE = 10_000
MAX_KEY_CHARS = 256
MAX_NOTES = 100
"""Notes of use that are on their way to the database; more are left to the next use."""
DATABASE_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Who holds a key, and which of their keys it is."""

    token_id: int
    principal: Principal


class Authenticator:
    """Turns API keys into their holders."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._known: OrderedDict[bytes, tuple[float, Holder]] = OrderedDict()
        self._notes: set[asyncio.Task[None]] = set()

    def remembered(self, key: str | None) -> Holder | None:
        """Return the holder of a key that was looked up a moment ago; raise Unauthenticated without a key."""
        if not key:
            raise Unauthenticated("X-API-Key is missing")
        known = self._known.get(hash_api_key(key))
        return known[1] if known is not None and known[0] > self._clock() else None

    async def look_up(self, key: str) -> Holder:
        """Find the holder; raise Forbidden for a key that is nobody's, Unavailable when nobody can tell."""
        if len(key) > MAX_KEY_CHARS:
            raise Forbidden("X-API-Key is not valid")
        key_hash = hash_api_key(key)
        try:
            async with asyncio.timeout(DATABASE_TIMEOUT_S), self._store.reading() as tables:
                grant = await tables.tokens.grant(key_hash)
        except TimeoutError as exc:
            raise Unavailable("the key could not be looked up in time") from exc
        if grant is None:
            self._known.pop(key_hash, None)
            raise Forbidden("X-API-Key is not valid")
        holder = Holder(token_id=grant.token_id, principal=Principal(user_id=grant.user_id, scopes=grant.scopes))
        self._remember(key_hash, holder, grant)
        if grant.use_is_news and len(self._notes) < MAX_NOTES:
            note = asyncio.create_task(self._note_use(grant.token_id))
            self._notes.add(note)
            note.add_done_callback(self._notes.discard)
        return holder

    async def aclose(self) -> None:
        """Let the notes of use arrive that are on their way."""
        if self._notes:
            await asyncio.wait(self._notes, timeout=DATABASE_TIMEOUT_S)

    def _remember(self, key_hash: bytes, holder: Holder, grant: Grant) -> None:
        lasts_s = CACHE_S if grant.expires_in_s is None else min(CACHE_S, grant.expires_in_s)
        self._known[key_hash] = (self._clock() + lasts_s, holder)
        self._known.move_to_end(key_hash)
        while len(self._known) > CACHE_SIZE:
            self._known.popitem(last=False)

    async def _note_use(self, token_id: int) -> None:
        try:
            async with asyncio.timeout(DATABASE_TIMEOUT_S), self._store.reading() as tables:
                await tables.tokens.note_use(token_id)
        except (Unavailable, TimeoutError) as exc:
            logger.warning("use of a key not noted", extra={"cause": str(exc)})
