"""
Which events a Trigger wants; pure.

A dialect is one class with `matches` and one entry in DIALECTS.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from vexa_events.envelope import JSON, Event
from vexa_events.errors import InvalidMessage

Attributes = Mapping[str, str]


class Filter(Protocol):
    """A condition on the attributes of an event; never on its data."""

    def matches(self, attributes: Attributes) -> bool: ...


@dataclass(frozen=True, slots=True)
class Exact:
    """Every named attribute has exactly the given value."""

    wanted: Attributes

    def matches(self, attributes: Attributes) -> bool:
        return all(attributes.get(name) == value for name, value in self.wanted.items())


@dataclass(frozen=True, slots=True)
class Legacy:
    """The older `filter.attributes`: like exact, but an empty value wants the attribute to be present."""

    wanted: Attributes

    def matches(self, attributes: Attributes) -> bool:
        return all(name in attributes and wanted in {"", attributes[name]} for name, wanted in self.wanted.items())


@dataclass(frozen=True, slots=True)
class Every:
    """All of the filters match; without any, everything does."""

    filters: tuple[Filter, ...]

    def matches(self, attributes: Attributes) -> bool:
        return all(filter_.matches(attributes) for filter_ in self.filters)


def attributes_of(event: Event) -> Attributes:
    """Spell every attribute that a filter can name."""
    optional = {"subject": event.subject, "time": event.time, "dataschema": event.dataschema}
    return {
        "specversion": "1.0",
        "id": event.id,
        "source": event.source,
        "type": event.type,
        "datacontenttype": JSON,
        **{name: value for name, value in optional.items() if value is not None},
        **event.extensions,
    }


def parse_filters(dialects: Sequence[Mapping[str, object]], legacy: Attributes | None) -> Filter:
    """
    Read `spec.filters`, or `spec.filter.attributes` where that alone is given.

    Raise InvalidMessage naming a dialect that is not known here.
    """
    if dialects:
        return Every(tuple(_parse_one(spec) for spec in dialects))
    return Legacy(dict(legacy or {}))


def _parse_one(spec: Mapping[str, object]) -> Filter:
    if len(spec) != 1:
        raise InvalidMessage(f"a filter names exactly one dialect, got {sorted(spec) or 'none'}")
    [(dialect, value)] = spec.items()
    if dialect not in DIALECTS:
        raise InvalidMessage(f"filter dialect {dialect!r} is not supported here; known: {', '.join(sorted(DIALECTS))}")
    return DIALECTS[dialect](value)


def _parse_exact(value: object) -> Filter:
    if not isinstance(value, Mapping) or not value:
        raise InvalidMessage("filter exact must map attribute names to values")
    if not all(isinstance(part, str) and part for part in (*value.keys(), *value.values())):
        raise InvalidMessage("filter exact must hold non-empty strings only")
    return Exact(dict(value))


DIALECTS: Mapping[str, Callable[[object], Filter]] = {"exact": _parse_exact}
