"""
The value of an expression for the attributes of one event; pure.

The first error ends the evaluation, a missing attribute included: Knative lets
no event pass whose expression fails. `EXISTS` asks before.

Source: CloudEvents SQL 1.0, chapters 3.2 to 3.7.
"""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import assert_never

from vexa_local.broker.cesql.functions import call
from vexa_local.broker.cesql.syntax import Attribute, Binary, Call, Exists, Expression, In, Like, Literal, Unary, Value
from vexa_local.broker.cesql.values import FailedExpression, bounded, cast, cast_as, quotient

_ARITHMETIC: Mapping[str, Callable[[int, int], int]] = {
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "/": quotient,
    "%": lambda left, right: left - right * quotient(left, right),
}
_ORDER: Mapping[str, Callable[[int, int], bool]] = {
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
}
_WILDCARDS = {"%": ".*", "_": "."}
_PIECE = re.compile(r"\\[%_]|.", re.DOTALL)


def evaluate(expression: Expression, attributes: Mapping[str, str]) -> Value:  # noqa: PLR0911 - one case a node
    """Return the value; raise FailedExpression where there is none."""
    match expression:
        case Literal(value):
            return value
        case Attribute(name):
            return _attribute(name, attributes)
        case Exists(name):
            return name in attributes
        case Unary():
            return _unary(expression, attributes)
        case Binary():
            return _binary(expression, attributes)
        case Like(operand, pattern):
            return _pattern(pattern).fullmatch(cast(evaluate(operand, attributes), str)) is not None
        case In(operand, members):
            value = evaluate(operand, attributes)
            return any(cast_as(value, evaluate(member, attributes)) == value for member in members)
        case Call(function, arguments):
            return call(function, [evaluate(argument, attributes) for argument in arguments])
        case _:
            assert_never(expression)


def _attribute(name: str, attributes: Mapping[str, str]) -> str:
    if name not in attributes:
        raise FailedExpression(f"the event has no attribute {name}")
    return attributes[name]


def _unary(expression: Unary, attributes: Mapping[str, str]) -> Value:
    value = evaluate(expression.operand, attributes)
    return not cast(value, bool) if expression.operator == "NOT" else bounded(-cast(value, int))


def _binary(expression: Binary, attributes: Mapping[str, str]) -> Value:
    operator = expression.operator
    left = evaluate(expression.left, attributes)
    if operator in {"AND", "OR"} and cast(left, bool) is (operator == "OR"):
        return operator == "OR"
    right = evaluate(expression.right, attributes)
    if operator in {"AND", "OR"}:
        return cast(right, bool)
    if operator == "XOR":
        return cast(left, bool) is not cast(right, bool)
    if operator in {"=", "!=", "<>"}:
        return (cast_as(right, left) == right) is (operator == "=")
    if operator in _ORDER:
        return _ORDER[operator](cast(left, int), cast(right, int))
    return bounded(_ARITHMETIC[operator](cast(left, int), cast(right, int)))


@lru_cache(maxsize=256)
def _pattern(like: str) -> re.Pattern[str]:
    """Turn `%` and `_` into their regular expressions, unless a backslash precedes them."""
    pieces = [_WILDCARDS.get(piece, re.escape(piece[-1])) for piece in _PIECE.findall(like)]
    return re.compile("".join(pieces), re.DOTALL)
