"""What a consumer does with contracts that are newer than it is."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import vexa_events
from vexa_events.envelope import encode_binary, parse_http, parse_json
from vexa_events.registry import CONTRACTS, read_data
from vexa_local.broker.filters import attributes_of
from vexa_local.broker.manifests import Directory, load_resources
from vexa_local.stack import FUNCTIONS

SAMPLES = Path(str(vexa_events.__file__)).parent / "samples"
KNATIVE = Path(__file__).resolve().parents[2] / "knative" / "base"
DIRECTORY = Directory(
    service_urls={name.replace("_", "-"): f"http://{name}" for name in FUNCTIONS}, broker_url="http://broker"
)


def with_unknown_fields(data: Any) -> Any:
    """Add a field to every object, however deep."""
    if isinstance(data, dict):
        return {**{name: with_unknown_fields(value) for name, value in data.items()}, "added_later": {"a": [1, None]}}
    return [with_unknown_fields(value) for value in data] if isinstance(data, list) else data


@pytest.mark.parametrize("event_type", sorted(CONTRACTS))
def test_a_consumer_ignores_what_it_does_not_know(event_type: str) -> None:
    """An optional field may be added, at any depth, and an extension too: the version stays."""
    known = parse_json((SAMPLES / f"{event_type}.json").read_bytes())
    newer = replace(known, data=with_unknown_fields(known.data), extensions={**known.extensions, "addedlater": "1"})
    model = CONTRACTS[event_type].model

    arrived = parse_http(*encode_binary(newer))

    assert arrived.data != known.data
    assert read_data(arrived, model) == read_data(known, model)


@pytest.mark.parametrize("event_type", sorted(CONTRACTS))
def test_a_second_version_is_a_type_of_its_own(event_type: str) -> None:
    """No Trigger for v1 lets v2 through: it waits for a Trigger that a consumer of v2 brings."""
    triggers = load_resources(KNATIVE, DIRECTORY).triggers
    known = parse_json((SAMPLES / f"{event_type}.json").read_bytes())
    second = replace(known, type=event_type.removesuffix("v1") + "v2")

    assert not [trigger.name for trigger in triggers if trigger.wants.judge(attributes_of(second)).passed]
