"""
Which events a Trigger wants, and what each of its filters says of one; pure.

A dialect is one class and one entry in DIALECTS.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from vexa_events.envelope import JSON, Event
from vexa_events.errors import InvalidMessage
from vexa_local.broker.cesql import FailedExpression, evaluate, parse_expression
from vexa_local.broker.cesql.syntax import Expression

Attributes = Mapping[str, str]
Test = Callable[[str, str], bool]
MAX_DEPTH = 20
"""Of filters within filters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What a filter says of one event."""

    passed: bool
    text: str
    """The condition, as a person would write it."""
    why: str | None = None
    """What stands in the way, where the text does not tell."""
    parts: tuple["Judgement", ...] = ()


class Filter(Protocol):
    """A condition on the attributes of an event; never on its data."""

    def judge(self, attributes: Attributes) -> Judgement: ...


@dataclass(frozen=True, slots=True)
class Compared:
    """Every named attribute is there and stands the test: exact, prefix or suffix."""

    sign: str
    test: Test
    wanted: Attributes

    def judge(self, attributes: Attributes) -> Judgement:
        parts = tuple(self._part(name, value, attributes) for name, value in self.wanted.items())
        return parts[0] if len(parts) == 1 else _together("all of", parts, passed=all(part.passed for part in parts))

    def _part(self, name: str, wanted: str, attributes: Attributes) -> Judgement:
        found = attributes.get(name)
        passed = found is not None and self.test(found, wanted)
        return Judgement(passed=passed, text=f"{name} {self.sign} {wanted}", why=None if passed else _found(found))


@dataclass(frozen=True, slots=True)
class Legacy:
    """The older `filter.attributes`: like exact, but an empty value wants the attribute to be present."""

    wanted: Attributes

    def judge(self, attributes: Attributes) -> Judgement:
        parts = tuple(self._part(name, value, attributes) for name, value in self.wanted.items())
        return _together("attributes", parts, passed=all(part.passed for part in parts))

    def _part(self, name: str, wanted: str, attributes: Attributes) -> Judgement:
        found = attributes.get(name)
        passed = bool(found) and wanted in {"", found}
        text = f"{name} = {wanted}" if wanted else f"{name} is set"
        return Judgement(passed=passed, text=text, why=None if passed else _found(found))


@dataclass(frozen=True, slots=True)
class Every:
    """All of the filters pass; without any, everything does."""

    filters: tuple[Filter, ...]

    def judge(self, attributes: Attributes) -> Judgement:
        parts = tuple(filter_.judge(attributes) for filter_ in self.filters)
        return _together("all of", parts, passed=all(part.passed for part in parts))


@dataclass(frozen=True, slots=True)
class Some:
    """At least one of the filters passes."""

    filters: tuple[Filter, ...]

    def judge(self, attributes: Attributes) -> Judgement:
        parts = tuple(filter_.judge(attributes) for filter_ in self.filters)
        return _together("any of", parts, passed=any(part.passed for part in parts))


@dataclass(frozen=True, slots=True)
class Negated:
    """The filter does not pass."""

    filter: Filter

    def judge(self, attributes: Attributes) -> Judgement:
        part = self.filter.judge(attributes)
        return _together("not", (part,), passed=not part.passed)


@dataclass(frozen=True, slots=True)
class Sql:
    """The expression is true; one that fails, or has another value, lets nothing pass."""

    text: str
    expression: Expression

    def judge(self, attributes: Attributes) -> Judgement:
        try:
            value = evaluate(self.expression, attributes)
        except FailedExpression as exc:
            return Judgement(passed=False, text=self.text, why=str(exc))
        why = None if isinstance(value, bool) else f"the value {value!r} is neither true nor false"
        return Judgement(passed=value is True, text=self.text, why=why)


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

    Raise InvalidMessage naming what cannot be honoured.
    """
    if dialects:
        return Every(tuple(_parse_one(spec) for spec in dialects))
    return Legacy(dict(legacy or {}))


def _parse_one(spec: object, depth: int = 0) -> Filter:
    if not isinstance(spec, Mapping) or len(spec) != 1:
        given = sorted(map(str, spec)) if isinstance(spec, Mapping) else type(spec).__name__
        raise InvalidMessage(f"a filter names exactly one dialect, got {given or 'none'}")
    if depth > MAX_DEPTH:
        raise InvalidMessage(f"filters are nested deeper than {MAX_DEPTH}")
    [(dialect, value)] = spec.items()
    if dialect not in DIALECTS:
        raise InvalidMessage(f"filter dialect {dialect!r} is not known; known: {', '.join(sorted(DIALECTS))}")
    return DIALECTS[dialect](value, depth)


def _compared(dialect: str, sign: str, test: Test) -> Callable[[object, int], Filter]:
    return lambda value, _: Compared(sign, test, _pairs(dialect, value))


def _pairs(dialect: str, value: object) -> Attributes:
    if not isinstance(value, Mapping) or not value:
        raise InvalidMessage(f"filter {dialect} must map attribute names to values")
    if not all(isinstance(part, str) and part for part in (*value.keys(), *value.values())):
        raise InvalidMessage(f"filter {dialect} must hold non-empty strings only")
    return dict(value)


def _several(dialect: str, value: object, depth: int) -> tuple[Filter, ...]:
    if not isinstance(value, Sequence) or isinstance(value, str) or not value:
        raise InvalidMessage(f"filter {dialect} must list at least one filter")
    return tuple(_parse_one(spec, depth + 1) for spec in value)


def _parse_sql(value: object, _: int) -> Filter:
    if not isinstance(value, str):
        raise InvalidMessage("filter cesql must be an expression")
    return Sql(value, parse_expression(value))


def _together(text: str, parts: tuple[Judgement, ...], *, passed: bool) -> Judgement:
    return Judgement(passed=passed, text=text, parts=parts)


def _found(value: str | None) -> str:
    return "the event has no such attribute" if value is None else f"it is {value}"


DIALECTS: Mapping[str, Callable[[object, int], Filter]] = {
    "exact": _compared("exact", "=", lambda found, wanted: found == wanted),
    "prefix": _compared("prefix", "begins with", lambda found, wanted: found.startswith(wanted)),
    "suffix": _compared("suffix", "ends with", lambda found, wanted: found.endswith(wanted)),
    "all": lambda value, depth: Every(_several("all", value, depth)),
    "any": lambda value, depth: Some(_several("any", value, depth)),
    "not": lambda value, depth: Negated(_parse_one(value, depth + 1)),
    "cesql": _parse_sql,
}
