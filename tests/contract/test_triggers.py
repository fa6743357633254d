"""The manifests that route events, held against the contracts of the events."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from vexa_events.registry import CONTRACTS
from vexa_local.broker.manifests import Directory, load_resources
from vexa_local.stack import FUNCTIONS

KNATIVE = Path(__file__).resolve().parents[2] / "knative" / "base"
DELIVERY_FIELDS = {"retry", "backoffPolicy", "backoffDelay", "timeout", "deadLetterSink"}
DIRECTORY = Directory(
    service_urls={name.replace("_", "-"): f"http://{name}" for name in FUNCTIONS}, broker_url="http://broker"
)


def manifests(kind: str) -> Iterator[dict[str, Any]]:
    for file in sorted(KNATIVE.rglob("*.yaml")):
        for document in yaml.safe_load_all(file.read_text()):
            if isinstance(document, dict) and document.get("kind") == kind:
                yield document


def test_the_local_broker_takes_every_manifest() -> None:
    """The same files drive a laptop and a cluster."""
    resources = load_resources(KNATIVE, DIRECTORY)

    assert [str(broker) for broker in resources.brokers] == ["vexa/default"]
    assert resources.triggers
    assert resources.pings


def test_a_trigger_names_an_event_that_exists() -> None:
    """A typing error in a type would silently deliver nothing."""
    wanted = [filters["exact"]["type"] for trigger in manifests("Trigger") for filters in trigger["spec"]["filters"]]

    assert wanted
    assert set(wanted) <= set(CONTRACTS)


@pytest.mark.parametrize("kind", ["Broker", "Trigger"])
def test_a_delivery_block_has_every_field(kind: str) -> None:
    """Blocks are never merged: a field that is left out is lost, retries first of all."""
    incomplete = [
        document["metadata"]["name"]
        for document in manifests(kind)
        if not set(document["spec"].get("delivery", {})) >= DELIVERY_FIELDS
    ]

    assert incomplete == []


def test_the_transcript_keeps_its_order_where_the_broker_can() -> None:
    """Batches of one stream arrive in order on a Kafka Broker, which spares the collector from waiting."""
    resources = load_resources(KNATIVE, DIRECTORY)

    assert [trigger.name for trigger in resources.triggers if trigger.is_ordered] == ["collector-transcript-committed"]
