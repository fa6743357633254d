"""Brokers, Triggers and PingSources with every link resolved; what the local Broker runs on."""

from dataclasses import dataclass

from vexa_events.envelope import Event
from vexa_local.broker.cron import Schedule
from vexa_local.broker.delivery import DeliveryPolicy
from vexa_local.broker.filters import Filter


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class BrokerName:
    """A Broker's identity, which is also its URL path."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """One subscription to a Broker."""

    name: str
    broker: BrokerName
    wants: Filter
    subscriber_url: str
    reply_url: str
    """Where replies go: the Broker itself."""
    policy: DeliveryPolicy
    is_ordered: bool
    """True: events of one partitionkey are delivered one after another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PingSource:
    """An event that is sent by the clock."""

    name: str
    schedule: Schedule
    template: Event
    """Each ping gets an id and a time of its own."""
    sink_url: str


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class EventType:
    """A type that a Broker is said to carry; others are carried as well."""

    broker: BrokerName
    type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """Everything that the manifests declare."""

    brokers: tuple[BrokerName, ...]
    triggers: tuple[Trigger, ...]
    pings: tuple[PingSource, ...]
    event_types: tuple[EventType, ...]

    def triggers_of(self, broker: BrokerName) -> tuple[Trigger, ...]:
        """Return the subscriptions of one Broker."""
        return tuple(trigger for trigger in self.triggers if trigger.broker == broker)

    def types_of(self, broker: BrokerName) -> frozenset[str]:
        """Return the types that are registered for one Broker."""
        return frozenset(declared.type for declared in self.event_types if declared.broker == broker)
