"""Looking keys up: seldom, and never twice at once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import pytest

from vexa_events.errors import Forbidden, Unavailable
from vexa_events.identity import UserId
from vexa_functions.gateway.authentication import CACHE_S, REFRESH_AFTER_S, Authenticator
from vexa_functions.store.tables import Store
from vexa_functions.store.tokens import Grant

KEY = "vxa_key"
VALID = Grant(token_id=7, user_id=UserId(1), scopes=frozenset({"user"}), expires_in_s=None, use_is_news=False)


class Tokens:
    """A store that knows one answer for all keys, and gives it when it may."""

    def __init__(self) -> None:
        self.answer: Grant | Unavailable | None = VALID
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.asked = 0

    @property
    def tokens(self) -> "Tokens":
        return self

    @asynccontextmanager
    async def reading(self) -> AsyncIterator["Tokens"]:
        yield self

    async def grant(self, _: bytes) -> Grant | None:
        self.asked += 1
        await self.may_answer.wait()
        if isinstance(self.answer, Unavailable):
            raise self.answer
        return self.answer


class Clock:
    """Stands still until it is told to go on."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
async def tokens() -> Tokens:
    """Every key is valid."""
    return Tokens()


@pytest.fixture
def clock() -> Clock:
    """Time begins at nought."""
    return Clock()


@pytest.fixture
def keys(tokens: Tokens, clock: Clock) -> Authenticator:
    """What is tested."""
    return Authenticator(cast("Store", tokens), clock)


async def test_many_requests_with_a_new_key_ask_once(keys: Authenticator, tokens: Tokens) -> None:
    """They share one look-up, so that one busy key does not take every connection."""
    holders = await asyncio.gather(*(keys.look_up(KEY) for _ in range(50)))

    assert {holder.token_id for holder in holders} == {7}
    assert tokens.asked == 1


async def test_a_key_in_use_is_looked_up_before_it_is_forgotten(
    keys: Authenticator, tokens: Tokens, clock: Clock
) -> None:
    """Nobody waits for that, and it is asked once."""
    await keys.look_up(KEY)
    tokens.may_answer.clear()
    clock.now_s = REFRESH_AFTER_S

    meanwhile = [keys.remembered(KEY) for _ in range(10)]
    tokens.may_answer.set()
    await keys.aclose()
    clock.now_s = CACHE_S + 1.0

    assert None not in meanwhile
    assert keys.remembered(KEY) is not None
    assert tokens.asked == 2


async def test_a_revoked_key_in_use_is_refused_at_the_next_look_up(
    keys: Authenticator, tokens: Tokens, clock: Clock
) -> None:
    """Using it does not keep it alive."""
    await keys.look_up(KEY)
    tokens.answer = None
    clock.now_s = REFRESH_AFTER_S
    keys.remembered(KEY)
    await keys.aclose()

    assert keys.remembered(KEY) is None
    with pytest.raises(Forbidden):
        await keys.look_up(KEY)


async def test_a_key_that_nobody_can_look_up_is_not_blamed(keys: Authenticator, tokens: Tokens, clock: Clock) -> None:
    """It works as long as it is remembered; then everybody who asked at once is told what is missing."""
    await keys.look_up(KEY)
    tokens.answer = Unavailable("postgres")
    clock.now_s = REFRESH_AFTER_S
    first = keys.remembered(KEY)
    await keys.aclose()
    then = keys.remembered(KEY)
    clock.now_s = CACHE_S
    outcomes = await asyncio.gather(*(keys.look_up(KEY) for _ in range(5)), return_exceptions=True)

    assert first is not None
    assert then is not None
    assert keys.remembered(KEY) is None
    assert [type(outcome) for outcome in outcomes] == [Unavailable] * 5


async def test_one_who_gives_up_does_not_take_the_answer_along(keys: Authenticator, tokens: Tokens) -> None:
    """The others who wait for the same key get it."""
    tokens.may_answer.clear()
    waiting = [asyncio.create_task(keys.look_up(KEY)) for _ in range(2)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    tokens.may_answer.set()

    assert (await waiting[1]).token_id == 7
    assert waiting[0].cancelled()
