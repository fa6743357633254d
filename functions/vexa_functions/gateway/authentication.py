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
REFRESH_AFTER_S = 3.0
"""A key that goes on being used is looked up again before it is forgotten, so that nobody waits for that."""
MAX_KEY_CHARS = 256
MAX_NOTES = 100
"""Notes of use that are on their way to the database; more are left to the next use."""
DATABASE_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Who holds a key, and which of their keys it is."""

    token_id: int
    principal: Principal


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What a look-up found."""

    holder: Holder
    until_s: float
    refresh_at_s: float


class Authenticator:
    """Turns API keys into their holders; however many ask for one key at once, Postgres is asked once."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._known: OrderedDict[bytes, _Known] = OrderedDict()
        self._asking: dict[bytes, asyncio.Task[Holder | None]] = {}
        self._notes: set[asyncio.Task[None]] = set()

    def remembered(self, key: str | None) -> Holder | None:
        """Return the holder of a key that was looked up a moment ago; raise Unauthenticated without a key."""
        if not key:
            raise Unauthenticated("X-API-Key is missing")
        key_hash = hash_api_key(key)
        known, now_s = self._known.get(key_hash), self._clock()
        if known is None or known.until_s <= now_s:
            return None
        if known.refresh_at_s <= now_s:
            self._ask(key_hash)
        return known.holder

    async def look_up(self, key: str) -> Holder:
        """Find the holder; raise Forbidden for a key that is nobody's, Unavailable when nobody can tell."""
        if len(key) > MAX_KEY_CHARS:
            raise Forbidden("X-API-Key is not valid")
        holder = await asyncio.shield(self._ask(hash_api_key(key)))
        if holder is None:
            raise Forbidden("X-API-Key is not valid")
        return holder

    async def aclose(self) -> None:
        """Let the notes of use arrive that are on their way."""
        if under_way := [*self._notes, *self._asking.values()]:
            await asyncio.wait(under_way, timeout=DATABASE_TIMEOUT_S)

    def _ask(self, key_hash: bytes) -> "asyncio.Task[Holder | None]":
        asking = self._asking.get(key_hash)
        if asking is None:
            asking = self._asking[key_hash] = asyncio.create_task(self._find(key_hash))
            asking.add_done_callback(lambda done: self._answered(key_hash, done))
        return asking

    def _answered(self, key_hash: bytes, asked: "asyncio.Task[Holder | None]") -> None:
        """Forget a question; what failed is told to those who wait, and tried again by the next."""
        del self._asking[key_hash]
        if not asked.cancelled():
            asked.exception()

    async def _find(self, key_hash: bytes) -> Holder | None:
        try:
            async with asyncio.timeout(DATABASE_TIMEOUT_S), self._store.reading() as tables:
                grant = await tables.tokens.grant(key_hash)
        except TimeoutError as exc:
            raise Unavailable("the key could not be looked up in time") from exc
        if grant is None:
            self._known.pop(key_hash, None)
            return None
        holder = Holder(token_id=grant.token_id, principal=Principal(user_id=grant.user_id, scopes=grant.scopes))
        self._remember(key_hash, holder, grant)
        if grant.use_is_news and len(self._notes) < MAX_NOTES:
            note = asyncio.create_task(self._note_use(grant.token_id))
            self._notes.add(note)
            note.add_done_callback(self._notes.discard)
        return holder

    def _remember(self, key_hash: bytes, holder: Holder, grant: Grant) -> None:
        now_s, lasts_s = self._clock(), CACHE_S if grant.expires_in_s is None else min(CACHE_S, grant.expires_in_s)
        self._known[key_hash] = _Known(holder=holder, until_s=now_s + lasts_s, refresh_at_s=now_s + REFRESH_AFTER_S)
        self._known.move_to_end(key_hash)
        while len(self._known) > CACHE_SIZE:
            self._known.popitem(last=False)

    async def _note_use(self, token_id: int) -> None:
        try:
            async with asyncio.timeout(DATABASE_TIMEOUT_S), self._store.reading() as tables:
                await tables.tokens.note_use(token_id)
        except (Unavailable, TimeoutError) as exc:
            logger.warning("use of a key not noted", extra={"cause": str(exc)})
