"""CloudEvents in and out, and everything that is not one."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vexa_events.envelope import (
    MAX_EVENT_BYTES,
    Event,
    encode_binary,
    encode_json,
    encode_structured,
    parse_http,
    parse_json,
)
from vexa_events.errors import InvalidMessage

STRUCTURED = {"content-type": "application/cloudevents+json"}
BINARY = {
    "content-type": "application/json",
    "ce-specversion": "1.0",
    "ce-id": "1",
    "ce-source": "/vexa/test",
    "ce-type": "vexa.test.happened.v1",
}
DELETED = object()


def an_event(**changes: Any) -> Event:
    fields: dict[str, Any] = {
        "id": "s.1:2:7",
        "source": "/vexa/pool",
        "type": "vexa.test.happened.v1",
        "subject": "streams/s.1",
        "time": "2026-03-17T09:00:00.5Z",
        "dataschema": "urn:vexa:event:vexa.test.happened.v1",
        "data": {"text": "Zoë 世界 😀", "at_s": 1.5, "empty": None},
        "extensions": {"partitionkey": "s.1", "sequence": "0000000007"},
    }
    return Event(**(fields | changes))


def binary(**changes: Any) -> dict[str, str]:
    renamed = {name.replace("_", "-"): value for name, value in changes.items()}
    return {name: value for name, value in (BINARY | renamed).items() if value is not DELETED}


def structured(**changes: Any) -> bytes:
    fields = {"specversion": "1.0", "id": "1", "source": "/x", "type": "t", "data": {"a": 1}} | changes
    return json.dumps({name: value for name, value in fields.items() if value is not DELETED}).encode()


@pytest.mark.parametrize(
    "event",
    [
        an_event(),
        an_event(subject=None, dataschema=None, extensions={}),
        an_event(id='Zoë "50 %" 世界', subject="a b%20c"),
        an_event(data=[1, 2.5, "x", None, True]),
        an_event(data="text"),
        an_event(data=""),
        an_event(data=None),
    ],
)
def test_an_event_survives_every_encoding(event: Event) -> None:
    """Binary, structured and kept as JSON give back the same event, whatever its attributes hold."""
    assert parse_http(*encode_binary(event)) == event
    assert parse_http(*encode_structured(event)) == event
    assert parse_json(encode_json(event)) == event


def test_headers_are_plain_ascii() -> None:
    """An HTTP client can send every attribute."""
    headers, _ = encode_binary(an_event(id='Zoë "50 %"'))

    assert headers["ce-id"] == "Zo%C3%AB%20%2250%20%25%22"
    assert headers["ce-source"] == "/vexa/pool"


def test_text_stays_as_short_as_utf_8() -> None:
    """Scripts beyond ASCII do not double in size."""
    event = an_event(data="世" * 10_000)

    assert all(len(encode(event)[1]) < 30_500 for encode in (encode_binary, encode_structured))


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"Content-Type": "Application/CloudEvents+JSON; charset=utf-8"}, structured()),
        (STRUCTURED, structured(data=DELETED)),
        (STRUCTURED, structured(subject=None, abc=None)),
        (STRUCTURED, structured(datacontenttype="application/vnd.vexa+json")),
        (STRUCTURED, structured(time="2026-03-17T09:00:00.123456789+01:00")),
        (binary(content_type=DELETED), b"{}"),
        (binary(CE_TraceParent="00-1-2-01"), b"{}"),
        (binary(), b""),
        (binary(content_type="application/cloudevents+json", ce_id="other"), structured()),
    ],
)
def test_the_spellings_of_real_senders_are_read(headers: dict[str, str], body: bytes) -> None:
    """Case of headers, parameters of media types, absent data: all legal."""
    assert parse_http(headers, body).id == "1"


@pytest.mark.parametrize(("sent", "read"), [(True, "true"), (False, "false"), (7, "7"), ("x", "x")])
def test_extensions_become_strings(sent: object, read: str) -> None:
    """A number or a truth value reads as it would in a header."""
    assert parse_http(STRUCTURED, structured(flag=sent)).extensions == {"flag": read}


@pytest.mark.parametrize(
    ("headers", "body", "fault"),
    [
        pytest.param(STRUCTURED, b"{", "not JSON", id="malformed"),
        pytest.param(STRUCTURED, b"", "not JSON", id="empty"),
        pytest.param(STRUCTURED, b"\xff", "not JSON", id="not UTF-8"),
        pytest.param(STRUCTURED, structured().decode().encode("utf-16"), "not JSON", id="UTF-16"),
        pytest.param(STRUCTURED, b"[]", "must be a JSON object", id="list"),
        pytest.param(STRUCTURED, b"[" * 60_000, "not JSON", id="nested"),
        pytest.param(STRUCTURED, b'{"id":' + b"1" * 5_000 + b"}", "not JSON", id="huge integer"),
        pytest.param(STRUCTURED, b'{"a":1}', "missing specversion, id, source, type", id="no event"),
        pytest.param({"content-type": "application/cloudevents-batch+json"}, b"[]", "batched", id="batch"),
        pytest.param({"Content-Type": "Application/CloudEvents-Batch+JSON"}, b"[]", "batched", id="batch, cased"),
        pytest.param(STRUCTURED, b" " * (MAX_EVENT_BYTES + 1), "over the limit of 65536", id="oversize"),
        pytest.param({}, structured(), "missing specversion", id="of no type"),
        pytest.param({"content-type": "text/plain"}, structured(), "missing specversion", id="of a web page"),
        pytest.param(STRUCTURED, structured(specversion="0.3"), "specversion", id="old version"),
        pytest.param(STRUCTURED, structured(id=DELETED), "missing id", id="no id"),
        pytest.param(STRUCTURED, structured(id=None), "missing id", id="null id"),
        pytest.param(STRUCTURED, structured(id=""), "missing id", id="empty id"),
        pytest.param(STRUCTURED, structured(id=5), "id' must be a string", id="id a number"),
        pytest.param(STRUCTURED, structured(type=["t"]), "type' must be a string", id="type a list"),
        pytest.param(STRUCTURED, structured(specversion={}), "must be a string", id="version an object"),
        pytest.param(STRUCTURED, structured(id="a\x00"), "control character", id="NUL in id"),
        pytest.param(STRUCTURED, structured(subject="a\ud800"), "not JSON", id="half a character in subject"),
        pytest.param(STRUCTURED, structured(data={"a": "\udc00"}), "not JSON", id="half a character in data"),
        pytest.param(STRUCTURED, structured(data=float("nan")), "not JSON", id="NaN"),
        pytest.param(STRUCTURED, structured(traceParent="x"), "'traceParent'", id="upper-case extension"),
        pytest.param(STRUCTURED, structured(ID="2"), "'ID'", id="upper-case attribute"),
        pytest.param(STRUCTURED, structured(a_b="x"), "'a_b'", id="underscore"),
        pytest.param(STRUCTURED, structured(**{"a" * 21: "x"}), "a{21}", id="long extension"),
        pytest.param(STRUCTURED, structured(**{"abc\n": "x"}), "extension name", id="line break in a name"),
        pytest.param(STRUCTURED, structured(extensions={"a": 1}), "extensions", id="nested extensions"),
        pytest.param(STRUCTURED, structured(abc={"a": 1}), "'abc' must be a string", id="object extension"),
        pytest.param(STRUCTURED, structured(abc=1.5), "'abc' must be a string", id="fractional extension"),
        pytest.param(STRUCTURED, structured(time="yesterday"), "not RFC 3339", id="no time"),
        pytest.param(STRUCTURED, structured(time="2026-03-17T09:00:00"), "no offset", id="local time"),
        pytest.param(STRUCTURED, structured(datacontenttype="text/plain"), "must be JSON", id="text"),
        pytest.param(STRUCTURED, structured(data_base64="e30="), "not base64", id="base64"),
        pytest.param(binary(), b"hello", "not JSON", id="binary: not JSON"),
        pytest.param(binary(content_type="text/plain"), b'"a"', "must be JSON", id="binary: text"),
        pytest.param(binary(), b"[" * 60_000, "not JSON", id="binary: nested"),
        pytest.param(binary(ce_id=DELETED), b"{}", "missing id", id="binary: no id"),
        pytest.param(binary(ce_source=DELETED), b"{}", "missing source", id="binary: no source"),
        pytest.param(binary(ce_type=""), b"{}", "missing type", id="binary: empty type"),
        pytest.param(binary(ce_specversion=DELETED), b"{}", "missing specversion", id="binary: no version"),
        pytest.param(binary(ce_data="1"), b"{}", "'data'", id="binary: reserved name"),
        pytest.param(binary(**{"ce-a_b": "1"}), b"{}", "extension name", id="binary: extension name"),
        pytest.param(binary(ce_subject="%ff"), b"{}", "percent-encoded", id="binary: bad quoting"),
        pytest.param(binary(ce_subject="a%0Ab"), b"{}", "control character", id="binary: quoted line break"),
    ],
)
def test_what_is_no_event_is_refused(headers: dict[str, str], body: bytes, fault: str) -> None:
    """The sink can answer 422 and say what was wrong."""
    with pytest.raises(InvalidMessage, match=fault):
        parse_http(headers, body)


@given(
    st.binary() | st.text().map(str.encode) | st.recursive(st.none() | st.text(), st.lists).map(repr).map(str.encode)
)
def test_no_body_breaks_the_parser(body: bytes) -> None:
    """Arbitrary bytes are an event or an InvalidMessage."""
    for headers in (STRUCTURED, BINARY, {}):
        try:
            assert parse_http(headers, body).id == "1"
        except InvalidMessage:
            continue


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
attribute_names = st.sampled_from(["specversion", "id", "source", "type", "time", "subject", "data", "data_base64"])


@given(st.dictionaries(attribute_names | st.text(max_size=3), json_values, max_size=9))
def test_no_attributes_break_the_parser(fields: dict[str, Any]) -> None:
    """A JSON object with any values in any places is an event or an InvalidMessage."""
    body = json.dumps({"specversion": "1.0", "id": "1", "source": "/x", "type": "t"} | fields).encode()
    try:
        event = parse_http(STRUCTURED, body)
    except InvalidMessage:
        return

    assert parse_http(*encode_binary(event)).extensions == event.extensions


@pytest.mark.parametrize("text", ["{", "\ud800", b"\xff", "x" * (MAX_EVENT_BYTES + 1)])
def test_a_kept_event_that_is_none_is_refused(text: str | bytes) -> None:
    """What lies in a store is checked like what arrives."""
    with pytest.raises(InvalidMessage):
        parse_json(text)


@pytest.mark.parametrize(
    "event",
    [
        an_event(data="x" * MAX_EVENT_BYTES),
        an_event(data=float("nan")),
        an_event(data={"a": "\ud800"}),
        an_event(data=object()),
        an_event(extensions={"traceParent": "x"}),
        an_event(extensions={"a" * 21: "x"}),
    ],
)
def test_an_event_that_no_one_would_take_is_not_sent(event: Event) -> None:
    """The producer learns of it, not the dead letter sink."""
    for encode in (encode_binary, encode_structured):
        with pytest.raises(InvalidMessage):
            encode(event)


def test_an_event_without_a_time_is_stamped() -> None:
    """Readers of a log can order events whose producer gave no time."""
    assert parse_http(*encode_binary(an_event(time=None))).time is not None
