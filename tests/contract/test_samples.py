"""The golden events, the files written from the registry, and the CloudEvents library agree."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cloudevents.conversion import to_binary, to_structured
from cloudevents.http import CloudEvent, from_http
from faster_whisper.tokenizer import _LANGUAGE_CODES
from pydantic import BaseModel, TypeAdapter

import vexa_events
from vexa_events.envelope import Event, encode_binary, encode_json, encode_structured, parse_http, parse_json
from vexa_events.fields import Language
from vexa_events.generate import expected_files, stale_files
from vexa_events.languages import LANGUAGES
from vexa_events.lifecycle import BotStatusChanged, MeetingFinalized, SpeakerHinted, StreamAttributed
from vexa_events.registry import (
    CONTRACTS,
    attributed_event,
    bot_event,
    committed_event,
    finalized_event,
    hinted_event,
    read_data,
)
from vexa_events.transcript import TranscriptCommitted

SAMPLES = Path(str(vexa_events.__file__)).parent / "samples"
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def sample(event_type: str) -> Event:
    return parse_json((SAMPLES / f"{event_type}.json").read_bytes())


def wrapped(data: BaseModel) -> Event:
    wrap: dict[type[BaseModel], Callable[[Any], Event]] = {
        BotStatusChanged: bot_event,
        TranscriptCommitted: committed_event,
        StreamAttributed: attributed_event,
        SpeakerHinted: hinted_event,
        MeetingFinalized: finalized_event,
    }
    return wrap[type(data)](data)


def test_every_contract_has_a_sample_and_every_sample_a_contract() -> None:
    """A new event type comes with an example; a removed one takes it along."""
    assert {path.stem for path in SAMPLES.glob("*.json")} == set(CONTRACTS)


@pytest.mark.parametrize("event_type", CONTRACTS)
def test_a_sample_is_what_its_producer_would_send(event_type: str) -> None:
    """Type, id, source, subject, extensions and data all derive from the data."""
    event = sample(event_type)

    made = wrapped(read_data(event, CONTRACTS[event_type].model))

    assert (event.type, event.id, event.source) == (event_type, made.id, made.source)
    assert (event.subject, event.data) == (made.subject, made.data)
    assert event.extensions == {**made.extensions, "traceparent": TRACE}


@pytest.mark.parametrize("event_type", CONTRACTS)
def test_a_sample_survives_every_encoding(event_type: str) -> None:
    """Binary, structured and kept as JSON are the same event."""
    event = sample(event_type)

    assert parse_http(*encode_binary(event)) == event
    assert parse_http(*encode_structured(event)) == event
    assert parse_json(encode_json(event)) == event


@pytest.mark.parametrize("event_type", CONTRACTS)
def test_the_library_reads_what_we_send(event_type: str) -> None:
    """Consumers that use the CloudEvents SDK get the same attributes and data."""
    event = sample(event_type)

    for encode in (encode_binary, encode_structured):
        read = from_http(*encode(event))

        assert read.get_data() == event.data
        assert {"id": event.id, "type": event.type, "subject": event.subject} | dict(event.extensions) == {
            name: read[name] for name in ("id", "type", "subject", *event.extensions)
        }


@pytest.mark.parametrize("event_type", CONTRACTS)
def test_we_read_what_the_library_sends(event_type: str) -> None:
    """Producers that use the CloudEvents SDK are understood in both modes."""
    event = sample(event_type)
    fields = json.loads(encode_json(event))
    data = fields.pop("data")

    assert parse_http(*to_binary(CloudEvent(fields, data))) == event
    assert parse_http(*to_structured(CloudEvent(fields, data))) == event


@pytest.mark.parametrize("event_type", CONTRACTS)
def test_a_consumer_ignores_what_a_newer_producer_adds(event_type: str) -> None:
    """A new optional field or extension keeps the version."""
    fields = json.loads((SAMPLES / f"{event_type}.json").read_bytes())
    fields["data"]["from_the_future"] = {"deep": [1]}
    fields["fromthefuture"] = "x"
    model = CONTRACTS[event_type].model

    event = parse_json(json.dumps(fields))

    assert read_data(event, model) == read_data(sample(event_type), model)


def test_generated_files_match_the_registry() -> None:
    """Schemas, EventTypes and the README's table are as `python -m vexa_events.generate` writes them."""
    assert stale_files(expected_files()) == []


def test_the_language_list_is_the_models() -> None:
    """A door refuses exactly what a multilingual model would, and every code can travel."""
    assert set(_LANGUAGE_CODES) == LANGUAGES
    assert all(TypeAdapter(Language).validate_python(code) == code for code in LANGUAGES)
