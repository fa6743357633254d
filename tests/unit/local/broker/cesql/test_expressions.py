"""The expression language of `cesql` filters, from text to value."""

import pytest

from vexa_events.errors import InvalidMessage
from vexa_local.broker.cesql import FailedExpression, evaluate, parse_expression

ATTRIBUTES = {
    "id": "7",
    "type": "vexa.bot.failed.v1",
    "source": "/vexa/bots",
    "subject": "meetings/7",
    "sequence": "0000000010",
    "tenant": "3",
    "flag": "TRUE",
    "quote": "it's",
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        # 2.2 literals
        ("TRUE", True),
        ("false", False),
        ("42", 42),
        ("'a'", "a"),
        ('"a"', "a"),
        (r"'it\'s'", "it's"),
        (r'"\""', '"'),
        # 3.2 attributes are strings
        ("type", "vexa.bot.failed.v1"),
        # 3.4.1 unary
        ("NOT TRUE", False),
        ("not not true", True),
        ("-5", -5),
        ("NOT flag", False),
        # 3.4.2 binary, with casts to the right operand's type
        ("type = 'vexa.bot.failed.v1'", True),
        ("type != 'vexa.bot.failed.v1'", False),
        ("type <> 'x'", True),
        ("sequence = 10", True),
        ("tenant < 4", True),
        ("tenant >= sequence", False),
        ("flag = true", True),
        ("1 + 2 * 3 - 4", 3),
        ("10 - 4 - 3", 3),
        ("-7 / 2", -3),
        ("-7 % 2", -1),
        ("7 % -2", 1),
        ("TRUE AND FALSE", False),
        ("FALSE OR TRUE", True),
        ("TRUE XOR TRUE", False),
        ("FALSE AND TRUE OR TRUE", True),
        ("TRUE OR missing = 'x'", True),
        ("FALSE AND missing = 'x'", False),
        # 3.4.3 like
        ("type LIKE 'vexa.bot.%'", True),
        ("type LIKE 'vexa_bot_failed_v1'", True),
        ("type LIKE 'vexa.bot'", False),
        ("type NOT LIKE '%.v2'", True),
        (r"'100%' LIKE '100\%'", True),
        (r"'1000' LIKE '100\%'", False),
        ("'a.c' LIKE 'a.c'", True),
        ("'abc' LIKE 'a.c'", False),
        # 3.4.4 exists
        ("EXISTS tenant", True),
        ("EXISTS missing", False),
        ("NOT EXISTS missing", True),
        # 3.4.5 in
        ("tenant IN (1, 2, 3)", True),
        ("tenant NOT IN ('4')", True),
        ("3 IN (tenant)", True),
        # 3.5 functions
        ("LENGTH(quote)", 4),
        ("CONCAT(tenant, '-', 1)", "3-1"),
        ("CONCAT_WS('/', 'a', 'b', tenant)", "a/b/3"),
        ("LOWER('A') = 'a' AND UPPER('b') = 'B'", True),
        ("TRIM('  a ')", "a"),
        ("LEFT(source, 5)", "/vexa"),
        ("RIGHT(source, 4)", "bots"),
        ("RIGHT('ab', 9)", "ab"),
        ("SUBSTRING('knative', 2)", "native"),
        ("SUBSTRING('knative', -4, 2)", "ti"),
        ("SUBSTRING('knative', 0)", ""),
        ("ABS(-4)", 4),
        ("INT('12') + 1", 13),
        ("IS_INT('a')", False),
        ("IS_BOOL('true')", True),
        ("STRING(TRUE)", "true"),
        # precedence of the grammar: unary operators bind tighter than comparisons
        ("NOT flag = true", False),
        ("NOT (type = 'x')", True),
        ("(TRUE OR FALSE) AND FALSE", False),
        ("type LIKE 'vexa.%' AND EXISTS tenant AND NOT (tenant = 4)", True),
    ],
)
def test_an_expression_has_the_value_that_the_language_gives_it(text: str, value: object) -> None:
    """Each line is a rule of CloudEvents SQL 1.0."""
    found = evaluate(parse_expression(text), ATTRIBUTES)

    assert (type(found), found) == (type(value), value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("missing = 'x'", "no attribute missing"),
        ("missing = 'x' OR TRUE", "no attribute missing"),
        ("type = 3", "no number"),
        ("type AND TRUE", "neither true nor false"),
        ("1 / 0", "division by zero"),
        ("2147483647 + 1", "32 bits"),
        ("LEFT('a', -1)", "negative"),
        ("SUBSTRING('a', 5)", "outside"),
    ],
)
def test_an_expression_that_fails_has_no_value(text: str, reason: str) -> None:
    """The first error ends it; nothing is guessed."""
    with pytest.raises(FailedExpression, match=reason):
        evaluate(parse_expression(text), ATTRIBUTES)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "must not be empty"),
        ("  ", "must not be empty"),
        ("type =", "'the end' stands where a value"),
        ("type = 'a", "is not understood"),
        ("type == 'a'", "stands where a value"),
        ("(type = 'a'", "where ,|the end"),
        ("type = 'a' tenant", "'tenant' stands where end"),
        ("type LIKE tenant", "stands where string"),
        ("type NOT 'a'", "LIKE or IN"),
        ("type IN ()", "where a value"),
        ("EXISTS Type", "no name of an attribute"),
        ("partition_key = 'a'", "no name of an attribute"),
        ("SOUNDEX(type)", "no function SOUNDEX; known: ABS"),
        ("LENGTH()", "LENGTH does not take 0"),
        ("LEFT('a')", "LEFT does not take 1"),
        ("99999999999", "where a value"),
        ("type = 'a'; DROP", "is not understood"),
        ("(" * 30 + "TRUE" + ")" * 30, "nested deeper"),
        ("-" * 300 + "1", "more than 100 operators"),
        ("x" * 3_000, "over the limit"),
    ],
)
def test_what_is_no_expression_is_refused_when_it_is_read(text: str, reason: str) -> None:
    """A Broker tells at its start, not at the first event."""
    with pytest.raises(InvalidMessage, match=reason):
        parse_expression(text)


def test_the_deepest_expression_that_is_read_can_be_evaluated() -> None:
    """Neither reading nor evaluating runs out of stack."""
    text = "(" * 20 + "1" + "+1" * 100 + ")" * 20

    assert evaluate(parse_expression(text), {}) == 101
