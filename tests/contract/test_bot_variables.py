"""Every variable that a bot reads reaches it, whatever launches it, and is written down."""

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from vexa_bot.settings import BotSettings
from vexa_events.errors import InvalidMessage
from vexa_events.launch import ORDER_VARIABLE, TOKEN_VARIABLE, BotOptions, BotOrder
from vexa_functions.bots.deps import bot_env
from vexa_functions.bots.settings import BotsSettings

CHECKOUT = Path(__file__).resolve().parents[2]
GIVEN = {ORDER_VARIABLE, TOKEN_VARIABLE, "BOT_MANAGER_URL", "STREAM_URL", "VEXA_REPLAY_DIR", "LOG_LEVEL"}
"""What the bots function says of itself to each bot."""
NECESSARY = {
    "DATABASE_URL": "postgresql://vexa@127.0.0.1:9/vexa",
    "REDIS_URL": "redis://127.0.0.1:9",
    "TOKEN_SIGNING_KEY": "a signing key for tests, 32 bytes or more",
    "K_SINK": "http://127.0.0.1:9",
    "BOT_MANAGER_URL": "http://127.0.0.1:9/",
    "STREAM_URL": "ws://127.0.0.1:9/",
    "BOT_RUN_DIR": "/nowhere",
    "VEXA_REPLAY_DIR": "/recordings",
    "LOG_LEVEL": "WARNING",
}
UNLIKE_THE_DEFAULT = {
    "CHROMIUM_PATH": "/opt/chromium",
    "CHROMIUM_FLAGS": "--proxy-server='http://proxy:3128'",
    "CHROMIUM_SANDBOX": "True",
    "JANUS_PAGE_URL": "https://janus.example.org/demos/",
    "BOT_BUFFER_MAX_BYTES": "64000",
}
"""Beside the numbers of seconds, which may all be 1."""


def test_every_option_of_a_bot_is_handed_on() -> None:
    """A bot that reads another variable than these would find it on no launcher but by chance."""
    assert variables(BotSettings) == variables(BotOptions) | GIVEN
    assert variables(BotOptions) <= variables(BotsSettings)


def test_a_bot_reads_what_was_set_for_the_bots_function() -> None:
    """Each option arrives with its value."""
    wanted = {name: UNLIKE_THE_DEFAULT.get(name, "1") for name in variables(BotOptions)}
    order = BotOrder(session_uid="s", meeting_id=1, platform="replay", native_meeting_id="standup")

    env = bot_env(BotsSettings.from_env(NECESSARY | wanted)) | order.to_env() | {TOKEN_VARIABLE: "token"}
    read = BotSettings.from_env(env)

    assert set(env) == variables(BotSettings)
    assert {name: str(value) for name, value in options(read).items()} == {
        name: value if name in UNLIKE_THE_DEFAULT else "1.0" for name, value in wanted.items()
    }


def test_a_bot_is_told_nothing_that_was_not_set() -> None:
    """An image's own CHROMIUM_PATH holds, and so do the defaults of the bot's version."""
    assert set(bot_env(BotsSettings.from_env(NECESSARY))) == GIVEN - {ORDER_VARIABLE, TOKEN_VARIABLE}


def test_a_wrong_option_stops_the_function() -> None:
    """Otherwise every bot would end before its first word."""
    with pytest.raises(InvalidMessage, match="BOT_MAX_AGE_S"):
        BotsSettings.from_env(NECESSARY | {"BOT_MAX_AGE_S": "0"})


def test_every_option_is_written_down() -> None:
    """In the table of the bot's README, and none that there is not."""
    table = (CHECKOUT / "bot" / "README.md").read_text().partition("## Its options")[2].partition("\n## ")[0]

    assert set(re.findall(r"`([A-Z][A-Z_]+)`", table)) == variables(BotOptions)


def variables(model: type[BaseModel]) -> set[str]:
    return {field.alias or name for name, field in model.model_fields.items()}


def options(settings: BotSettings) -> dict[str, object]:
    return {field.alias or name: getattr(settings, name) for name, field in BotOptions.model_fields.items()}
