"""Real Postgres and Valkey for every test that asks; started once a run, clean for each test."""

import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import pytest
import redis
from tests.ports import free_port

from vexa_local.errors import StartFailed
from vexa_local.packages import postgres_program
from vexa_local.ports import LOOPBACK, Ports, require_free
from vexa_local.postgres import PostgresServer
from vexa_local.servers import running
from vexa_local.valkey import ValkeyServer

_MIGRATE = "vexa_functions.store.migrate"
_TEMPLATE = "migrated"
_TIMEOUT_S = 30.0
_DOCKER_TIMEOUT_S = 300.0
_numbers = itertools.count(1)

# Stacks at offsets that differ by a multiple of the step share no port, the chaos harness's links included; the last
# port stays below those that the kernel gives to whoever asks for any.
_OFFSETS = range(10_000, 22_000, 231)
_PORTS_ABOVE = (0, 1, 2, 3, 4, 100, 300, 600)


class Databases:
    """Databases with the migrated schema, each made while the test before it runs."""

    def __init__(self, server: PostgresServer, template: str) -> None:
        self._server = server
        self._template = template
        self._worker = ThreadPoolExecutor(max_workers=1)
        self._next = self._worker.submit(self._make)

    def take(self) -> str:
        """Return the name of a database that nobody has used."""
        name, self._next = self._next.result(timeout=_TIMEOUT_S), self._worker.submit(self._make)
        return name

    def give_back(self, name: str) -> None:
        """Drop a database, some time."""
        self._worker.submit(_drop, self._server, name)

    def close(self) -> None:
        """Wait until all is made and dropped."""
        self._worker.shutdown()

    def _make(self) -> str:
        return _create(self._server, template=self._template)


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """One Postgres for the whole run; forgetful, therefore fast."""
    base = tmp_path_factory.mktemp("postgres")
    server = PostgresServer(
        data_dir=base / "data", port=free_port(), password="test", durable=False, max_connections=200
    )
    with running(server, log_file=base / "log"):
        yield server


@pytest.fixture(scope="session")
def migrated_template(postgres_server: PostgresServer) -> str:
    """The name of a database that holds the migrated schema and no rows."""
    _sql(postgres_server, f"CREATE DATABASE {_TEMPLATE}")
    if find_spec(_MIGRATE) is not None:
        url = postgres_server.url_of(_TEMPLATE)
        subprocess.run(
            ["env", f"DATABASE_URL={url}", sys.executable, "-m", _MIGRATE],
            check=True,
            timeout=_TIMEOUT_S,
            stdout=subprocess.DEVNULL,
        )
    return _TEMPLATE


@pytest.fixture(scope="session")
def databases(postgres_server: PostgresServer, migrated_template: str) -> Iterator[Databases]:
    """Where tests get their databases."""
    made = Databases(postgres_server, migrated_template)
    yield made
    made.close()


@pytest.fixture
def postgres_url(postgres_server: PostgresServer, databases: Databases) -> Iterator[str]:
    """The address of a migrated database that only this test uses."""
    name = databases.take()
    yield postgres_server.url_of(name)
    databases.give_back(name)


@pytest.fixture
def empty_postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """The address of a database without any table, for tests of the migrations."""
    name = _create(postgres_server, template="template0")
    yield postgres_server.url_of(name)
    _drop(postgres_server, name)


@pytest.fixture(scope="session")
def valkey_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    """One Valkey for the whole run; it keeps nothing on disk."""
    base = tmp_path_factory.mktemp("valkey")
    with running(ValkeyServer(data_dir=base, port=free_port(), durable=False), log_file=base / "log") as server:
        yield server


@pytest.fixture
def valkey_url(valkey_server: ValkeyServer) -> str:
    """The address of a Valkey that is empty as the test begins."""
    with redis.Redis.from_url(valkey_server.url) as client:
        client.flushall()
    return valkey_server.url


@pytest.fixture(scope="session")
def free_port_offset(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], int]:
    """Finds an offset for a whole stack at which nothing listens; no two tests of a run get the same."""
    taken = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        taken = taken.parent

    def find() -> int:
        for offset in _OFFSETS:
            ports = Ports.at_offset(offset)
            try:
                for name in Ports.__slots__:
                    for above in _PORTS_ABOVE:
                        require_free(getattr(ports, name) + above, LOOPBACK, within_s=0.0)
                (taken / f"offset-{offset}").mkdir()
            except (StartFailed, FileExistsError):
                continue
            return offset
        pytest.fail("no free ports")

    return find


@pytest.fixture(scope="session")
def meetings_dir() -> Path:
    """The recorded meetings that come with the checkout."""
    return Path(__file__).resolve().parent.parent / "local-dev" / "meetings"


@pytest.fixture(scope="session")
def docker_base() -> str:
    """The image that ours start from, on a Docker engine that answers; started and made here in CI."""
    scripts = Path(__file__).resolve().parent / "docker-engine"
    if not _answers("docker", "version") and not os.environ.get("CI"):
        pytest.skip(f"no Docker engine answers; as root, {scripts / 'start-engine'} starts one")
    for script in ("start-engine", "make-base"):
        subprocess.run([str(scripts / script)], check=True, timeout=_DOCKER_TIMEOUT_S)
    return "python:3.11-slim-bookworm"


def _answers(*command: str) -> bool:
    try:
        return subprocess.run(command, capture_output=True, timeout=_TIMEOUT_S, check=False).returncode == 0
    except FileNotFoundError:
        return False


def _create(server: PostgresServer, *, template: str) -> str:
    name = f"test_{next(_numbers)}"
    _sql(server, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
    return name


def _drop(server: PostgresServer, name: str) -> None:
    _sql(server, f"DROP DATABASE {name} WITH (FORCE)")


def _sql(server: PostgresServer, statement: str) -> None:
    command = [str(postgres_program("psql")), "--no-psqlrc", "--quiet", "--dbname", server.url, "--command", statement]
    subprocess.run(command, check=True, timeout=_TIMEOUT_S)
