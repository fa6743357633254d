"""The door to Postgres: one small pool, opened on first use, and errors in our own words."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol

import asyncpg

from vexa_events.errors import Unavailable
from vexa_functions.hosting.metrics import CONNECTIONS, CONNECTIONS_MAX, CONNECTIONS_REFUSED

COMMAND_TIMEOUT_S = 5.0
ACQUIRE_TIMEOUT_S = 3.0
"""Also bounds the giving back; together with one statement, less than callers wait before they give up."""
_TRANSIENT = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.exceptions.CannotConnectNowError,
    asyncpg.exceptions.OperatorInterventionError,
    asyncpg.exceptions.InsufficientResourcesError,
    asyncpg.exceptions.TransactionRollbackError,
    OSError,
    TimeoutError,
)


class Connection(Protocol):
    """What the table families need of an asyncpg connection; rows do not leave them."""

    async def fetch(self, query: str, *arguments: object) -> list[Any]:
        """Return every row."""

    async def fetchrow(self, query: str, *arguments: object) -> Any:
        """Return the first row, or None."""

    async def fetchval(self, query: str, *arguments: object) -> Any:
        """Return the first column of the first row, or None."""

    async def execute(self, query: str, *arguments: object) -> str:
        """Run a statement."""

    def transaction(
        self, *, isolation: str | None = None, readonly: bool = False
    ) -> AbstractAsyncContextManager[object]:
        """Open a transaction."""


class Database:
    """Hands out connections; every failure that may pass is raised as Unavailable."""

    def __init__(self, url: str, *, max_connections: int) -> None:
        self._url = url
        self._max_connections = max_connections
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None
        self._opening = asyncio.Lock()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Lend a connection on which every statement commits by itself."""
        try:
            pool = await self._open()
            async with asyncio.timeout(ACQUIRE_TIMEOUT_S):
                connection = await pool.acquire()
            CONNECTIONS.add(1)
            try:
                yield connection
            finally:
                CONNECTIONS.add(-1)
                await pool.release(connection, timeout=ACQUIRE_TIMEOUT_S)
        except _TRANSIENT as exc:
            CONNECTIONS_REFUSED.add(1)
            raise Unavailable(f"postgres: {type(exc).__name__}") from exc

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """Lend a connection inside one transaction."""
        async with self.connection() as connection, connection.transaction():
            yield connection

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Connection]:
        """Lend a connection whose statements all read the database as of the first one."""
        async with (
            self.connection() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            yield connection

    async def aclose(self) -> None:
        """Close the pool, waiting a little for those who still use it."""
        if self._pool is not None:
            async with asyncio.timeout(5):
                await self._pool.close()
            CONNECTIONS_MAX.add(-self._max_connections)

    async def _open(self) -> "asyncpg.Pool[asyncpg.Record]":
        async with self._opening:
            if self._pool is None:
                self._pool = await asyncpg.create_pool(
                    self._url,
                    min_size=0,
                    max_size=self._max_connections,
                    command_timeout=COMMAND_TIMEOUT_S,
                    timeout=ACQUIRE_TIMEOUT_S,
                    init=_read_json,
                    connection_class=_PlainConnection,
                )
                CONNECTIONS_MAX.add(self._max_connections)
            return self._pool


class _PlainConnection(asyncpg.Connection):  # type: ignore[misc]  # asyncpg ships no types
    """
    A connection that is given back without a query.

    The store sets nothing on a connection that would outlive a transaction, and
    open transactions are ended all the same: a round trip less for each use.
    """

    def get_reset_query(self) -> str:
        return ""


async def _read_json(connection: Any) -> None:
    await connection.set_type_codec("jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog")
