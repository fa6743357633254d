"""What the tick tells Prometheus of the database; an instance that no tick reaches tells what the last one saw."""

from vexa_functions.hosting.metrics import BOTS, DEAD_LETTERS, OUTBOX
from vexa_functions.store.census import Standing


def tell(standing: Standing) -> None:
    """Replace what the last tick told."""
    OUTBOX.set_all({(state,): number for state, number in standing.outbox.items()})
    DEAD_LETTERS.set_all({(): standing.dead_letters})
    BOTS.set_all({(status,): number for status, number in standing.bots.items()})
