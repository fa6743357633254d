"""Cuts an expression into tokens; pure."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from vexa_events.errors import InvalidMessage

KEYWORDS = frozenset({"AND", "OR", "XOR", "NOT", "LIKE", "EXISTS", "IN", "TRUE", "FALSE"})
_TOKEN = re.compile(
    r"""\s*(?:
    (?P<string>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")
  | (?P<number>\d+)(?![A-Za-z0-9_])
  | (?P<word>[A-Za-z0-9_]+)
  | (?P<symbol><>|!=|<=|>=|[=<>+\-*/%(),])
    )""",
    re.VERBOSE | re.DOTALL,
)


class Kind(StrEnum):
    """What a token is."""

    STRING = "string"
    NUMBER = "number"
    WORD = "word"
    KEYWORD = "keyword"
    SYMBOL = "symbol"
    END = "end"


@dataclass(frozen=True, slots=True)
class Token:
    """One token; a keyword in upper case, a string without its quotes, escapes left in."""

    kind: Kind
    text: str
    quote: str = ""
    """Which quotes stood around a string."""


def tokens_of(text: str) -> Iterator[Token]:
    """Yield the tokens and an end; raise InvalidMessage where no token can be read."""
    position = 0
    while text[position:].strip():
        match = _TOKEN.match(text, position)
        if match is None:
            raise InvalidMessage(f"cesql: {text[position : position + 20].strip()!r} is not understood")
        position = match.end()
        yield _token(match)
    yield Token(Kind.END, "the end")


def _token(match: re.Match[str]) -> Token:
    kind = Kind(match.lastgroup or "")
    text = match[kind.value]
    if kind is Kind.STRING:
        return Token(kind, text[1:-1], quote=text[0])
    if kind is Kind.WORD and text.upper() in KEYWORDS:
        return Token(Kind.KEYWORD, text.upper())
    return Token(kind, text)
