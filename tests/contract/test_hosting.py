"""Every function serves the same routes under the bare functions-framework command and in its shell."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.benchmarks.stage import Databases, new_key, open_meeting
from tests.ports import free_port
from tests.waiting import DEADLINE_S
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

import vexa_functions

ROOT = Path(vexa_functions.__file__).parent
PROGRAMS = Path(sys.executable).parent
STARTED_WITHIN_S = 60.0
FUNCTIONS = ("admin", "bots", "collector", "dead_letters", "gateway", "webhooks")
REFUSED = {
    "admin": ("GET", "/admin/users", 401),
    "bots": ("GET", "/bots/status", 401),
    "collector": ("POST", "/events", 422),
    "dead_letters": ("GET", "/admin/dead-letters", 401),
    "gateway": ("GET", "/meetings", 401),
    "webhooks": ("GET", "/user/webhook", 401),
}
"""One request a function that reaches its own code: method, path, status."""


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_bare_command_serves_the_function(name: str, environment: dict[str, str]) -> None:
    """`functions-framework --source … --target …` needs nothing of our shell."""
    source = str(ROOT / name / "main.py")
    port = free_port()
    command = [str(PROGRAMS / "functions-framework"), "--source", source, "--target", name, "--port", str(port)]
    with serving(command, environment, port=port) as url:
        answer = refused(url, name)

    assert answer.json()["detail"]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_shell_serves_the_function_and_its_health(name: str, environment: dict[str, str]) -> None:
    """Images and local-dev run it so."""
    port = free_port()
    with serving(in_shell(name, port), environment, port=port) as url:
        answer = refused(url, name)
        health = httpx.get(f"{url}/healthz", timeout=DEADLINE_S)

    assert answer.json()["detail"]
    assert (health.status_code, health.text) == (200, "ok")


@pytest.mark.parametrize("name", ["gateway", "collector", "dead_letters"])
def test_prometheus_reads_at_a_port_that_users_do_not_reach(name: str, environment: dict[str, str]) -> None:
    """Requests are told by their route, and the function's own port tells nothing."""
    port, metrics_port = free_port(), free_port()
    with serving(in_shell(name, port), environment | {"METRICS_PORT": str(metrics_port)}, port=port) as url:
        refused(url, name)
        at_own_port = httpx.get(f"{url}/metrics", timeout=DEADLINE_S)
        told = httpx.get(f"http://127.0.0.1:{metrics_port}/metrics", timeout=DEADLINE_S).text

    method, path, status = REFUSED[name]
    labels = {"http_request_method": method, "http_route": path, "http_response_status_code": str(status)}
    assert "http_server" not in at_own_port.text
    assert labels in [
        sample.labels
        for family in text_string_to_metric_families(told)
        for sample in family.samples
        if sample.name == "http_server_request_duration_seconds_count"
    ]


def test_no_key_is_logged_when_a_watcher_comes(environment: dict[str, str], tmp_path: Path) -> None:
    """A browser can give its key in the address of `/ws` alone, and servers like to log addresses."""
    port, log = free_port(), tmp_path / "log"
    with serving(in_shell("gateway", port), environment, port=port, log=log) as url:
        with connect(f"{url.replace('http', 'ws')}/ws?api_key=vxa_of-a-watcher", close_timeout=5) as socket:
            refused = json.loads(socket.recv(timeout=60))
        httpx.get(f"{url}/meetings", headers={"x-api-key": "vxa_of-a-reader"}, timeout=60)

    assert refused == {"type": "error", "error": "unavailable"}
    assert log.read_text()
    assert "vxa_" not in log.read_text()


async def test_a_message_larger_than_any_order_ends_its_socket(
    environment: dict[str, str], postgres_url: str, valkey_url: str
) -> None:
    """It would be kept whole before it is refused, for each socket that a key may open."""
    port, stores = free_port(), Databases(postgres_url=postgres_url, valkey_url=valkey_url)
    key = await new_key(stores, (await open_meeting(stores, streams=0)).user_id)
    with (
        serving(in_shell("gateway", port), environment | stores.environment, port=port) as url,
        connect(f"{url.replace('http', 'ws')}/ws", additional_headers={"x-api-key": key}) as socket,
    ):
        socket.send('{"action": "ping"}')
        pong = json.loads(socket.recv(timeout=60))
        socket.send("x" * 1_000_000)
        with pytest.raises(ConnectionClosed) as ended:
            socket.recv(timeout=60)

    assert pong["type"] == "pong"
    assert ended.value.rcvd is not None
    assert ended.value.rcvd.code == 1009


@pytest.mark.parametrize("name", FUNCTIONS)
def test_missing_settings_stop_the_process_and_are_all_named(name: str) -> None:
    """A function without its settings does not start, prints no value that was set, and names every fault at once."""
    env = {"PATH": os.environ["PATH"], "LOG_LEVEL": "LOUD", "TOKEN_SIGNING_KEY": "short-secret"}

    command = in_shell(name, free_port())
    ended = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)

    assert ended.returncode != 0
    assert "DATABASE_URL" in ended.stderr
    assert "LOG_LEVEL" in ended.stderr
    assert "short-secret" not in ended.stderr


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Every setting of every function; nothing answers at these addresses."""
    nowhere = "http://127.0.0.1:9"
    return {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": "postgresql://vexa@127.0.0.1:9/vexa",
        "REDIS_URL": "redis://127.0.0.1:9",
        "ADMIN_API_KEY": "an administrator key",
        "TOKEN_SIGNING_KEY": "a signing key for tests, 32 bytes or more",
        "K_SINK": nowhere,
        "ADMIN_API_URL": nowhere,
        "BOT_MANAGER_URL": nowhere,
        "DEAD_LETTERS_URL": nowhere,
        "TRANSCRIPTION_COLLECTOR_URL": nowhere,
        "STREAM_URL": "ws://127.0.0.1:9",
        "BOT_RUN_DIR": str(tmp_path),
    }


def in_shell(name: str, port: int) -> list[str]:
    return [sys.executable, "-m", "vexa_functions", name, "--port", str(port)]


def refused(url: str, name: str) -> httpx.Response:
    method, path, status = REFUSED[name]
    answer = httpx.request(method, url + path, timeout=DEADLINE_S)
    assert answer.status_code == status, answer.text
    return answer


@contextmanager
def serving(command: list[str], env: Mapping[str, str], *, port: int, log: Path = Path(os.devnull)) -> Iterator[str]:
    """Run a server until the block ends, and see it end when told to."""
    with log.open("wb") as out:
        process = subprocess.Popen(command, env=env, stdout=out, stderr=out, start_new_session=True)
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_until_it_answers(process, url)
        yield url
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=30)


def _wait_until_it_answers(process: "subprocess.Popen[bytes]", url: str) -> None:
    deadline = time.monotonic() + STARTED_WITHIN_S
    while time.monotonic() < deadline:
        assert process.poll() is None, "the server ended"
        try:
            httpx.get(f"{url}/", timeout=DEADLINE_S)
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return
    pytest.fail("the server did not start")
