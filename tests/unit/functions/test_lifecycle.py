"""Which state of a session may follow which."""

import pytest

from vexa_events.identity import BotStatus
from vexa_functions.bots.lifecycle import may_follow


@pytest.mark.parametrize("ended", [BotStatus.COMPLETED, BotStatus.FAILED])
@pytest.mark.parametrize("following", list(BotStatus))
def test_nothing_follows_an_end(ended: BotStatus, following: BotStatus) -> None:
    """A bot that reports late cannot bring its session back, nor change how it ended."""
    assert not may_follow(ended, following)


@pytest.mark.parametrize(
    ("current", "following", "allowed"),
    [
        (BotStatus.REQUESTED, BotStatus.JOINING, True),
        (BotStatus.REQUESTED, BotStatus.FAILED, True),
        (BotStatus.JOINING, BotStatus.ACTIVE, True),
        (BotStatus.STOPPING, BotStatus.COMPLETED, True),
        (BotStatus.STOPPING, BotStatus.ACTIVE, False),
        (BotStatus.ACTIVE, BotStatus.JOINING, False),
        (BotStatus.ACTIVE, BotStatus.ACTIVE, False),
    ],
)
def test_states_only_go_forward(current: BotStatus, following: BotStatus, allowed: bool) -> None:
    """A stop that was stored stays a stop, whatever a booting bot still reports."""
    assert may_follow(current, following) is allowed
