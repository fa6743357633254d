"""The built-in functions of the language; pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from vexa_events.errors import InvalidMessage
from vexa_local.broker.cesql.syntax import Value
from vexa_local.broker.cesql.values import FailedExpression, bounded, cast


@dataclass(frozen=True, slots=True)
class Function:
    """A built-in function and how many arguments it takes."""

    call: Callable[..., Value]
    least: int
    most: int = 100


def check_call(name: str, count: int) -> None:
    """Raise InvalidMessage where no function of this name takes so many arguments."""
    if name not in FUNCTIONS:
        raise InvalidMessage(f"cesql: no function {name}; known: {', '.join(sorted(FUNCTIONS))}")
    if not FUNCTIONS[name].least <= count <= FUNCTIONS[name].most:
        raise InvalidMessage(f"cesql: {name} does not take {count} arguments")


def call(name: str, arguments: list[Value]) -> Value:
    """Call a function whose name and number of arguments were checked."""
    return FUNCTIONS[name].call(*arguments)


def _concat(*parts: Value) -> str:
    return "".join(cast(part, str) for part in parts)


def _concat_ws(delimiter: Value, *parts: Value) -> str:
    return cast(delimiter, str).join(cast(part, str) for part in parts)


def _left(text: Value, count: Value) -> str:
    return cast(text, str)[: _natural(count)]


def _right(text: Value, count: Value) -> str:
    whole = cast(text, str)
    return whole[max(0, len(whole) - _natural(count)) :]


def _substring(text: Value, position: Value, count: Value | None = None) -> str:
    whole, start = cast(text, str), cast(position, int)
    if abs(start) > len(whole):
        raise FailedExpression(f"position {start} lies outside a text of {len(whole)} characters")
    if start == 0:
        return ""
    rest = whole[start - 1 :] if start > 0 else whole[start:]
    return rest if count is None else rest[: _natural(count)]


def _natural(value: Value) -> int:
    number = cast(value, int)
    if number < 0:
        raise FailedExpression(f"{number} is negative")
    return number


def _can_be(value: Value, wanted: type[int] | type[bool]) -> bool:
    try:
        cast(value, wanted)
    except FailedExpression:
        return False
    return True


FUNCTIONS: Mapping[str, Function] = {
    "ABS": Function(lambda x: bounded(abs(cast(x, int))), 1, 1),
    "BOOL": Function(lambda x: cast(x, bool), 1, 1),
    "CONCAT": Function(_concat, 0),
    "CONCAT_WS": Function(_concat_ws, 1),
    "INT": Function(lambda x: cast(x, int), 1, 1),
    "IS_BOOL": Function(lambda x: _can_be(x, bool), 1, 1),
    "IS_INT": Function(lambda x: _can_be(x, int), 1, 1),
    "LEFT": Function(_left, 2, 2),
    "LENGTH": Function(lambda x: len(cast(x, str)), 1, 1),
    "LOWER": Function(lambda x: cast(x, str).lower(), 1, 1),
    "RIGHT": Function(_right, 2, 2),
    "STRING": Function(lambda x: cast(x, str), 1, 1),
    "SUBSTRING": Function(_substring, 2, 3),
    "TRIM": Function(lambda x: cast(x, str).strip(), 1, 1),
    "UPPER": Function(lambda x: cast(x, str).upper(), 1, 1),
}
