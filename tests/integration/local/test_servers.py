"""The embedded Postgres and Valkey, for real."""

import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import asyncpg
import pytest
import redis
from tests.ports import free_port
from tests.waiting import DEADLINE_S

from vexa_local.errors import StartFailed
from vexa_local.ports import LOOPBACK, require_free
from vexa_local.postgres import PostgresServer
from vexa_local.servers import running
from vexa_local.valkey import ValkeyServer


def a_postgres(base: Path) -> PostgresServer:
    return PostgresServer(data_dir=base / "postgres", port=free_port(), password="secret", durable=False)


async def test_each_test_gets_a_database_of_its_own(postgres_url: str, empty_postgres_url: str) -> None:
    """What one database holds is not seen in another."""
    connection = await asyncpg.connect(postgres_url)
    await connection.execute("CREATE TABLE traces (id int)")
    await connection.close()

    other = await asyncpg.connect(empty_postgres_url)
    found = await other.fetchval("SELECT to_regclass('traces')")
    await other.close()

    assert found is None


async def test_postgres_refuses_a_wrong_password(postgres_server: PostgresServer) -> None:
    """Other users of the machine can reach the port, so the port asks who they are."""
    url = postgres_server.url.replace(":test@", ":guess@")

    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(url)


async def test_postgres_keeps_its_data_across_runs(tmp_path: Path) -> None:
    """The data directory is made once, then used again."""
    server = a_postgres(tmp_path)
    with running(server, log_file=tmp_path / "log"):
        connection = await asyncpg.connect(server.url)
        await connection.execute("CREATE TABLE kept AS SELECT 7 AS number")
        await connection.close()

    with running(server, log_file=tmp_path / "log"):
        connection = await asyncpg.connect(server.url)
        number = await connection.fetchval("SELECT number FROM kept")
        await connection.close()

    assert number == 7


def test_postgres_stops_a_server_that_outlived_its_supervisor(tmp_path: Path) -> None:
    """A server left over from a killed run gives way to the next one."""
    server = a_postgres(tmp_path)
    server.prepare()
    left_over = subprocess.Popen(server.command(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until_ready(server)

    with running(server, log_file=tmp_path / "log"):
        assert server.is_ready()
        assert left_over.wait(timeout=DEADLINE_S) == 0


def test_postgres_ignores_the_lock_of_a_process_that_is_not_postgres(tmp_path: Path) -> None:
    """Process numbers are used again: a lock that names a stranger is stale."""
    server = a_postgres(tmp_path)
    server.prepare()
    stranger = subprocess.Popen(["sleep", "60"])
    try:
        (server.data_dir / "postmaster.pid").write_text(f"{stranger.pid}\n{server.data_dir}\n")
        with running(server, log_file=tmp_path / "log"):
            assert server.is_ready()
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_postgres_works_below_a_private_directory(tmp_path: Path) -> None:
    """A checkout in a directory that only its owner may enter is a usual case."""
    private = tmp_path / "private"
    private.mkdir(mode=0o700)

    with running(a_postgres(private), log_file=tmp_path / "log") as server:
        assert server.is_ready()


def test_postgres_comes_back_after_being_killed(tmp_path: Path) -> None:
    """No clean-up by hand is needed after a crash."""
    server = a_postgres(tmp_path)
    server.prepare()
    process = subprocess.Popen(server.command(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until_ready(server)
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=DEADLINE_S)

    with running(server, log_file=tmp_path / "log"):
        assert server.is_ready()


def test_valkey_keeps_its_data_when_it_is_killed(tmp_path: Path) -> None:
    """Every answered write survives a kill: the Broker's promise stands on it."""
    server = ValkeyServer(data_dir=tmp_path / "valkey", port=free_port())
    server.prepare()
    process = subprocess.Popen(server.command(), stdout=subprocess.DEVNULL)
    wait_until_ready(server)
    with redis.Redis.from_url(server.url) as client:
        client.set("kept", "7")
    process.kill()
    process.wait(timeout=DEADLINE_S)

    with running(server, log_file=tmp_path / "log"), redis.Redis.from_url(server.url) as client:
        kept = client.get("kept")

    assert kept == b"7"


def test_valkey_is_empty_at_the_start_of_a_test(valkey_url: str) -> None:
    """Tests share the server, not its keys."""
    with redis.Redis.from_url(valkey_url) as client:
        assert client.dbsize() == 0


def test_a_server_that_ends_at_once_is_reported_with_its_own_words(tmp_path: Path) -> None:
    """The reason stands in the server's log, so the error repeats it."""
    server = a_postgres(tmp_path)
    server.prepare()
    (server.data_dir / "PG_VERSION").write_text("9.6\n")

    with (
        pytest.raises(StartFailed, match="not compatible with this version"),
        running(server, log_file=tmp_path / "log"),
    ):
        pass


def test_a_taken_port_is_named_with_a_way_out(postgres_server: PostgresServer) -> None:
    """Ports are taken on many machines; the message must help."""
    port = postgres_server.port

    with pytest.raises(StartFailed, match=rf"port {port} \(gateway\).*--port-offset"):
        require_free(port, "gateway")


def test_a_port_that_is_let_go_in_a_moment_is_free() -> None:
    """Whoever is just ending, or was started beside whoever looked, holds it a little longer."""
    with socket.socket() as holder:
        holder.bind((LOOPBACK, 0))
        port = holder.getsockname()[1]
        letting_go = threading.Timer(0.2, holder.close)
        letting_go.start()

        require_free(port, "gateway")

    letting_go.join()


def wait_until_ready(server: PostgresServer | ValkeyServer) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not server.is_ready():
        assert time.monotonic() < deadline
        time.sleep(0.02)
