"""Casts between the three types of the language; pure."""

from typing import TypeVar

from vexa_local.broker.cesql.syntax import Value

MIN_INT, MAX_INT = -(2**31), 2**31 - 1

T = TypeVar("T", str, int, bool)


class FailedExpression(Exception):
    """The expression has no value for this event, so that the event does not pass."""


def cast(value: Value, wanted: type[T]) -> T:
    """Cast as the language does by itself; raise FailedExpression where the value cannot be read so."""
    if type(value) is wanted:
        return value
    if wanted is str:
        return wanted(_spelled(value))
    if wanted is bool:
        return wanted(_truth(value))
    return wanted(_number(value))


def cast_as(model: Value, value: Value) -> Value:
    """Cast a value to the type that another has."""
    if isinstance(model, bool):
        return cast(value, bool)
    return cast(value, int) if isinstance(model, int) else cast(value, str)


def bounded(number: int) -> int:
    """Return a number that 32 bits hold; raise FailedExpression for any other."""
    if not MIN_INT <= number <= MAX_INT:
        raise FailedExpression(f"{number} does not fit 32 bits")
    return number


def quotient(left: int, right: int) -> int:
    """Divide and round towards zero; raise FailedExpression for a division by zero."""
    if right == 0:
        raise FailedExpression("division by zero")
    magnitude = abs(left) // abs(right)
    return magnitude if (left < 0) is (right < 0) else -magnitude


def _spelled(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _truth(value: Value) -> bool:
    if isinstance(value, int):
        return value != 0
    if value.lower() not in {"true", "false"}:
        raise FailedExpression(f"{value!r} is neither true nor false")
    return value.lower() == "true"


def _number(value: Value) -> int:
    if isinstance(value, bool):
        return int(value)
    text = str(value)
    if not text.removeprefix("-").removeprefix("+").isdecimal() or not text.isascii() or len(text) > 11:
        raise FailedExpression(f"{value!r} is no number")
    return bounded(int(text))
