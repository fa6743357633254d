"""Migrations on real Postgres."""

import asyncio

import asyncpg

from vexa_functions.store.migrate import migrate


async def test_migrating_twice_applies_each_script_once(empty_postgres_url: str) -> None:
    """The second run finds nothing to do."""
    first = await migrate(empty_postgres_url)
    second = await migrate(empty_postgres_url)

    assert first[0] == "0001_first_tables.sql"
    assert second == []


async def test_two_jobs_at_once_apply_each_script_once(empty_postgres_url: str) -> None:
    """The advisory lock makes the later one wait and find nothing new."""
    applied = await asyncio.gather(*(migrate(empty_postgres_url) for _ in range(3)))

    assert sorted(len(names) > 0 for names in applied) == [False, False, True]
    connection = await asyncpg.connect(empty_postgres_url)
    recorded = await connection.fetch("SELECT name FROM schema_migrations")
    await connection.close()
    assert len(recorded) == max(len(names) for names in applied)
