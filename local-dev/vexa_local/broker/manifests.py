"""Reads the manifests of a folder into resources; kinds that route no events are passed over."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar
from urllib.parse import urljoin, urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml
from pydantic import BaseModel, ValidationError

from vexa_events.envelope import Event
from vexa_events.errors import InvalidMessage
from vexa_events.faults import faults
from vexa_local.broker.cron import parse_schedule
from vexa_local.broker.delivery import DeliveryPolicy
from vexa_local.broker.durations import parse_duration_s
from vexa_local.broker.filters import parse_filters
from vexa_local.broker.resources import BrokerName, EventType, PingSource, Resources, Trigger
from vexa_local.broker.schema import (
    BrokerManifest,
    Delivery,
    Destination,
    EventTypeManifest,
    PingManifest,
    Reference,
    TriggerManifest,
)

ORDER_ANNOTATION = "kafka.eventing.knative.dev/delivery.order"
PING_TYPE = "dev.knative.sources.ping"
_BROKER = ("eventing.knative.dev", "Broker")
_TRIGGER = ("eventing.knative.dev", "Trigger")
_EVENT_TYPE = ("eventing.knative.dev", "EventType")
_PING = ("sources.knative.dev", "PingSource")
DEFAULT_BROKER = "default"
UNBOUNDED_S = 600.0
"""Stands for no timeout at all: the longest that a Knative Service may take."""

M = TypeVar("M", bound=BaseModel)
R = TypeVar("R")


@dataclass(frozen=True, slots=True, kw_only=True)
class Directory:
    """Where names lead on this machine."""

    service_urls: Mapping[str, str]
    """The base URL of each Service."""
    broker_url: str
    """The base URL of the Broker itself, without a path."""

    def resolve(self, destination: Destination, *, namespace: str) -> str:
        """Return the absolute URL of a destination; raise InvalidMessage naming what is unknown."""
        base = self._base(destination.ref, namespace) if destination.ref else ""
        url = urljoin(base, destination.uri or "")
        if not urlsplit(url).netloc:
            raise InvalidMessage("a destination needs a ref, an absolute uri, or a ref with a relative uri")
        return url

    def url_of(self, broker: BrokerName) -> str:
        """Return where a Broker takes events."""
        return f"{self.broker_url}/{broker}"

    def _base(self, ref: Reference, namespace: str) -> str:
        if ref.kind == "Broker":
            return self.url_of(BrokerName(namespace=ref.namespace or namespace, name=ref.name))
        if ref.kind != "Service":
            raise InvalidMessage(f"a destination refers to a Service or a Broker, not to {ref.kind}")
        if ref.name not in self.service_urls:
            known = ", ".join(sorted(self.service_urls)) or "none"
            raise InvalidMessage(f"Service {ref.name!r} has no URL here; known: {known}")
        return self.service_urls[ref.name]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Document:
    kind: tuple[str, str]
    """The API group without its version, and the kind."""
    body: Mapping[str, object]
    file: Path

    @property
    def name(self) -> object:
        metadata = self.body.get("metadata")
        return metadata.get("name") if isinstance(metadata, Mapping) else None

    def read(self, model: type[M]) -> M:
        try:
            return model.model_validate(self.body)
        except ValidationError as exc:
            raise InvalidMessage(faults(exc)) from exc


def load_resources(folder: Path, directory: Directory) -> Resources:
    """Read every YAML file below a folder; raise InvalidMessage naming file, object and fault."""
    documents = tuple(_documents(folder))
    brokers = dict(_each(documents, _BROKER, _broker))
    triggers = _each(documents, _TRIGGER, partial(_trigger, brokers=brokers, directory=directory))
    pings = _each(documents, _PING, partial(_ping, directory=directory))
    types = _each(documents, _EVENT_TYPE, _event_type)
    return Resources(
        brokers=tuple(sorted(brokers)), triggers=tuple(triggers), pings=tuple(pings), event_types=tuple(types)
    )


def _each(documents: Sequence[_Document], kind: tuple[str, str], build: Callable[[_Document], R]) -> list[R]:
    """Build every object of one kind; where that fails, say in which object of which file."""
    built = []
    for document in documents:
        if document.kind != kind:
            continue
        try:
            built.append(build(document))
        except InvalidMessage as exc:
            raise InvalidMessage(f"{document.file.name}: {kind[1]} {document.name}: {exc}") from exc
    return built


def _documents(folder: Path) -> Iterator[_Document]:
    for file in sorted(path for path in folder.rglob("*") if path.suffix in {".yaml", ".yml"}):
        try:
            bodies = list(yaml.safe_load_all(file.read_text()))
        except yaml.YAMLError as exc:
            raise InvalidMessage(f"{file.name} is not YAML: {exc}") from exc
        for body in bodies:
            if isinstance(body, dict) and isinstance(body.get("kind"), str):
                group = str(body.get("apiVersion", "")).split("/")[0]
                yield _Document(kind=(group, body["kind"]), body=body, file=file)


def _broker(document: _Document) -> tuple[BrokerName, Delivery]:
    manifest = document.read(BrokerManifest)
    return BrokerName(namespace=manifest.metadata.namespace, name=manifest.metadata.name), manifest.spec.delivery


def _trigger(document: _Document, brokers: Mapping[BrokerName, Delivery], directory: Directory) -> Trigger:
    manifest = document.read(TriggerManifest)
    spec, namespace = manifest.spec, manifest.metadata.namespace
    broker = BrokerName(namespace=namespace, name=spec.broker)
    if broker not in brokers:
        raise InvalidMessage(f"no manifest declares the Broker {broker}")
    return Trigger(
        name=manifest.metadata.name,
        broker=broker,
        wants=parse_filters(spec.filters, spec.filter.attributes),
        subscriber_url=directory.resolve(spec.subscriber, namespace=namespace),
        reply_url=directory.url_of(broker),
        policy=_policy(spec.delivery, brokers[broker], directory, namespace),
        is_ordered=manifest.metadata.annotations.get(ORDER_ANNOTATION) == "ordered",
    )


def _policy(own: Delivery | None, brokers: Delivery, directory: Directory, namespace: str) -> DeliveryPolicy:
    """Take one block as a whole: blocks are never merged, but for the dead letter sink."""
    delivery = own or brokers
    sink = delivery.dead_letter_sink or brokers.dead_letter_sink
    return DeliveryPolicy(
        retry=delivery.retry,
        backoff=delivery.backoff_policy,
        backoff_delay_s=parse_duration_s(delivery.backoff_delay) if delivery.backoff_delay else None,
        timeout_s=parse_duration_s(delivery.timeout) if delivery.timeout else UNBOUNDED_S,
        dead_letter_url=directory.resolve(sink, namespace=namespace) if sink else None,
        form=delivery.format,
    )


def _event_type(document: _Document) -> EventType:
    manifest = document.read(EventTypeManifest)
    spec, reference = manifest.spec, manifest.spec.reference
    listed = [attribute.value for attribute in spec.attributes if attribute.name == "type"]
    type_ = spec.type or next(iter(listed), None)
    if not type_:
        raise InvalidMessage("an EventType names a type")
    namespace = (reference and reference.namespace) or manifest.metadata.namespace
    name = (reference and reference.name) or spec.broker or DEFAULT_BROKER
    return EventType(broker=BrokerName(namespace=namespace, name=name), type=type_)


def _ping(document: _Document, directory: Directory) -> PingSource:
    manifest = document.read(PingManifest)
    spec, namespace, name = manifest.spec, manifest.metadata.namespace, manifest.metadata.name
    return PingSource(
        name=name,
        schedule=parse_schedule(spec.schedule, zone=_zone(spec.timezone)),
        template=Event(
            id="template",
            source=f"/apis/v1/namespaces/{namespace}/pingsources/{name}",
            type=PING_TYPE,
            data=_json(spec.data or "{}"),
            extensions=dict(spec.ce_overrides.extensions),
        ),
        sink_url=directory.resolve(spec.sink, namespace=namespace),
    )


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as exc:
        raise InvalidMessage(f"timezone {name!r} is not known") from exc


def _json(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError as exc:
        raise InvalidMessage(f"data is not JSON: {exc}") from exc
