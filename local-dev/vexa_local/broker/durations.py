"""ISO 8601 durations as Knative writes them (PT0.5S, PT1M30S), read as seconds."""

import re

from vexa_events.errors import InvalidMessage

_SECONDS_BY_UNIT = {"days": 86_400.0, "hours": 3_600.0, "minutes": 60.0, "seconds": 1.0}
_DURATION = re.compile(
    r"P(?:(?P<days>\d+(?:\.\d+)?)D)?"
    r"(?:T(?=\d)(?:(?P<hours>\d+(?:\.\d+)?)H)?(?:(?P<minutes>\d+(?:\.\d+)?)M)?(?:(?P<seconds>\d+(?:\.\d+)?)S)?)?"
)


def parse_duration_s(text: str) -> float:
    """Return the seconds of a duration; raise InvalidMessage for anything else, months and years included."""
    match = _DURATION.fullmatch(text)
    if match is None or not any(match.groupdict().values()):
        raise InvalidMessage(f"{text!r} is not an ISO 8601 duration such as PT0.5S")
    return sum(float(value) * _SECONDS_BY_UNIT[unit] for unit, value in match.groupdict().items() if value)
