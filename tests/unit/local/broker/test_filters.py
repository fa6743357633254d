"""Which events a Trigger wants."""

from collections.abc import Mapping

import pytest

from vexa_events.envelope import Event
from vexa_events.errors import InvalidMessage
from vexa_local.broker.filters import attributes_of, parse_filters

EVENT = Event(
    id="1", source="/vexa/bots", type="vexa.bot.failed.v1", data={}, subject="meetings/7", extensions={"tenant": "3"}
)


def matches(*dialects: Mapping[str, object], legacy: Mapping[str, str] | None = None) -> bool:
    return parse_filters(dialects, legacy).matches(attributes_of(EVENT))


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"type": "vexa.bot.failed.v1"}, True),
        ({"type": "vexa.bot.failed.v1", "tenant": "3"}, True),
        ({"type": "vexa.bot.failed.v1", "tenant": "4"}, False),
        ({"type": "vexa.bot.failed"}, False),
        ({"absent": "x"}, False),
        ({"specversion": "1.0", "datacontenttype": "application/json", "subject": "meetings/7"}, True),
    ],
)
def test_exact_wants_every_named_attribute_as_given(wanted: Mapping[str, str], expected: bool) -> None:
    """Core attributes and extensions are matched alike."""
    assert matches({"exact": wanted}) is expected


def test_several_filters_must_all_match() -> None:
    """The list is a conjunction."""
    both = [{"exact": {"type": "vexa.bot.failed.v1"}}, {"exact": {"tenant": "4"}}]

    assert not matches(*both)
    assert matches(both[0])


def test_no_filter_wants_everything() -> None:
    """A Trigger without filters sees every event of its Broker."""
    assert matches()


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [({"type": "vexa.bot.failed.v1"}, True), ({"tenant": ""}, True), ({"absent": ""}, False), ({"type": "x"}, False)],
)
def test_a_legacy_filter_takes_an_empty_value_as_any(wanted: Mapping[str, str], expected: bool) -> None:
    """The attribute must be there; its value does not matter."""
    assert matches(legacy=wanted) is expected


def test_filters_override_the_legacy_filter() -> None:
    """A manifest may carry both while it is being moved over."""
    assert matches({"exact": {"type": "vexa.bot.failed.v1"}}, legacy={"type": "something.else"})


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"cesql": "type LIKE 'vexa.%'"}, "'cesql' is not supported here"),
        ({"exact": {}}, "must map"),
        ({"exact": {"type": ""}}, "non-empty"),
        ({"exact": {"a": "1"}, "prefix": {"b": "2"}}, "exactly one dialect"),
        ({}, "exactly one dialect"),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_name(spec: Mapping[str, object], reason: str) -> None:
    """A filter that was silently ignored would deliver everything."""
    with pytest.raises(InvalidMessage, match=reason):
        parse_filters([spec], None)
