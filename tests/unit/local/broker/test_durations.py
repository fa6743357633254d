"""ISO 8601 durations."""

import pytest

from vexa_events.errors import InvalidMessage
from vexa_local.broker.durations import parse_duration_s


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("PT0.5S", 0.5), ("PT30S", 30.0), ("PT1M30S", 90.0), ("PT2H", 7_200.0), ("P1D", 86_400.0), ("P1DT1S", 86_401.0)],
)
def test_a_duration_is_read_as_seconds(text: str, seconds: float) -> None:
    """Delivery blocks spell every time this way."""
    assert parse_duration_s(text) == seconds


@pytest.mark.parametrize("text", ["", "P", "PT", "P1DT", "5s", "PT5", "PT-1S", "P1M", "P1Y", "pt5s", "PT5S "])
def test_anything_else_is_refused(text: str) -> None:
    """A typing error must not become a wait of zero; months have no length."""
    with pytest.raises(InvalidMessage, match="ISO 8601"):
        parse_duration_s(text)
