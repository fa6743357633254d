"""What a stack consists of."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from vexa_local.errors import StartFailed
from vexa_local.parts import PartSpec
from vexa_local.ports import Ports
from vexa_local.settings import LocalSettings
from vexa_local.stack import FUNCTIONS, Stack
from vexa_local.state import Secrets, State

SECRETS = Secrets(admin_api_key="a" * 43, token_signing_key="t" * 43, postgres_password="p")


def a_stack(*, offset: int = 0, **env: str) -> Stack:
    return Stack(
        settings=LocalSettings.from_env(env),
        state=State(Path("/nowhere")),
        ports=Ports.at_offset(offset),
        secrets=SECRETS,
    )


def parts(stack: Stack) -> dict[str, PartSpec]:
    return {part.name: part for stage in stack.stages() for part in stage if isinstance(part, PartSpec)}


def test_everything_runs_on_its_documented_port() -> None:
    """Those are the ports that people find written down."""
    ports = {name: part.port for name, part in parts(a_stack()).items()}

    documented = {"gateway": 8056, "admin": 8057, "collector": 8123, "pool": 9090, "postgres": 5438}
    assert {name: ports[name] for name in documented} == documented
    assert set(ports) == {*FUNCTIONS, "pool", "broker", "postgres", "valkey"}
    assert len(set(ports.values())) == len(ports)


def test_an_offset_moves_every_port_and_address() -> None:
    """Nothing of a second stack may reach the first."""
    first, second = a_stack(), a_stack(offset=100)

    moved = {name: part.port - 100 for name, part in parts(second).items()}
    assert moved == {name: part.port for name, part in parts(first).items()}
    assert second.addresses.gateway == "http://127.0.0.1:8156"
    assert second.addresses.stream == "ws://127.0.0.1:9190"


def test_several_workers_stand_behind_a_balancer() -> None:
    """Bots go on connecting to the pool's port."""
    two = parts(replace(a_stack(), workers=2))

    assert [two[name].port for name in ("pool", "worker-1", "worker-2")] == [9090, 9091, 9092]
    assert "envoy" in two["pool"].command[0]
    assert two["worker-2"].environment["PORT"] == "9092"


@pytest.mark.parametrize("offset", [-1, 50_001])
def test_an_offset_without_ports_is_refused(offset: int) -> None:
    """Beyond lie no port numbers."""
    with pytest.raises(StartFailed, match="between 0 and"):
        Ports.at_offset(offset)


def test_stores_that_run_elsewhere_are_used() -> None:
    """The embedded ones stay down then."""
    stack = a_stack(DATABASE_URL="postgresql://u:p@db/vexa", REDIS_URL="redis://cache:6379/0")

    assert not {"postgres", "valkey"} & set(parts(stack))
    assert parts(stack)["collector"].environment["DATABASE_URL"] == "postgresql://u:p@db/vexa"
    assert parts(stack)["broker"].environment["REDIS_URL"] == "redis://cache:6379/0"


def test_the_stacks_own_addresses_are_not_elsewhere() -> None:
    """A shell that sourced `.vexa/env` names the embedded stores."""
    own = a_stack().addresses

    again = a_stack(DATABASE_URL=own.database, REDIS_URL=own.valkey)

    assert {"postgres", "valkey"} <= set(parts(again))


def test_the_broker_can_resolve_every_service() -> None:
    """Services are spelled with hyphens, packages with underscores."""
    urls = json.loads(parts(a_stack())["broker"].environment["SERVICE_URLS"])

    assert urls["dead-letters"] == a_stack().addresses.dead_letters
    assert len(urls) == len(FUNCTIONS)


def test_the_administrators_key_goes_where_it_is_checked() -> None:
    """The Broker's console lists and redrives dead letters with it; no other process needs it."""
    holders = {name for name, part in parts(a_stack()).items() if "ADMIN_API_KEY" in part.environment}

    assert holders == {"admin", "broker", "dead_letters"}
