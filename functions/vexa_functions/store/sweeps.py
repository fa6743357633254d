"""Where sweeps that take many ticks go on, whichever instance the next tick reaches."""

from collections.abc import Sequence

from vexa_functions.store.database import Connection

POSITION = "SELECT position FROM sweeps WHERE name = $1"
MOVE = "INSERT INTO sweeps (name, position) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET position = $2"


class Sweeps:
    """The sweeps table."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def position(self, name: str) -> str:
        """Return the session behind which a sweep goes on; empty where it begins."""
        return await self._connection.fetchval(POSITION, name) or ""

    async def move(self, name: str, page: Sequence[str], *, limit: int) -> None:
        """Go on behind a page, in order; one that is not full was the last, and the sweep begins again."""
        await self._connection.execute(MOVE, name, page[-1] if len(page) == limit else "")
