"""What every connection of a worker shares."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import redis.asyncio as redis

from vexa_events.tracing import Tracer
from vexa_pool.engine.ears import Ears
from vexa_pool.engine.model import Model
from vexa_pool.engine.scheduler import Scheduler
from vexa_pool.server.lost_bots import LostBots
from vexa_pool.server.metrics import PoolMetrics
from vexa_pool.server.publishing import Publications
from vexa_pool.server.slots import Slots
from vexa_pool.server.valkey import Acknowledgements, LiveFeed


@dataclass(frozen=True, slots=True, kw_only=True)
class Storing:
    """What stored streams need; absent on a worker that serves plain clients only."""

    token_signing_key: str
    valkey: redis.Redis
    publications: Publications
    acknowledgements: Acknowledgements
    feed: LiveFeed
    lost_bots: LostBots


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long clients may take."""

    hello_s: float = 10.0
    """For the handshake, and then for the first message."""
    unread_s: float = 30.0
    """To take anything of what they are sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Everything a connection uses and does not own."""

    model: Model
    ears: Ears
    scheduler: Scheduler
    slots: Slots
    storing: Storing | None
    metrics: PoolMetrics
    patience: Patience
    tracer: Tracer
    max_lag_s: float
    """A stream that is further behind its speaker loses its oldest audio."""
    clock: Callable[[], float]
    """Monotonic seconds."""
    now: Callable[[], datetime]
    """Wall time in UTC."""
