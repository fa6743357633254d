"""From YAML to resources."""

from pathlib import Path

import pytest

from vexa_events.errors import InvalidMessage
from vexa_local.broker.delivery import Backoff, Form
from vexa_local.broker.manifests import UNBOUNDED_S, Directory, load_resources
from vexa_local.broker.resources import Resources, Trigger

DIRECTORY = Directory(
    service_urls={"collector": "http://127.0.0.1:8123", "bots": "http://127.0.0.1:8058"},
    broker_url="http://127.0.0.1:8060",
)
BROKER = """
apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {name: default, namespace: vexa}
spec: {delivery: {retry: 3, backoffPolicy: linear, backoffDelay: PT1S, timeout: PT10S,
  deadLetterSink: {ref: {kind: Service, name: bots}, uri: /dead}}}
"""
TRIGGER = """
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {name: collector-all, namespace: vexa}
spec: {broker: default, subscriber: {ref: {kind: Service, name: collector}, uri: /events}}
"""
EVENT_TYPE = """
apiVersion: eventing.knative.dev/v1beta2
kind: EventType
metadata: {name: a, namespace: vexa}
spec: {type: vexa.a.v1, reference: {kind: Broker, name: default}}
"""
PING = """
apiVersion: sources.knative.dev/v1
kind: PingSource
metadata: {name: tick, namespace: vexa}
spec: {sink: {ref: {kind: Service, name: bots}, uri: /internal/tick}}
"""


def load(folder: Path, *documents: str) -> Resources:
    (folder / "all.yaml").write_text("---\n".join(documents))
    return load_resources(folder, DIRECTORY)


def the_trigger(folder: Path, spec: str) -> Trigger:
    [trigger] = load(folder, BROKER, TRIGGER.replace("spec: {", f"spec: {{{spec}, ")).triggers
    return trigger


def test_a_trigger_without_delivery_takes_the_brokers_block(tmp_path: Path) -> None:
    """Every field comes from the Broker then."""
    [trigger] = load(tmp_path, BROKER, TRIGGER).triggers

    assert trigger.policy.retry == 3
    assert trigger.policy.backoff is Backoff.LINEAR
    assert trigger.policy.backoff_delay_s == 1.0
    assert trigger.policy.timeout_s == 10.0
    assert trigger.policy.dead_letter_url == "http://127.0.0.1:8058/dead"


def test_a_triggers_delivery_replaces_the_brokers_but_for_the_dead_letter_sink(tmp_path: Path) -> None:
    """What the Trigger leaves out falls back to the defaults, not to the Broker."""
    policy = the_trigger(tmp_path, "delivery: {backoffDelay: PT2S}").policy

    assert policy.retry == 0
    assert policy.wait_s(5) == 0.0
    assert policy.timeout_s == UNBOUNDED_S
    assert policy.dead_letter_url == "http://127.0.0.1:8058/dead"


def test_a_broker_without_delivery_has_the_clusters_default(tmp_path: Path) -> None:
    """Ten retries from 0.2 s; a block of its own, however small, loses them all."""
    bare = BROKER.partition("spec:")[0]
    own = bare + "spec: {delivery: {timeout: PT9S}}\n"

    default = load(tmp_path, bare, TRIGGER).triggers[0].policy
    lost = load(tmp_path, own, TRIGGER).triggers[0].policy

    assert (default.retry, default.backoff, default.backoff_delay_s) == (10, Backoff.EXPONENTIAL, 0.2)
    assert (lost.retry, lost.backoff, lost.backoff_delay_s, lost.timeout_s) == (0, None, None, 9.0)


def test_events_can_be_asked_for_in_structured_form(tmp_path: Path) -> None:
    """`format: json` holds for every delivery of the Trigger; binary is the default."""
    assert the_trigger(tmp_path, "delivery: {format: json}").policy.form is Form.STRUCTURED
    assert the_trigger(tmp_path, "delivery: {retry: 1}").policy.form is Form.BINARY


def test_event_types_are_read_in_every_version(tmp_path: Path) -> None:
    """Older versions name the type beside the Broker, `v1beta3` among its attributes."""
    oldest = EVENT_TYPE.replace("reference: {kind: Broker, name: default}", "broker: other").replace(
        "v1beta2", "v1beta1"
    )
    newest = EVENT_TYPE.replace("type: vexa.a.v1", "attributes: [{name: type, value: vexa.b.v1, required: true}]")
    resources = load(
        tmp_path, BROKER, EVENT_TYPE, oldest.replace("v1beta2", "v1beta1"), newest.replace("v1beta2", "v1beta3")
    )

    assert [(str(one.broker), one.type) for one in resources.event_types] == [
        ("vexa/default", "vexa.a.v1"),
        ("vexa/other", "vexa.a.v1"),
        ("vexa/default", "vexa.b.v1"),
    ]


def test_names_become_urls(tmp_path: Path) -> None:
    """A relative uri is resolved at the Service; an absolute one stands for itself."""
    assert the_trigger(tmp_path, "filters: []").subscriber_url == "http://127.0.0.1:8123/events"

    absolute = TRIGGER.replace("ref: {kind: Service, name: collector}, uri: /events", "uri: 'http://elsewhere/x'")
    assert load(tmp_path, BROKER, absolute).triggers[0].subscriber_url == "http://elsewhere/x"


def test_the_kafka_annotation_asks_for_order(tmp_path: Path) -> None:
    """The same annotation orders on a cluster's Kafka Broker."""
    annotated = TRIGGER.replace(
        "namespace: vexa}", "namespace: vexa, annotations: {kafka.eventing.knative.dev/delivery.order: ordered}}"
    )

    assert load(tmp_path, BROKER, annotated).triggers[0].is_ordered
    assert not load(tmp_path, BROKER, TRIGGER).triggers[0].is_ordered


def test_a_ping_can_be_sent_to_the_broker(tmp_path: Path) -> None:
    """The Broker is a sink like any other."""
    to_broker = PING.replace("{kind: Service, name: bots}, uri: /internal/tick", "{kind: Broker, name: default}")
    [ping] = load(tmp_path, BROKER, to_broker).pings

    assert ping.sink_url == "http://127.0.0.1:8060/vexa/default"
    assert ping.template.source == "/apis/v1/namespaces/vexa/pingsources/tick"


def test_other_kinds_are_passed_over(tmp_path: Path) -> None:
    """The folder holds Services and EventTypes too."""
    service = "apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: collector}\n"
    core_service = "apiVersion: v1\nkind: Service\nmetadata: {name: x}\n"

    assert load(tmp_path, service, core_service, BROKER).triggers == ()


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (TRIGGER.replace("broker: default", "broker: other"), "Trigger collector-all: .*Broker vexa/other"),
        (TRIGGER.replace("name: collector}", "name: nobody}"), "'nobody' has no URL here; known: bots, collector"),
        (TRIGGER.replace("broker: default", "filters: [{regex: {type: a}}], broker: default"), "'regex' is not known"),
        (TRIGGER.replace("broker: default", "delivery: {retries: 3}, broker: default"), "delivery.retries"),
        (
            TRIGGER.replace("broker: default", "delivery: {retryAfterMax: PT9S}, broker: default"),
            "delivery.retryAfterMax",
        ),
        (EVENT_TYPE.replace("type: vexa.a.v1", "source: /a"), "EventType a: an EventType names a type"),
        (TRIGGER.replace("broker: default", "delivery: {timeout: 5s}, broker: default"), "'5s' is not an ISO"),
        (TRIGGER.replace("broker: default, ", ""), "spec.broker"),
        (PING.replace("spec: {", "spec: {schedule: '@whenever', "), "PingSource tick: schedule"),
        (PING.replace("spec: {", "spec: {data: '{', "), "data is not JSON"),
        (PING.replace("spec: {", "spec: {timezone: Mars/North, "), "timezone 'Mars/North'"),
        (PING.replace("uri: /internal/tick", "").replace("ref: {kind: Service, name: bots}, ", ""), "destination"),
        ("kind: [", "not YAML"),
    ],
)
def test_a_fault_names_file_object_and_reason(tmp_path: Path, document: str, reason: str) -> None:
    """The Broker refuses to start rather than to deliver less than was declared."""
    with pytest.raises(InvalidMessage, match=rf"(?s)all\.yaml.*{reason}"):
        load(tmp_path, BROKER, document)
