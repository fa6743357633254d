"""The syntax tree of an expression; pure data."""

from dataclasses import dataclass

Value = str | int | bool
"""Every value of the language; a bool is never taken for an int."""


@dataclass(frozen=True, slots=True)
class Literal:
    """A value as written."""

    value: Value


@dataclass(frozen=True, slots=True)
class Attribute:
    """The value of an attribute of the event."""

    name: str


@dataclass(frozen=True, slots=True)
class Exists:
    """Whether the event has an attribute."""

    name: str


@dataclass(frozen=True, slots=True)
class Unary:
    """`NOT x` or `-x`."""

    operator: str
    operand: "Expression"


@dataclass(frozen=True, slots=True)
class Binary:
    """Arithmetic, comparison or logic of two operands."""

    operator: str
    left: "Expression"
    right: "Expression"


@dataclass(frozen=True, slots=True)
class Like:
    """`x LIKE pattern`; the pattern as written."""

    operand: "Expression"
    pattern: str


@dataclass(frozen=True, slots=True)
class In:
    """`x IN (a, b)`."""

    operand: "Expression"
    members: tuple["Expression", ...]


@dataclass(frozen=True, slots=True)
class Call:
    """A built-in function; the name in upper case."""

    function: str
    arguments: tuple["Expression", ...]


Expression = Literal | Attribute | Exists | Unary | Binary | Like | In | Call
