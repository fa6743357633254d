"""What a worker refuses to start with."""

import pytest

from vexa_events.errors import InvalidMessage
from vexa_pool.settings import PoolSettings

STORING = {"REDIS_URL": "redis://localhost", "K_SINK": "http://localhost/", "TOKEN_SIGNING_KEY": "k" * 32}


def test_every_fault_is_named_at_once() -> None:
    """Nobody has to start a worker three times to learn three faults."""
    with pytest.raises(InvalidMessage) as refused:
        PoolSettings.from_env({"PORT": "many", "POOL_SLOTS": "0"})

    assert all(name in str(refused.value) for name in ("WHISPER_MODEL", "PORT", "POOL_SLOTS"))


@pytest.mark.parametrize("missing", STORING)
def test_storing_needs_all_of_its_settings(missing: str) -> None:
    """Half of what storing needs is a mistake, not a plain worker."""
    env = {"WHISPER_MODEL": "m", **{name: value for name, value in STORING.items() if name != missing}}

    with pytest.raises(InvalidMessage, match=missing):
        PoolSettings.from_env(env)


def test_a_wrong_value_is_not_repeated() -> None:
    """A secret in the wrong variable does not reach the log."""
    with pytest.raises(InvalidMessage) as refused:
        PoolSettings.from_env({"WHISPER_MODEL": "m", **STORING, "TOKEN_SIGNING_KEY": "hush"})

    assert "hush" not in str(refused.value)


def test_recordings_are_taken_from_nobody_unknown_beside_stored_streams() -> None:
    """A worker that asks bots for tokens asks senders of recordings for a key."""
    env = {"WHISPER_MODEL": "m", "REST_PORT": "8000", **STORING}

    with pytest.raises(InvalidMessage, match="REST_API_KEY"):
        PoolSettings.from_env(env)

    assert PoolSettings.from_env({**env, "REST_API_KEY": "k" * 16}).rest_port == 8000
