"""The files of a stack."""

from pathlib import Path

import pytest

from vexa_local.errors import StartFailed
from vexa_local.state import State, read_env_file, write_env_file


@pytest.fixture
def state(tmp_path: Path) -> State:
    stack = State(tmp_path / ".vexa")
    stack.prepare()
    return stack


def test_secrets_are_made_once(state: State) -> None:
    """A restart must not shut out the keys and tokens that are in use."""
    first = state.secrets()

    assert state.secrets() == first
    assert len(first.token_signing_key.encode()) >= 32
    assert len({first.admin_api_key, first.token_signing_key, first.postgres_password}) == 3


def test_only_the_owner_may_read_secrets(state: State) -> None:
    """They open everything on this machine."""
    state.secrets()

    assert (state.folder / "secrets").stat().st_mode & 0o777 == 0o600
    assert state.folder.stat().st_mode & 0o777 == 0o700


def test_an_env_file_reads_back_as_written(tmp_path: Path) -> None:
    """Values may hold what looks like a separator."""
    values = {"DATABASE_URL": "postgresql://a:b=c@h/d", "EMPTY": ""}

    write_env_file(tmp_path / "env", values)

    assert read_env_file(tmp_path / "env") == values
    assert read_env_file(tmp_path / "absent") == {}


def test_a_stack_runs_once(state: State) -> None:
    """Two stacks on one folder would spoil each other's data."""
    with state.locked():
        assert state.is_running()
        with pytest.raises(StartFailed, match="--port-offset"), state.locked():
            pass

    assert not state.is_running()


def test_each_offset_has_a_state_of_its_own() -> None:
    """So several stacks run side by side."""
    assert State.at_offset(0).folder.name == ".vexa"
    assert State.at_offset(100).folder == State.at_offset(0).folder / "offset-100"
