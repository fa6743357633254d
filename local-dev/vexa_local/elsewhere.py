"""Stores that run elsewhere: refused where they belong to another local stack, tried before anything starts."""

import asyncio
from collections.abc import Awaitable

import asyncpg
from pydantic import PostgresDsn, RedisDsn
from redis.asyncio import Redis
from redis.exceptions import RedisError

from vexa_local.errors import StartFailed
from vexa_local.ports import LOOPBACK, MAX_OFFSET, Ports
from vexa_local.postgres import USER
from vexa_local.stack import Stack
from vexa_local.state import State

_ANSWER_WITHIN_S = 10.0
_LOOPBACK_NAMES = frozenset({LOOPBACK, "localhost", "[::1]"})


def require_foreign(stack: Stack) -> None:
    """
    Raise StartFailed, naming the variable, where a store is the embedded one of another local stack.

    A shell that has read the other stack's `env` exports its addresses: two
    stacks would then share one database unawares.
    """
    database, valkey = stack.elsewhere
    if database is not None and _is_embedded_postgres(database):
        raise StartFailed(_mixed("DATABASE_URL", database.hosts()[0]["port"]))
    if valkey is not None and _is_embedded_valkey(valkey):
        raise StartFailed(_mixed("REDIS_URL", valkey.port))


async def require_answers(stack: Stack) -> None:
    """Raise StartFailed, naming the variable, where a store that runs elsewhere does not take us."""
    database, valkey = stack.elsewhere
    if database is not None:
        await _try("DATABASE_URL", _ask_postgres(str(database)))
    if valkey is not None:
        await _try("REDIS_URL", _ask_valkey(str(valkey)))


async def _ask_postgres(url: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.close()


async def _ask_valkey(url: str) -> None:
    async with Redis.from_url(url) as client:
        await client.ping()


async def _try(variable: str, asking: Awaitable[None]) -> None:
    """Addresses hold passwords, so only the store's own words are repeated."""
    try:
        async with asyncio.timeout(_ANSWER_WITHIN_S):
            await asking
    except TimeoutError as exc:
        raise StartFailed(f"{variable}: no answer within {_ANSWER_WITHIN_S:g} s") from exc
    except (OSError, RedisError, asyncpg.PostgresError, asyncpg.InterfaceError) as exc:
        words = (str(exc).splitlines() or [""])[0]
        raise StartFailed(f"{variable}: {words or type(exc).__name__}") from exc


def _is_embedded_postgres(url: PostgresDsn) -> bool:
    host = url.hosts()[0]
    offset = (host["port"] or 0) - Ports().postgres
    is_ours_in_form = host["username"] == USER and url.path == "/postgres"
    return _is_near(host["host"], offset) and (is_ours_in_form or _is_kept_here(offset))


def _is_embedded_valkey(url: RedisDsn) -> bool:
    offset = (url.port or 0) - Ports().valkey
    return _is_near(url.host, offset) and (offset == 0 or _is_kept_here(offset))


def _is_near(host: str | None, offset: int) -> bool:
    return host in _LOOPBACK_NAMES and 0 <= offset <= MAX_OFFSET


def _is_kept_here(offset: int) -> bool:
    """Tell whether this checkout has a stack at the offset."""
    return (State.at_offset(offset).folder / "secrets").exists()


def _mixed(variable: str, port: int | None) -> str:
    return (
        f"{variable} names port {port}, the embedded store of another local stack; "
        f"unset it, or this stack would mix its data with that one's"
    )
