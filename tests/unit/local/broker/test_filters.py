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
    return parse_filters(dialects, legacy).judge(attributes_of(EVENT)).passed


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


FAILED = {"exact": {"type": "vexa.bot.failed.v1"}}
OTHER_TENANT = {"exact": {"tenant": "4"}}


@pytest.mark.parametrize(
    ("filter_", "expected"),
    [
        ({"prefix": {"type": "vexa.bot."}}, True),
        ({"prefix": {"type": "vexa.bot.", "source": "/vexa"}}, True),
        ({"prefix": {"type": "vexa.bot.", "source": "/other"}}, False),
        ({"prefix": {"absent": "a"}}, False),
        ({"suffix": {"type": ".v1"}}, True),
        ({"suffix": {"type": ".v2"}}, False),
        ({"suffix": {"absent": "a"}}, False),
        ({"all": [FAILED, {"prefix": {"source": "/vexa"}}]}, True),
        ({"all": [FAILED, OTHER_TENANT]}, False),
        ({"any": [FAILED, OTHER_TENANT]}, True),
        ({"any": [OTHER_TENANT, {"suffix": {"type": ".v2"}}]}, False),
        ({"not": OTHER_TENANT}, True),
        ({"not": FAILED}, False),
        ({"not": {"any": [FAILED, OTHER_TENANT]}}, False),
        ({"cesql": "type LIKE 'vexa.bot.%' AND EXISTS tenant"}, True),
        ({"cesql": "type LIKE 'vexa.bot.%' AND tenant = 4"}, False),
        ({"cesql": "absent = 'a'"}, False),
        ({"cesql": "tenant"}, False),
        ({"not": {"cesql": "absent = 'a'"}}, True),
    ],
)
def test_every_dialect_of_knative_is_understood(filter_: Mapping[str, object], expected: bool) -> None:
    """
    exact, prefix, suffix, all, any, not and cesql, which nest; a missing attribute fails them all.

    Source: knative/eventing pkg/eventfilter/subscriptionsapi.
    """
    assert matches(filter_) is expected


def test_a_judgement_tells_what_stands_in_the_way() -> None:
    """The console shows each filter's verdict, with what the event has instead."""
    wanted = parse_filters(
        [FAILED, {"any": [OTHER_TENANT, {"prefix": {"absent": "x"}}]}, {"cesql": "absent = 1"}], None
    )

    told = wanted.judge(attributes_of(EVENT))

    first, second, third = told.parts
    assert (told.passed, first.passed, first.text) == (False, True, "type = vexa.bot.failed.v1")
    assert (second.text, [part.why for part in second.parts]) == (
        "any of",
        ["it is 3", "the event has no such attribute"],
    )
    assert (third.text, third.why) == ("absent = 1", "the event has no attribute absent")


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
        ({"regex": "vexa.*"}, "'regex' is not known; known: all, any, cesql, exact, not, prefix, suffix"),
        ({"cesql": "type LIKE"}, "cesql: 'the end' stands where string is wanted"),
        ({"cesql": ["type"]}, "must be an expression"),
        ({"exact": {}}, "must map"),
        ({"prefix": {"type": 1}}, "prefix must hold non-empty strings"),
        ({"suffix": "a"}, "suffix must map"),
        ({"all": []}, "all must list at least one"),
        ({"any": {"exact": {"a": "1"}}}, "any must list"),
        ({"not": [{"exact": {"a": "1"}}]}, "exactly one dialect, got list"),
        ({"not": {"all": [{"regex": "a"}]}}, "'regex' is not known"),
        ({"exact": {"type": ""}}, "non-empty"),
        ({"exact": {"a": "1"}, "prefix": {"b": "2"}}, "exactly one dialect"),
        ({}, "exactly one dialect"),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_name(spec: Mapping[str, object], reason: str) -> None:
    """A filter that was silently ignored would deliver everything."""
    with pytest.raises(InvalidMessage, match=reason):
        parse_filters([spec], None)
