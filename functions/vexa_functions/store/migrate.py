"""Brings the schema up to date: forward only, in file order, under an advisory lock."""

import asyncio
import logging
import os
import sys
from importlib.resources import files

import asyncpg

logger = logging.getLogger(__name__)

ADVISORY_LOCK = 8_056_001
CREATE_LEDGER = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    name text PRIMARY KEY,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""
APPLIED = "SELECT name FROM schema_migrations"
RECORD = "INSERT INTO schema_migrations (name) VALUES ($1)"


async def migrate(database_url: str) -> list[str]:
    """Apply every migration that is new to this database, each in its transaction; return their names."""
    connection = await asyncpg.connect(database_url, timeout=30)
    try:
        await connection.execute("SELECT pg_advisory_lock($1)", ADVISORY_LOCK)
        await connection.execute(CREATE_LEDGER)
        applied = {row["name"] for row in await connection.fetch(APPLIED)}
        new = [(name, sql) for name, sql in _migrations() if name not in applied]
        for name, sql in new:
            async with connection.transaction():
                await connection.execute(sql)
                await connection.execute(RECORD, name)
        return [name for name, _ in new]
    finally:
        await connection.close(timeout=10)


def _migrations() -> list[tuple[str, str]]:
    folder = files("vexa_functions.store") / "migrations"
    scripts = [entry for entry in folder.iterdir() if entry.name.endswith(".sql")]
    return [(script.name, script.read_text()) for script in sorted(scripts, key=lambda script: script.name)]


def main() -> None:
    """Migrate the database that DATABASE_URL names."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    database_url = os.environ.get("DATABASE_URL")
    if not database_url:
        sys.exit("DATABASE_URL is not set")
    applied = asyncio.run(migrate(database_url))
    logger.info("migrations applied: %s", ", ".join(applied) or "none were new")


if __name__ == "__main__":
    main()
