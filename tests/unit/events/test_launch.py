"""The order that a bot process finds in its environment."""

import pytest

from vexa_events.errors import InvalidMessage
from vexa_events.identity import Task
from vexa_events.launch import ORDER_VARIABLE, BotOrder


def an_order() -> BotOrder:
    return BotOrder(
        session_uid="s-1",
        meeting_id=5,
        platform="replay",
        native_meeting_id="standup",
        bot_name='Zoë\'s "bot" = $HOME',
        language="yue",
        task=Task.TRANSLATE,
    )


def test_an_order_survives_the_environment() -> None:
    """Quotes, dollars and equals signs arrive as they were written."""
    assert BotOrder.from_env({"PATH": "/bin", **an_order().to_env()}) == an_order()


def test_a_missing_order_is_named() -> None:
    """The process can say which variable it lacks."""
    with pytest.raises(InvalidMessage, match=ORDER_VARIABLE):
        BotOrder.from_env({})


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "[" * 100_000, '"\\ud800"', "\udcff", "{}", '{"session_uid": "s", "meeting_id": NaN}'],
)
def test_a_bad_order_is_refused(text: str) -> None:
    """Whatever stands in the variable, the process ends with a sentence and no traceback."""
    with pytest.raises(InvalidMessage, match=ORDER_VARIABLE):
        BotOrder.from_env({ORDER_VARIABLE: text})


def test_every_faulty_field_is_named_at_once() -> None:
    """One start tells all that is wrong."""
    with pytest.raises(InvalidMessage) as caught:
        BotOrder.from_env({ORDER_VARIABLE: '{"session_uid": "a b", "meeting_id": 0, "platform": ""}'})

    assert all(name in str(caught.value) for name in ("session_uid", "meeting_id", "platform", "native_meeting_id"))
