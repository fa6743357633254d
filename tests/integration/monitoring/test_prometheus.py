"""A real Prometheus reads functions and a worker, and finds what the alerts and the dashboard ask for."""

import contextlib
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from tests.ports import free_port
from tests.waiting import DEADLINE_S, eventually

from vexa_local.ports import LOOPBACK
from vexa_pool.app import open_worker
from vexa_pool.engine.scripted import LevelDetector, ScriptedModel
from vexa_pool.settings import PoolSettings

METRIC = re.compile(r"\b(?:vexa|http_server)_[a-z_]+")
PART_OF_HISTOGRAM = re.compile(r"_(?:bucket|count|sum)$")
FUNCTIONS = ("collector", "bots")
TICKS = 'http_server_request_duration_seconds_count{{function="{name}",http_route="/internal/tick"}}'
STARTED_WITHIN_S = 60.0
WITHIN_S = 90.0
"""A Prometheus opens its database before it looks for the first time; machines are shared."""
STOPPED_WITHIN_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A function that runs: where it is called, and where it is read."""

    url: str
    metrics: str


class Prometheus:
    """A running one, asked over its API."""

    def __init__(self, url: str) -> None:
        self._client = httpx.Client(base_url=f"{url}/api/v1", timeout=DEADLINE_S, trust_env=False)

    def get(self, path: str, **params: str) -> Any:
        """Return what it tells; nothing while it is starting."""
        with contextlib.suppress(httpx.TransportError):
            answer = self._client.get(path, params=params)
            if answer.is_success:
                return answer.json()["data"]
        return {}

    def value(self, query: str) -> list[tuple[dict[str, str], float]]:
        result = self.get("/query", query=query).get("result", [])
        return [(one["metric"], float(one["value"][1])) for one in result]

    def has(self, query: str, value: float) -> bool:
        """Tell whether a query has this one value."""
        return [found for _, found in self.value(query)] == [value]

    def close(self) -> None:
        self._client.close()


async def test_targets_are_up_rules_evaluate_and_every_metric_exists(
    prometheus: Prometheus, functions: Mapping[str, Served], queries: list[str]
) -> None:
    """What the processes tell is what is asked for, in a scrape and not by their own word."""
    async with httpx.AsyncClient(timeout=DEADLINE_S, trust_env=False) as client:
        for function in functions.values():
            assert (await client.post(f"{function.url}/internal/tick")).status_code == 204
    asked = {metric for query in queries for metric in METRIC.findall(query)}

    await eventually(
        lambda: [up for _, up in prometheus.value("up")] == [1.0] * (len(FUNCTIONS) + 1), within_s=WITHIN_S
    )
    await eventually(lambda: {rule["health"] for rule in _rules(prometheus)} == {"ok"}, within_s=WITHIN_S)

    told = {family["metric"] for family in prometheus.get("/targets/metadata")}
    assert {PART_OF_HISTOGRAM.sub("", metric) for metric in asked} - {_without_part(name) for name in told} == set()
    assert not {rule["name"] for rule in _rules(prometheus) if rule["state"] == "firing"}
    for name in FUNCTIONS:
        await eventually(partial(prometheus.has, TICKS.format(name=name), 1.0), within_s=WITHIN_S)
        ((_, cold_start_s),) = prometheus.value(f'vexa_cold_start_seconds{{function="{name}"}}')
        assert cold_start_s > 0
    assert prometheus.value("vexa_dead_letters")[0][1] == 0
    assert {labels["reason"] for labels, _ in prometheus.value("vexa_coverage_missing_seconds_total")} >= {"bot_lost"}


@pytest.fixture
def functions(postgres_url: str, valkey_url: str, tmp_path: Path) -> Iterator[dict[str, Served]]:
    """The collector and bots as images run them; where they are."""
    nowhere = f"http://{LOOPBACK}:9"
    env = {
        "DATABASE_URL": postgres_url,
        "REDIS_URL": valkey_url,
        "TOKEN_SIGNING_KEY": "a signing key for tests, 32 bytes or more",
        "K_SINK": nowhere,
        "BOT_RUN_DIR": str(tmp_path / "bots"),
        "BOT_MANAGER_URL": nowhere,
        "STREAM_URL": f"ws://{LOOPBACK}:9",
    }
    (tmp_path / "bots").mkdir()
    with contextlib.ExitStack() as stack:
        yield {name: stack.enter_context(_serving(name, env, tmp_path)) for name in FUNCTIONS}


@pytest.fixture
async def worker() -> AsyncIterator[str]:
    """A worker for plain clients; where it is."""
    settings = PoolSettings.from_env({"WHISPER_MODEL": "scripted", "PORT": "0"})
    async with open_worker(settings, ScriptedModel(()), LevelDetector) as port:
        yield f"{LOOPBACK}:{port}"


@pytest.fixture
async def prometheus(
    prometheus_program: str, rules_file: Path, functions: Mapping[str, Served], worker: str, tmp_path: Path
) -> AsyncIterator[Prometheus]:
    """One that looks every second, as the component tells the operator's, but for the time between."""
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(rules_file)],
        "scrape_configs": [
            {"job_name": "pool", "static_configs": [{"targets": [worker]}]},
            {
                "job_name": "functions",
                "static_configs": [
                    {"targets": [function.metrics], "labels": {"function": name}}
                    for name, function in functions.items()
                ],
            },
        ],
    }
    (tmp_path / "prometheus.yaml").write_text(yaml.safe_dump(config))
    port = free_port()
    command = [
        prometheus_program,
        f"--config.file={tmp_path / 'prometheus.yaml'}",
        f"--storage.tsdb.path={tmp_path / 'tsdb'}",
        f"--web.listen-address={LOOPBACK}:{port}",
    ]
    with _running(command, log=tmp_path / "prometheus.log"):
        opened = Prometheus(f"http://{LOOPBACK}:{port}")
        yield opened
        opened.close()


@contextlib.contextmanager
def _serving(name: str, env: Mapping[str, str], folder: Path) -> Iterator[Served]:
    port, metrics_port = free_port(), free_port()
    command = [sys.executable, "-m", "uvicorn", f"vexa_functions.{name}.asgi:app", "--port", str(port)]
    told = [f"{variable}={value}" for variable, value in {**env, "METRICS_PORT": str(metrics_port)}.items()]
    with _running(["env", *told, *command], log=folder / f"{name}.log"):
        url = f"http://{LOOPBACK}:{port}"
        _wait_until_it_answers(f"{url}/healthz")
        yield Served(url=url, metrics=f"{LOOPBACK}:{metrics_port}")


def _wait_until_it_answers(url: str) -> None:
    deadline = time.monotonic() + STARTED_WITHIN_S
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.TransportError):
            httpx.get(url, timeout=5)
            return
        time.sleep(0.05)
    pytest.fail(f"{url} does not answer")


@contextlib.contextmanager
def _running(command: list[str], *, log: Path) -> Iterator[None]:
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out)
    try:
        yield
    finally:
        process.terminate()
        process.wait(timeout=STOPPED_WITHIN_S)


def _without_part(name: str) -> str:
    return PART_OF_HISTOGRAM.sub("", name)


def _rules(prometheus: Prometheus) -> list[dict[str, Any]]:
    return [rule for group in prometheus.get("/rules").get("groups", []) for rule in group["rules"]]
