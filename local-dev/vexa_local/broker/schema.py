"""The shapes of Broker, Trigger and PingSource manifests, as far as the local Broker acts on them."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from vexa_local.broker.delivery import Backoff, Form

DEFAULT_NAMESPACE = "default"


class Manifest(BaseModel):
    """Base of every block; what is not named here has no effect on deliveries."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True, hide_input_in_errors=True)


class ClosedBlock(Manifest):
    """A block of which every field matters: an unknown one is an error, never silently without effect."""

    model_config = ConfigDict(extra="forbid")


class Metadata(Manifest):
    """What a resource is called."""

    name: str
    namespace: str = DEFAULT_NAMESPACE
    annotations: Mapping[str, str] = {}


class Reference(Manifest):
    """A link to another resource."""

    kind: str
    name: str
    namespace: str | None = None


class Destination(Manifest):
    """Where events go: a resource, a URL, or a path at a resource."""

    ref: Reference | None = None
    uri: str | None = None


class Delivery(ClosedBlock):
    """How hard to try, and where an undeliverable event ends."""

    retry: Annotated[int, Field(ge=0, le=100)] = 0
    backoff_policy: Backoff | None = None
    backoff_delay: str | None = None
    timeout: str | None = None
    dead_letter_sink: Destination | None = None
    format: Form = Form.BINARY


CLUSTER_DEFAULT = Delivery(retry=10, backoff_policy=Backoff.EXPONENTIAL, backoff_delay="PT0.2S")
"""What a Broker without a block gets, as Knative is installed."""


class BrokerSpec(Manifest):
    """`spec` of a Broker."""

    delivery: Delivery = CLUSTER_DEFAULT


class BrokerManifest(Manifest):
    """eventing.knative.dev Broker."""

    metadata: Metadata
    spec: BrokerSpec = BrokerSpec()


class LegacyFilter(ClosedBlock):
    """`spec.filter` of a Trigger."""

    attributes: Mapping[str, str] = {}


class TriggerSpec(Manifest):
    """`spec` of a Trigger."""

    broker: str
    subscriber: Destination
    filters: tuple[dict[str, object], ...] = ()
    filter: LegacyFilter = LegacyFilter()
    delivery: Delivery | None = None
    """None takes over the Broker's block; any other value replaces it as a whole."""


class TriggerManifest(Manifest):
    """eventing.knative.dev Trigger."""

    metadata: Metadata
    spec: TriggerSpec


class Overrides(ClosedBlock):
    """`spec.ceOverrides` of a source."""

    extensions: Mapping[str, str] = {}


class PingSpec(ClosedBlock):
    """`spec` of a PingSource."""

    schedule: str = "* * * * *"
    timezone: str = "UTC"
    data: str | None = None
    content_type: Literal["application/json"] = "application/json"
    ce_overrides: Overrides = Overrides()
    sink: Destination


class PingManifest(Manifest):
    """sources.knative.dev PingSource."""

    metadata: Metadata
    spec: PingSpec


class EventTypeAttribute(Manifest):
    """One attribute of an EventType, as `v1beta3` lists them."""

    name: str
    value: str | None = None


class EventTypeSpec(Manifest):
    """`spec` of an EventType, whichever version."""

    type: str | None = None
    attributes: tuple[EventTypeAttribute, ...] = ()
    broker: str | None = None
    reference: Reference | None = None


class EventTypeManifest(Manifest):
    """eventing.knative.dev EventType."""

    metadata: Metadata
    spec: EventTypeSpec
