"""What all ledgers add up to, kept because an instance that counted it would forget it."""

from collections.abc import Mapping

from vexa_functions.store.database import Connection

ADD = """
INSERT INTO coverage_totals AS known (kind, reason, seconds)
SELECT kind, reason, seconds FROM unnest($1::text[], $2::text[], $3::float8[]) AS more (kind, reason, seconds)
 ORDER BY kind, reason
ON CONFLICT (kind, reason) DO UPDATE SET seconds = known.seconds + excluded.seconds
"""
READ = "SELECT kind, reason, seconds FROM coverage_totals"

Totals = Mapping[tuple[str, str], float]
"""Seconds by kind: captured, speech, silence, muted, missing; the last by reason, which is empty elsewhere."""


class CoverageTotals:
    """The coverage_totals table."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def add(self, totals: Totals) -> None:
        """Add what a session comes to; holds the rows until the transaction ends, so it goes last there."""
        kinds, reasons = [kind for kind, _ in totals], [reason for _, reason in totals]
        await self._connection.execute(ADD, kinds, reasons, list(totals.values()))

    async def read(self) -> Totals:
        """Return all there is."""
        rows = await self._connection.fetch(READ)
        return {(row["kind"], row["reason"]): row["seconds"] for row in rows}
