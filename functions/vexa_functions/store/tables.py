"""
Every table family over one connection, so that a transaction can span them.

Rows are held in one order, so that no two transactions wait for each other:
meeting, session, streams by their uid, then what hangs on these.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

from vexa_functions.store.batches import Batches
from vexa_functions.store.census import Census
from vexa_functions.store.coverage_totals import CoverageTotals
from vexa_functions.store.database import Connection, Database
from vexa_functions.store.dead_letters import DeadLetters
from vexa_functions.store.erasure import Erasure
from vexa_functions.store.hints import Hints
from vexa_functions.store.meetings import Meetings
from vexa_functions.store.outbox import Outbox
from vexa_functions.store.sessions import Sessions
from vexa_functions.store.streams import Streams
from vexa_functions.store.sweeps import Sweeps
from vexa_functions.store.tokens import Tokens
from vexa_functions.store.transcripts import Transcripts
from vexa_functions.store.users import Users
from vexa_functions.store.webhook_deliveries import WebhookDeliveries
from vexa_functions.store.webhooks import Webhooks


class Tables:
    """The table families of one connection."""

    def __init__(self, connection: Connection) -> None:
        self.batches = Batches(connection)
        self.census = Census(connection)
        self.coverage_totals = CoverageTotals(connection)
        self.dead_letters = DeadLetters(connection)
        self.erasure = Erasure(connection)
        self.hints = Hints(connection)
        self.meetings = Meetings(connection)
        self.outbox = Outbox(connection)
        self.sessions = Sessions(connection)
        self.streams = Streams(connection)
        self.sweeps = Sweeps(connection)
        self.tokens = Tokens(connection)
        self.transcripts = Transcripts(connection)
        self.users = Users(connection)
        self.webhook_deliveries = WebhookDeliveries(connection)
        self.webhooks = Webhooks(connection)


NOW = "SELECT clock_timestamp()"


class Store:
    """Where services open their transactions."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Tables]:
        """Lend the tables inside one transaction."""
        async with self._database.transaction() as connection:
            yield Tables(connection)

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Tables]:
        """Lend the tables for reads that must fit one another: all see the same instant."""
        async with self._database.snapshot() as connection:
            yield Tables(connection)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Tables]:
        """Lend the tables for statements that stand alone."""
        async with self._database.connection() as connection:
            yield Tables(connection)

    async def now(self) -> datetime:
        """
        Return the database's time.

        Rows carry it; how old one is must not depend on the clock of the
        machine that asks, which may be off or be set at any moment.
        """
        async with self._database.connection() as connection:
            now: datetime = await connection.fetchval(NOW)
        return now


@asynccontextmanager
async def open_store(url: str, *, max_connections: int) -> AsyncIterator[Store]:
    """Lend a store over a pool of its own; it connects on first use."""
    database = Database(url, max_connections=max_connections)
    try:
        yield Store(database)
    finally:
        await database.aclose()
