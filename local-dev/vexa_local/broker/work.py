"""Everything a Broker process does besides answering requests: delivering, noting, pinging."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import httpx

from vexa_events.errors import Unavailable
from vexa_local.broker.chronicle import Chronicle
from vexa_local.broker.courier import Courier
from vexa_local.broker.dispatcher import Dispatcher, Tally
from vexa_local.broker.ingress import Ingress
from vexa_local.broker.journal import Journal
from vexa_local.broker.letters import FunctionLetters, KeptLetters, Letters
from vexa_local.broker.pinger import ping_forever
from vexa_local.broker.resources import BrokerName, Resources, Trigger
from vexa_local.broker.sender import Sender, open_sender
from vexa_local.broker.valkey import open_valkey

logger = logging.getLogger(__name__)

_AGAIN_S = 1.0
"""Pause before work goes on after Valkey failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deps:
    """What the door and the work share."""

    resources: Resources
    journals: Mapping[BrokerName, Journal]
    ingresses: Mapping[BrokerName, Ingress]
    chronicle: Chronicle
    sender: Sender
    tallies: Mapping[str, Tally]
    """By Trigger name."""
    letters: Mapping[BrokerName, Mapping[str, Letters]]
    """By the place where they lie."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetterFunction:
    """How the dead letter function is asked."""

    url: str
    admin_key: str


@asynccontextmanager
async def open_deps(
    resources: Resources, *, redis_url: str, dead_letters: DeadLetterFunction | None = None
) -> AsyncIterator[Deps]:
    """Open the connections, and the stream of every Trigger before the first event is accepted."""
    async with AsyncExitStack() as stack:
        valkey = await stack.enter_async_context(open_valkey(redis_url))
        client = await stack.enter_async_context(httpx.AsyncClient(trust_env=False))
        sender = await stack.enter_async_context(open_sender())
        chronicle = Chronicle(valkey)
        journals = {broker: Journal(valkey, broker, resources.triggers_of(broker)) for broker in resources.brokers}
        ingresses = {broker: Ingress(journal, chronicle) for broker, journal in journals.items()}
        shared: dict[str, Letters] = {}
        if dead_letters is not None:
            shared["function"] = FunctionLetters(client, dead_letters.url, admin_key=dead_letters.admin_key)
        deps = Deps(
            resources=resources,
            journals=journals,
            ingresses=ingresses,
            chronicle=chronicle,
            sender=sender,
            tallies={trigger.name: Tally() for trigger in resources.triggers},
            letters={
                broker: {"broker": KeptLetters(valkey, broker, ingress), **shared}
                for broker, ingress in ingresses.items()
            },
        )
        for journal in deps.journals.values():
            stack.push_async_callback(journal.aclose)
            await journal.open_streams()
        yield deps


async def work(deps: Deps) -> None:
    """Deliver, note and ping until cancelled."""
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(deps.chronicle.write_forever())
        for trigger in deps.resources.triggers:
            tasks.create_task(_dispatch_forever(trigger, deps))
        for source in deps.resources.pings:
            tasks.create_task(ping_forever(source, deps.sender))


async def _dispatch_forever(trigger: Trigger, deps: Deps) -> None:
    """Start over from what is unfinished whenever Valkey fails: there is one way to recover."""
    journal = deps.journals[trigger.broker]
    tally = deps.tallies[trigger.name]
    while True:
        try:
            await Dispatcher(trigger, journal, _courier(trigger, deps), tally).run()
        except* Unavailable as failures:
            tally.note("restarted")
            cause = str(failures.exceptions[0])
            logger.warning("delivery starts over", extra={"trigger": trigger.name, "cause": cause})
        await asyncio.sleep(_AGAIN_S)
        try:
            await journal.open_streams()
        except Unavailable:
            logger.warning("valkey does not answer", extra={"trigger": trigger.name})


def _courier(trigger: Trigger, deps: Deps) -> Courier:
    return Courier(
        trigger,
        deps.journals[trigger.broker],
        ingress=deps.ingresses[trigger.broker],
        sender=deps.sender,
        chronicle=deps.chronicle,
        now=time.time,
    )
