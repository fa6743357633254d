"""
Reads an expression into its tree; pure.

Precedence, from the tightest: unary operators, LIKE and IN, `* / %`, `+ -`,
comparisons, AND, then OR and XOR. So `NOT a = b` reads `(NOT a) = b`, as in
the language's own grammar.

Source: CloudEvents SQL 1.0, chapter 2, and the grammar of its Go implementation, which Knative runs.
"""

import re
from collections.abc import Callable

from vexa_events.errors import InvalidMessage
from vexa_local.broker.cesql.functions import check_call
from vexa_local.broker.cesql.syntax import Attribute, Binary, Call, Exists, Expression, In, Like, Literal, Unary
from vexa_local.broker.cesql.tokens import Kind, Token, tokens_of

MAX_LENGTH = 2_000
"""Characters of an expression."""
MAX_OPERATORS = 100
MAX_DEPTH = 20
"""Of parentheses."""
MAX_INT = 2**31 - 1
_ATTRIBUTE = re.compile(r"[a-z0-9]+")
_LEVELS = (frozenset({"*", "/", "%"}), frozenset({"+", "-"}), frozenset({"=", "!=", "<>", "<", "<=", ">", ">="}))


def parse_expression(text: str) -> Expression:
    """Read a whole expression; raise InvalidMessage naming what is not understood."""
    if not text.strip():
        raise InvalidMessage("cesql: an expression must not be empty")
    if len(text) > MAX_LENGTH:
        raise InvalidMessage(f"cesql: {len(text)} characters are over the limit of {MAX_LENGTH}")
    tokens = list(tokens_of(text))
    if sum(_is_operator(token) for token in tokens) > MAX_OPERATORS:
        raise InvalidMessage(f"cesql: more than {MAX_OPERATORS} operators")
    parser = _Parser(tokens)
    expression = parser.disjunction()
    parser.take(Kind.END)
    return expression


class _Parser:
    """Walks the tokens once, from left to right."""

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._position = 0
        self._depth = 0

    @property
    def _next(self) -> Token:
        return self._tokens[self._position]

    def take(self, kind: Kind, *texts: str) -> Token:
        """Return the next token, which must be one of these."""
        if not self._is_next(kind, *texts):
            wanted = " or ".join(texts) or kind.value
            raise InvalidMessage(f"cesql: {self._next.text!r} stands where {wanted} is wanted")
        token = self._next
        self._position += 1
        return token

    def disjunction(self) -> Expression:
        """OR and XOR, from the right."""
        return self._joined(self._conjunction, self.disjunction, "OR", "XOR")

    def _conjunction(self) -> Expression:
        return self._joined(lambda: self._level(len(_LEVELS) - 1), self._conjunction, "AND")

    def _joined(self, first: Callable[[], Expression], rest: Callable[[], Expression], *operators: str) -> Expression:
        left = first()
        if not self._is_next(Kind.KEYWORD, *operators):
            return left
        operator = self.take(Kind.KEYWORD).text
        return Binary(operator, left, rest())

    def _level(self, level: int) -> Expression:
        """Binary operators of one precedence, from the left."""
        if level < 0:
            return self._matched()
        expression = self._level(level - 1)
        while self._is_next(Kind.SYMBOL, *_LEVELS[level]):
            operator = self.take(Kind.SYMBOL).text
            expression = Binary(operator, expression, self._level(level - 1))
        return expression

    def _matched(self) -> Expression:
        """LIKE and IN, either with NOT before it."""
        expression = self._unary()
        while self._is_next(Kind.KEYWORD, "NOT", "LIKE", "IN"):
            is_negated = self._is_next(Kind.KEYWORD, "NOT")
            if is_negated:
                self.take(Kind.KEYWORD)
            expression = self._match_of(expression)
            expression = Unary("NOT", expression) if is_negated else expression
        return expression

    def _match_of(self, operand: Expression) -> Expression:
        if self.take(Kind.KEYWORD, "LIKE", "IN").text == "LIKE":
            return Like(operand, self.take(Kind.STRING).text)
        self.take(Kind.SYMBOL, "(")
        return In(operand, self._list())

    def _unary(self) -> Expression:
        operators = []
        while self._is_next(Kind.KEYWORD, "NOT") or self._is_next(Kind.SYMBOL, "-"):
            operators.append(self.take(self._next.kind).text)
        expression = self._atom()
        for operator in reversed(operators):
            expression = Unary(operator, expression)
        return expression

    def _atom(self) -> Expression:  # noqa: PLR0911 - one case a kind of value
        token = self._next
        self._position += 1
        match token.kind:
            case Kind.STRING:
                return Literal(token.text.replace(f"\\{token.quote}", token.quote))
            case Kind.NUMBER if int(token.text) <= MAX_INT:
                return Literal(int(token.text))
            case Kind.KEYWORD if token.text in {"TRUE", "FALSE"}:
                return Literal(token.text == "TRUE")
            case Kind.KEYWORD if token.text == "EXISTS":
                return Exists(self._name(self.take(Kind.WORD)))
            case Kind.SYMBOL if token.text == "(":
                return self._parenthesized()
            case Kind.WORD if self._is_next(Kind.SYMBOL, "("):
                return self._call(token.text.upper())
            case Kind.WORD:
                return Attribute(self._name(token))
        raise InvalidMessage(f"cesql: {token.text!r} stands where a value is wanted")

    def _parenthesized(self) -> Expression:
        expression = self._inner()
        self.take(Kind.SYMBOL, ")")
        return expression

    def _inner(self) -> Expression:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise InvalidMessage(f"cesql: nested deeper than {MAX_DEPTH}")
        expression = self.disjunction()
        self._depth -= 1
        return expression

    def _call(self, function: str) -> Expression:
        self.take(Kind.SYMBOL, "(")
        if self._is_next(Kind.SYMBOL, ")"):
            self.take(Kind.SYMBOL)
            arguments: tuple[Expression, ...] = ()
        else:
            arguments = self._list()
        check_call(function, len(arguments))
        return Call(function, arguments)

    def _list(self) -> tuple[Expression, ...]:
        """Expressions up to the closing parenthesis."""
        members = [self._inner()]
        while self.take(Kind.SYMBOL, ",", ")").text == ",":
            members.append(self._inner())
        return tuple(members)

    def _name(self, token: Token) -> str:
        if not _ATTRIBUTE.fullmatch(token.text):
            raise InvalidMessage(f"cesql: {token.text!r} is no name of an attribute: lower-case letters and digits")
        return token.text

    def _is_next(self, kind: Kind, *texts: str) -> bool:
        return self._next.kind is kind and (not texts or self._next.text in texts)


def _is_operator(token: Token) -> bool:
    is_value = token.kind is Kind.KEYWORD and token.text in {"TRUE", "FALSE"}
    is_bracket = token.kind is Kind.SYMBOL and token.text in {"(", ")", ","}
    return token.kind in {Kind.KEYWORD, Kind.SYMBOL} and not (is_value or is_bracket)
