"""What the collector works with, opened on first use."""

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass

from vexa_events.registry import CONTRACTS, MEETING_FINALIZED
from vexa_functions.collector.finalizing import Finalizer
from vexa_functions.collector.ingest import Ingest
from vexa_functions.collector.repairing import Repairer
from vexa_functions.collector.settings import CollectorSettings
from vexa_functions.live_feed import LiveFeed, open_valkey
from vexa_functions.relay import Relay
from vexa_functions.sink import Sink
from vexa_functions.store.tables import Store, open_store


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectorDeps:
    """The collector's graph."""

    store: Store
    ingest: Ingest
    finalizer: Finalizer
    repairer: Repairer
    live: LiveFeed
    signing_key: str


@asynccontextmanager
async def open_deps(settings: CollectorSettings) -> AsyncIterator[CollectorDeps]:
    """Put the collector together."""
    async with (
        open_store(str(settings.database_url), max_connections=settings.max_connections) as store,
        open_valkey(str(settings.redis_url)) as valkey,
        aclosing(Sink(str(settings.sink), token_file=settings.sink_token_file)) as sink,
        aclosing(Ingest(store, LiveFeed(valkey))) as ingest,
    ):
        relay = Relay(store, sink, source=CONTRACTS[MEETING_FINALIZED].source)
        yield CollectorDeps(
            store=store,
            ingest=ingest,
            finalizer=Finalizer(store, relay, timeout_s=settings.finalize_timeout_s),
            repairer=Repairer(store, LiveFeed(valkey)),
            live=LiveFeed(valkey),
            signing_key=settings.token_signing_key.get_secret_value(),
        )
