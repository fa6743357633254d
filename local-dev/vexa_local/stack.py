"""What a local stack consists of: which processes, with which settings, in which order."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
from pydantic import PostgresDsn, RedisDsn

from vexa_functions.bots.settings import BotsSettings
from vexa_local.errors import StartFailed
from vexa_local.packages import envoy_program, model_directory
from vexa_local.parts import PartSpec
from vexa_local.ports import LOOPBACK, Ports
from vexa_local.postgres import PostgresServer
from vexa_local.servers import Server
from vexa_local.settings import LocalSettings, inherited_environment
from vexa_local.state import CHECKOUT, Secrets, State
from vexa_local.supervisor import Stage
from vexa_local.valkey import ValkeyServer
from vexa_pool.balancer.config import Balancer, Worker, render

FUNCTIONS = ("gateway", "admin", "bots", "collector", "webhooks", "dead_letters")
"""Packages below vexa_functions; a Knative Service spells an underscore as a hyphen."""
_MIGRATE_TIMEOUT_S = 60.0
_MODEL_LOAD_S = 120.0
_ENVOY_OPTIONS = ("--disable-hot-restart", "--concurrency", "1", "--log-level", "warning")


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """Where the parts of one stack are reached."""

    gateway: str
    admin: str
    bots: str
    collector: str
    webhooks: str
    dead_letters: str
    broker: str
    sink: str
    stream: str
    database: str
    valkey: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """A whole stack, described but not running."""

    settings: LocalSettings
    state: State
    ports: Ports
    secrets: Secrets
    workers: int = 1
    """Of the pool; several get a balancer in front of them, on the pool's port."""
    under_framework: bool = False
    """Functions run under the framework's own command; the gateway does not, for it has a WebSocket."""

    @property
    def addresses(self) -> Addresses:
        """Spell every address; what runs elsewhere keeps its own."""
        http = f"http://{LOOPBACK}"
        postgres, valkey = self._postgres(), self._valkey()
        return Addresses(
            gateway=f"{http}:{self.ports.gateway}",
            admin=f"{http}:{self.ports.admin}",
            bots=f"{http}:{self.ports.bots}",
            collector=f"{http}:{self.ports.collector}",
            webhooks=f"{http}:{self.ports.webhooks}",
            dead_letters=f"{http}:{self.ports.dead_letters}",
            broker=f"{http}:{self.ports.broker}",
            sink=f"{http}:{self.ports.broker}/vexa/default",
            stream=f"ws://{LOOPBACK}:{self.ports.pool}",
            database=postgres.url if postgres else str(self.settings.database_url),
            valkey=valkey.url if valkey else str(self.settings.redis_url),
        )

    @property
    def elsewhere(self) -> tuple[PostgresDsn | None, RedisDsn | None]:
        """Tell which Postgres and which Valkey are used in place of the embedded ones."""
        database = self.settings.database_url if self._postgres() is None else None
        return database, self.settings.redis_url if self._valkey() is None else None

    @property
    def replay_dir(self) -> Path:
        """Where the recorded meetings lie."""
        return (self.settings.replay_dir or CHECKOUT / "local-dev" / "meetings").resolve()

    def bots_settings(self, **other: str) -> BotsSettings:
        """Return what the bots function reads, `other` above all; raise InvalidMessage naming what is wrong."""
        return BotsSettings.from_env({**inherited_environment(), **self._function_environment("bots"), **other})

    def stages(self) -> list[Stage]:
        """List what starts side by side, and what waits for what."""
        stores = [_server_part(server) for server in (self._postgres(), self._valkey()) if server is not None]
        functions = [self._function(name) for name in FUNCTIONS]
        return [stores, [self._migrate, self._broker()], [*self._pool(), *functions]]

    def _postgres(self) -> PostgresServer | None:
        own = PostgresServer(
            data_dir=self.state.postgres_dir, port=self.ports.postgres, password=self.secrets.postgres_password
        )
        given = self.settings.database_url
        return own if given is None or str(given) == own.url else None

    def _valkey(self) -> ValkeyServer | None:
        own = ValkeyServer(data_dir=self.state.valkey_dir, port=self.ports.valkey)
        given = self.settings.redis_url
        return own if given is None or str(given) == own.url else None

    def _migrate(self) -> None:
        command = [
            "env",
            f"DATABASE_URL={self.addresses.database}",
            sys.executable,
            "-m",
            "vexa_functions.store.migrate",
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=_MIGRATE_TIMEOUT_S, check=False)
        if done.returncode:
            raise StartFailed(f"migrations failed:\n{done.stderr.strip()}")

    def _broker(self) -> PartSpec:
        addresses = self.addresses
        services = {name.replace("_", "-"): getattr(addresses, name) for name in FUNCTIONS}
        return self._http_part(
            "broker",
            (sys.executable, "-m", "vexa_local.broker"),
            port=self.ports.broker,
            environment={
                "PORT": str(self.ports.broker),
                "REDIS_URL": addresses.valkey,
                "KNATIVE_DIR": str(CHECKOUT / "knative" / "base"),
                "SERVICE_URLS": json.dumps(services),
                "ADMIN_API_KEY": self.secrets.admin_api_key,
            },
        )

    def _pool(self) -> list[PartSpec]:
        if self.workers == 1:
            return [self._worker("pool", self.ports.pool)]
        ports = [self.ports.pool + number for number in range(1, self.workers + 1)]
        workers = [self._worker(f"worker-{number}", port) for number, port in enumerate(ports, start=1)]
        return [*workers, self._balancer(ports)]

    def _worker(self, name: str, port: int) -> PartSpec:
        settings, addresses = self.settings, self.addresses
        return self._http_part(
            name,
            (sys.executable, "-m", "vexa_pool"),
            port=port,
            health_path="/readyz",
            ready_within_s=_MODEL_LOAD_S,
            environment={
                "HOST": LOOPBACK,
                "PORT": str(port),
                "WHISPER_MODEL": settings.whisper_model or str(model_directory()),
                "WHISPER_DEVICE": settings.whisper_device,
                "WHISPER_COMPUTE_TYPE": settings.whisper_compute_type,
                "POOL_SLOTS": str(settings.pool_slots),
                "REDIS_URL": addresses.valkey,
                "K_SINK": addresses.sink,
                "TOKEN_SIGNING_KEY": self.secrets.token_signing_key,
            },
        )

    def _balancer(self, ports: Sequence[int]) -> PartSpec:
        workers = [Worker(LOOPBACK, port) for port in ports]
        balancer = Balancer(host=LOOPBACK, port=self.ports.pool, workers=workers, slots=self.settings.pool_slots)
        file = self.state.folder / "envoy.json"
        part = self._http_part(
            "pool",
            (str(envoy_program()), "-c", str(file), *_ENVOY_OPTIONS),
            port=self.ports.pool,
            health_path="/readyz",
            ready_within_s=_MODEL_LOAD_S,
            environment={},
        )
        return replace(part, prepare=lambda: _write_config(file, balancer))

    def _function(self, name: str) -> PartSpec:
        port = getattr(self.ports, name)
        shell = (sys.executable, "-m", "vexa_functions", name, "--grace-s", "3")
        in_shell = self._http_part(
            name,
            (*shell, "--host", LOOPBACK, "--port", str(port)),
            port=port,
            environment=self._function_environment(name),
        )
        if not self.under_framework or name == "gateway":
            return in_shell
        source = CHECKOUT / "functions" / "vexa_functions" / name / "main.py"
        framework = (
            str(Path(sys.executable).with_name("functions-framework")),
            "--source",
            str(source),
            "--target",
            name,
        )
        return replace(
            in_shell,
            command=(*framework, "--host", LOOPBACK, "--port", str(port)),
            is_ready=_HttpHealth(f"http://{LOOPBACK}:{port}/", is_answer_enough=True).is_good,
        )

    def _function_environment(self, name: str) -> Mapping[str, str]:
        """Give each function exactly what it is documented to need."""
        addresses, secrets = self.addresses, self.secrets
        database = {"DATABASE_URL": addresses.database}
        stores = {**database, "REDIS_URL": addresses.valkey, "TOKEN_SIGNING_KEY": secrets.token_signing_key}
        by_name = {
            "admin": {**database, "ADMIN_API_KEY": secrets.admin_api_key},
            "dead_letters": {**database, "ADMIN_API_KEY": secrets.admin_api_key, "K_SINK": addresses.sink},
            "webhooks": {
                **database,
                "TOKEN_SIGNING_KEY": secrets.token_signing_key,
                "WEBHOOK_ALLOW_LOOPBACK": "true",
            },
            "collector": {**stores, "K_SINK": addresses.sink},
            "gateway": {
                **stores,
                "ADMIN_API_URL": addresses.admin,
                "DEAD_LETTERS_URL": addresses.dead_letters,
                "WEBHOOKS_URL": addresses.webhooks,
                "BOT_MANAGER_URL": addresses.bots,
                "TRANSCRIPTION_COLLECTOR_URL": addresses.collector,
            },
            "bots": {
                **stores,
                "K_SINK": addresses.sink,
                "BOT_ADMISSION": "pool",
                "BOT_MANAGER_URL": addresses.bots,
                "STREAM_URL": addresses.stream,
                "BOT_RUN_DIR": str(self.state.bots_dir),
                "BOT_DEPLOYMENT": self.settings.bot_deployment or self.state.name,
                "VEXA_REPLAY_DIR": str(self.replay_dir),
            },
        }
        return by_name[name]

    def _http_part(
        self,
        name: str,
        command: tuple[str, ...],
        *,
        port: int,
        environment: Mapping[str, str],
        health_path: str = "/healthz",
        ready_within_s: float = 30.0,
    ) -> PartSpec:
        health = _HttpHealth(f"http://{LOOPBACK}:{port}{health_path}")
        common = {"LOG_LEVEL": self.settings.log_level, "PYTHONUNBUFFERED": "1"}
        return PartSpec(
            name=name,
            command=command,
            environment={**common, **environment},
            port=port,
            is_ready=health.is_good,
            ready_within_s=ready_within_s,
        )


@dataclass(frozen=True, slots=True)
class _HttpHealth:
    url: str
    is_answer_enough: bool = False
    """Whatever it is: the framework's command knows no health check."""

    async def is_good(self) -> bool:
        try:
            async with httpx.AsyncClient(timeout=2.0, trust_env=False) as client:
                return (await client.get(self.url)).is_success or self.is_answer_enough
        except httpx.HTTPError:
            return False


@dataclass(frozen=True, slots=True)
class _ServerHealth:
    server: Server

    async def is_good(self) -> bool:
        return await asyncio.to_thread(self.server.is_ready)


def _write_config(file: Path, balancer: Balancer) -> None:
    file.write_text(json.dumps(render(balancer), indent=1))


def _server_part(server: Server) -> PartSpec:
    return PartSpec(
        name=server.name,
        command=tuple(server.command()),
        port=server.port,
        is_ready=_ServerHealth(server).is_good,
        stop_signal=server.stop_signal,
        prepare=server.prepare,
    )
