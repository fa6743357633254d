"""How a refused message is told: each field with what is wrong, in words that need no knowledge of the library."""

from collections.abc import Mapping
from types import MappingProxyType

from pydantic import ValidationError
from pydantic_core import ErrorDetails

MOST = 20
"""Faults that one message names."""
WORDS_BY_TYPE: Mapping[str, str] = MappingProxyType(
    {
        "missing": "is missing",
        "extra_forbidden": "is not known here",
        "string_type": "must be a text",
        "string_unicode": "must not contain half a character (a lone surrogate)",
        "string_too_short": "must have at least {min_length} characters",
        "string_too_long": "must have at most {max_length} characters",
        "string_pattern_mismatch": "must match {pattern}",
        "int_type": "must be a whole number",
        "int_from_float": "must be a whole number",
        "tuple_type": "must be a list",
        "list_type": "must be a list",
        "model_type": "must be an object",
        "model_attributes_type": "must be an object",
        "dict_type": "must be an object",
        "too_short": "must have at least {min_length} {unit}",
        "too_long": "must have at most {max_length} {unit}",
    }
)
"""For every other type the library's own words do."""


def faults(error: ValidationError) -> str:
    """Describe the faults as `field: what is wrong`, without the offending input."""
    found = error.errors(include_url=False, include_input=False)
    named = [f"{'.'.join(str(part) for part in fault['loc']) or 'body'}: {_words(fault)}" for fault in found]
    if len(named) > MOST:
        named[MOST:] = [f"and {len(named) - MOST} more"]
    return "; ".join(named)


def _words(fault: ErrorDetails) -> str:
    known = WORDS_BY_TYPE.get(fault["type"])
    if known is None:
        return fault["msg"].removeprefix("Value error, ")
    facts = fault.get("ctx", {})
    if facts.get("min_length") == 1:
        return "must not be empty"
    # What is measured after a check of our own has no type that the library knows; with us that is always a text.
    unit = "characters" if facts.get("field_type") == "Value" else "entries"
    return known.format(**facts, unit=unit)
