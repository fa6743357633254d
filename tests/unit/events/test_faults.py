"""How a refused message is told."""

from typing import Annotated, Any

import pytest
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from vexa_events.faults import MOST, faults
from vexa_events.fields import Name


class Row(BaseModel):
    """One field of each kind."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[Name, StringConstraints(max_length=3)] = ""
    secret: Annotated[Name | None, Field(min_length=16)] = None
    code: Annotated[str, StringConstraints(pattern="^[a-z]+$")] = "a"
    numbers: Annotated[tuple[int, ...], Field(max_length=500)] = ()
    inner: "Row | None" = None


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"name": "long name"}, "name: must have at most 3 characters"),
        ({"name": ""}, "name: must not be empty"),
        ({"secret": "short"}, "secret: must have at least 16 characters"),
        ({"code": "A"}, "code: must match ^[a-z]+$"),
        ({"numbers": [1] * 501}, "numbers: must have at most 500 entries"),
        ({"numbers": "12"}, "numbers: must be a list"),
        ({"inner": []}, "inner: must be an object"),
        ({"inner": {"name": 5}}, "inner.name: must be a text"),
        ({"owner": 1}, "owner: is not known here"),
        ([], "body: must be an object"),
    ],
    ids=str,
)
def test_a_fault_is_told_by_field_and_in_plain_words(given: Any, told: str) -> None:
    """No name of a class, of a type of the language or of a library; characters where characters are meant."""
    with pytest.raises(ValidationError) as caught:
        Row.model_validate(given)

    assert faults(caught.value) == told


def test_many_faults_are_summed_up() -> None:
    """A hostile message does not make a long answer."""
    with pytest.raises(ValidationError) as caught:
        Row.model_validate({"numbers": ["secret"] * 500})

    text = faults(caught.value)

    assert text.count("numbers.") == MOST
    assert text.endswith("and 480 more")
    assert "secret" not in text
