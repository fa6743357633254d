"""What a bot reads from its environment."""

import pytest

from vexa_bot.settings import BotSettings
from vexa_events.errors import InvalidMessage
from vexa_events.launch import ORDER_VARIABLE, TOKEN_VARIABLE, BotOrder

ORDER = BotOrder(session_uid="s1", meeting_id=7, platform="replay", native_meeting_id="standup")
ENV = {
    **ORDER.to_env(),
    TOKEN_VARIABLE: "a-secret-token",
    "BOT_MANAGER_URL": "http://127.0.0.1:8058",
    "STREAM_URL": "ws://127.0.0.1:9090",
}


def test_the_order_is_read_as_it_was_written() -> None:
    """The launcher's spelling is the bot's."""
    settings = BotSettings.from_env(ENV | {"PATH": "/bin", "VEXA_REPLAY_DIR": ""})

    assert settings.order == ORDER
    assert settings.replay_dir is None


def test_every_fault_is_named_at_once_and_no_value_is_shown() -> None:
    """One look at the log is enough to mend the launcher."""
    env = {ORDER_VARIABLE: '{"session_uid": "secret-uid"}', TOKEN_VARIABLE: "a-secret-token", "STREAM_URL": "http://x"}

    with pytest.raises(InvalidMessage) as caught:
        BotSettings.from_env(env)

    told = str(caught.value)
    for name in ("VEXA_BOT_ORDER.meeting_id", "VEXA_BOT_ORDER.platform", "BOT_MANAGER_URL", "STREAM_URL"):
        assert name in told
    assert "secret" not in told


def test_the_token_is_never_spelled_out() -> None:
    """Logging the settings by mistake gives nothing away."""
    assert "a-secret-token" not in repr(BotSettings.from_env(ENV))
