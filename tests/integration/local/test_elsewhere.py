"""Stores that run elsewhere, before a stack starts on them."""

from pathlib import Path

import pytest
from tests.ports import free_port

from vexa_local.cli import main
from vexa_local.elsewhere import require_answers, require_foreign
from vexa_local.errors import StartFailed
from vexa_local.ports import LOOPBACK, Ports
from vexa_local.settings import LocalSettings
from vexa_local.stack import Stack
from vexa_local.state import Secrets, State

SECRETS = Secrets(admin_api_key="a" * 43, token_signing_key="t" * 43, postgres_password="p")


def a_stack(env: dict[str, str], *, offset: int = 0) -> Stack:
    return Stack(
        settings=LocalSettings.from_env(env),
        state=State(Path("/nowhere")),
        ports=Ports.at_offset(offset),
        secrets=SECRETS,
    )


@pytest.mark.parametrize("offset", [0, 300])
def test_another_local_stacks_database_is_refused(offset: int) -> None:
    """A shell that has read the other stack's variables would mix the two."""
    other = f"postgresql://vexa:other@127.0.0.1:{5438 + offset}/postgres"

    with pytest.raises(StartFailed, match=rf"DATABASE_URL names port {5438 + offset}.*another local stack"):
        require_foreign(a_stack({"DATABASE_URL": other}, offset=100))


def test_another_local_stacks_valkey_is_refused() -> None:
    """Live transcripts of two stacks would meet there."""
    with pytest.raises(StartFailed, match="REDIS_URL names port 6388"):
        require_foreign(a_stack({"REDIS_URL": "redis://127.0.0.1:6388/0"}, offset=100))


@pytest.mark.parametrize(
    "env",
    [
        {"DATABASE_URL": "postgresql://u:p@127.0.0.1:5432/vexa", "REDIS_URL": "redis://127.0.0.1:6379/0"},
        {"DATABASE_URL": "postgresql://u:p@127.0.0.1:15432/vexa", "REDIS_URL": "redis://localhost:16379/0"},
        {"DATABASE_URL": "postgresql://vexa:p@db:5438/postgres", "REDIS_URL": "redis://cache:6388/0"},
        {},
    ],
)
def test_other_stores_are_nobodys_stack(env: dict[str, str]) -> None:
    """Only the addresses that a local stack hands out are refused."""
    require_foreign(a_stack(env, offset=100))


def test_a_stacks_own_addresses_are_its_own() -> None:
    """Its `env` may be read before it is started again."""
    own = a_stack({}, offset=100).addresses

    require_foreign(a_stack({"DATABASE_URL": own.database, "REDIS_URL": own.valkey}, offset=100))


async def test_stores_that_answer_are_taken(postgres_url: str, valkey_url: str) -> None:
    """There is nothing to say about them."""
    await require_answers(a_stack({"DATABASE_URL": postgres_url, "REDIS_URL": valkey_url}))


async def test_a_wrong_password_is_told_in_a_line_without_it(postgres_url: str) -> None:
    """The variable is named, and no secret."""
    url = postgres_url.replace(":test@", ":guess@")

    with pytest.raises(StartFailed, match=r"^DATABASE_URL: password authentication failed") as refused:
        await require_answers(a_stack({"DATABASE_URL": url}))

    assert "guess" not in str(refused.value)


@pytest.mark.parametrize("variable", ["DATABASE_URL", "REDIS_URL"])
async def test_a_store_that_is_not_there_is_named(variable: str) -> None:
    """One line, no traceback."""
    scheme = {"DATABASE_URL": "postgresql://u:guess@", "REDIS_URL": "redis://:guess@"}[variable]

    with pytest.raises(StartFailed, match=rf"^{variable}: ") as refused:
        await require_answers(a_stack({variable: f"{scheme}{LOOPBACK}:{free_port()}/0"}))

    assert "guess" not in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_refused_offset_leaves_nothing_behind(capsys: pytest.CaptureFixture[str]) -> None:
    """A folder of its state would stay for ever."""
    assert main(["up", "--port-offset", "-1"]) == 1

    assert "between 0 and" in capsys.readouterr().err
    assert not State.at_offset(-1).folder.exists()
