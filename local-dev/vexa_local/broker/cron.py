"""
The schedules of a PingSource; pure.

Knative takes five cron fields and the descriptors @hourly to @yearly. It
refuses `@every`, which is understood here for trying things out.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Protocol

from vexa_events.errors import InvalidMessage

_DESCRIPTORS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_EVERY = re.compile(r"@every (?:(?P<hours>\d+)h)?(?:(?P<minutes>\d+)m)?(?:(?P<seconds>\d+)s)?")
_MONTHS = ("", "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_PART = re.compile(r"(?P<first>\*|\?|[a-z0-9]+)(?:-(?P<last>[a-z0-9]+))?(?:/(?P<step>\d+))?")
_HORIZON_DAYS = 366 * 5
"""Long enough to meet the next 29 February."""


class Schedule(Protocol):
    """When something is due."""

    def next_after(self, now: datetime) -> datetime:
        """Return the next due time, later than `now`."""


@dataclass(frozen=True, slots=True)
class Every:
    """A fixed interval, counted from the last time."""

    interval: timedelta

    def next_after(self, now: datetime) -> datetime:
        return now + self.interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Cron:
    """Five cron fields, each as the set of values that match."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either_day: bool
    """Day and weekday are both restricted: then either is enough, as cron has it."""
    zone: tzinfo

    def next_after(self, now: datetime) -> datetime:
        local = now.astimezone(self.zone)
        for day in self._days_from(local.date()):
            for hour in sorted(self.hours):
                for minute in sorted(self.minutes):
                    due = datetime.combine(day, time(hour, minute), tzinfo=self.zone)
                    if due > local:
                        return due.astimezone(UTC)
        raise InvalidMessage("schedule never comes due")

    def _days_from(self, first: date) -> Iterator[date]:
        for offset in range(_HORIZON_DAYS):
            day = first + timedelta(days=offset)
            if day.month in self.months and self._is_day(day):
                yield day

    def _is_day(self, day: date) -> bool:
        by_date, by_weekday = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return by_date or by_weekday if self.either_day else by_date and by_weekday


def parse_schedule(text: str, *, zone: tzinfo = UTC) -> Schedule:
    """Read a schedule; raise InvalidMessage where it is none."""
    text = text.strip().lower()
    if text.startswith("@every"):
        return _parse_every(text)
    fields = _DESCRIPTORS.get(text, text).split()
    if len(fields) != 5:
        raise InvalidMessage(f"schedule {text!r} must have five fields or be one of {', '.join(_DESCRIPTORS)}")
    minutes, hours, days, months, weekdays = fields
    return Cron(
        minutes=_values(minutes, 0, 59),
        hours=_values(hours, 0, 23),
        days=_values(days, 1, 31),
        months=_values(months, 1, 12, names=_MONTHS),
        weekdays=_values(weekdays, 0, 6, names=_WEEKDAYS),
        either_day=days[0] not in "*?" and weekdays[0] not in "*?",
        zone=zone,
    )


def _parse_every(text: str) -> Every:
    match = _EVERY.fullmatch(text)
    parts = {unit: int(value) for unit, value in match.groupdict().items() if value} if match else {}
    interval = timedelta(**parts)
    if interval < timedelta(seconds=1):
        raise InvalidMessage(f"schedule {text!r} must name an interval of at least a second, such as @every 5s")
    return Every(interval)


def _values(field: str, low: int, high: int, *, names: tuple[str, ...] = ()) -> frozenset[int]:
    return frozenset(value for part in field.split(",") for value in _part_values(part, low, high, names))


def _part_values(part: str, low: int, high: int, names: tuple[str, ...]) -> range:
    match = _PART.fullmatch(part)
    if match is None:
        raise InvalidMessage(f"cron field {part!r} is not understood")
    step = int(match["step"] or 1)
    if match["first"] in "*?":
        first, last = low, high
    else:
        first = _number(match["first"], names)
        last = _number(match["last"], names) if match["last"] else (high if match["step"] else first)
    if not (low <= first <= last <= high and step):
        raise InvalidMessage(f"cron field {part!r} is outside {low}-{high}")
    return range(first, last + 1, step)


def _number(text: str, names: tuple[str, ...]) -> int:
    if text in names:
        return names.index(text)
    if not text.isdigit():
        raise InvalidMessage(f"cron value {text!r} is not a number")
    return int(text)
