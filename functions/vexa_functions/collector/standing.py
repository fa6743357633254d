"""What the collector tells Prometheus of all ledgers; an instance that has not looked yet tells nothing."""

from vexa_events.identity import MissingReason
from vexa_functions.hosting.metrics import COVERED, MISSING
from vexa_functions.store.coverage_totals import Totals


def tell(totals: Totals) -> None:
    """Replace what was told before; what there was none of is told as well."""
    for kind, numbers in COVERED.items():
        numbers.set_all({(): totals.get((kind, ""), 0.0)})
    known = dict.fromkeys((reason.value for reason in MissingReason if reason is not MissingReason.MUTED), 0.0)
    missing = {reason: seconds for (kind, reason), seconds in totals.items() if kind == "missing"}
    MISSING.set_all({(reason,): seconds for reason, seconds in (known | missing).items()})
