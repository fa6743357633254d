"""Bots as containers of a Docker engine; the only module that knows the SDK, which blocks and so runs on threads."""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeVar

import docker
import requests
from docker.errors import APIError, DockerException, ImageNotFound, NotFound
from docker.models.containers import Container
from docker.types import LogConfig, Mount

from vexa_events.errors import Unavailable
from vexa_functions.bots.launchers.launcher import (
    STOP_GRACE_S,
    Exited,
    Found,
    NewBot,
    Observation,
    Running,
    Starting,
    Unknown,
)

PREFIX = "docker:"
SESSION_LABEL = "vexa.session"
MEETING_LABEL = "vexa.meeting"
DEPLOYMENT_LABEL = "vexa.deployment"
CALL_TIMEOUT_S = 20
MAX_THREADS = 4
BORN_DEAD_AFTER = timedelta(seconds=60)
"""A container that was made and not started by then was left behind by an instance that vanished."""
TMPFS_OPTIONS = "rw,nosuid,nodev,size=512m,mode=1777"

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerShape:
    """What every bot's container is like."""

    image: str
    network: str | None = None
    """None is the engine's default bridge."""
    deployment: str
    """Whose bots these are, where several deployments share an engine."""
    memory_mb: int
    cpus: float
    stop_grace_s: int = STOP_GRACE_S
    """What `docker stop` and an engine that ends leave a bot between SIGTERM and SIGKILL."""
    max_pids: int = 512
    seccomp_profile: Path | None = None
    """A file of ours, where it is not the engine's own profile."""
    replay_dir: Path | None = None
    """Seen by bots at the same path, read-only; the engine must see it there, too."""


def create_container(engine: docker.DockerClient, shape: ContainerShape, bot: NewBot) -> Container:
    """Create the container of a bot; the SDK's own way to do so knows no time that `docker stop` leaves it."""
    made = engine.api.create_container(
        shape.image,
        name=container_name(shape, bot),
        environment=dict(bot.env),
        labels={
            SESSION_LABEL: bot.session_uid,
            MEETING_LABEL: str(bot.meeting_id),
            DEPLOYMENT_LABEL: shape.deployment,
        },
        stop_timeout=shape.stop_grace_s,
        host_config=engine.api.create_host_config(**host_arguments(shape)),
    )
    container: Container = engine.containers.get(made["Id"])
    return container


def container_name(shape: ContainerShape, bot: NewBot) -> str:
    """Name the one container of a session."""
    return f"{shape.deployment}-bot-{bot.session_uid}"


def host_arguments(shape: ContainerShape) -> dict[str, Any]:
    """Describe what the engine lends a bot's container, and what it does not."""
    has_own_network = shape.network != "host" and not (shape.network or "").startswith("container:")
    recordings = str(shape.replay_dir) if shape.replay_dir else None
    return {
        "network_mode": shape.network,
        "extra_hosts": {"host.docker.internal": "host-gateway"} if has_own_network else {},
        "mem_limit": f"{shape.memory_mb}m",
        "memswap_limit": f"{shape.memory_mb}m",
        "nano_cpus": round(shape.cpus * 1e9),
        "pids_limit": shape.max_pids,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true", *_seccomp(shape)],
        "read_only": True,
        "tmpfs": {"/tmp": TMPFS_OPTIONS},  # noqa: S108 - the container's own, in memory
        "shm_size": "256m",
        "mounts": [Mount(recordings, recordings, type="bind", read_only=True)] if recordings else [],
        "log_config": LogConfig(type=LogConfig.types.JSON, config={"max-size": "10m", "max-file": "2"}),
    }


def _seccomp(shape: ContainerShape) -> list[str]:
    return [f"seccomp={shape.seccomp_profile.read_text()}"] if shape.seccomp_profile else []


class DockerLauncher:
    """Starts one container a bot and keeps it after its end, until it is removed."""

    def __init__(self, shape: ContainerShape, engine_env: Mapping[str, str]) -> None:
        """`engine_env` tells where the engine is, in Docker's own words: DOCKER_HOST and its kin."""
        self._shape = shape
        self._engine_env = dict(engine_env)
        self._client: docker.DockerClient | None = None
        self._threads = ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="docker")

    async def launch(self, bot: NewBot) -> str:
        """Create and start the session's one container; one that does not start is removed."""
        return await self._call(self._launch, bot)

    async def observe(self, reference: str) -> Observation:
        """Read the container's state."""
        if not reference.startswith(PREFIX):
            return Unknown()
        return await self._call(self._observe, reference)

    async def stop(self, reference: str) -> None:
        """Send SIGTERM, and leave it to the bot how long its end takes."""
        await self._call(self._signal, reference, "SIGTERM")

    async def kill(self, reference: str) -> None:
        """Send SIGKILL."""
        await self._call(self._signal, reference, "SIGKILL")

    async def remove(self, reference: str) -> None:
        """Remove the container, running or not."""
        await self._call(self._remove, reference)

    async def found(self) -> list[Found]:
        """List the containers that bear our labels."""
        return await self._call(self._found)

    async def aclose(self) -> None:
        """Let go of the engine and the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        if self._client is not None:
            await asyncio.to_thread(self._client.close)

    async def _call(self, work: Callable[..., T], *arguments: object) -> T:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(2 * CALL_TIMEOUT_S):
                return await loop.run_in_executor(self._threads, work, *arguments)
        except ImageNotFound as exc:
            raise Unavailable(
                f"the bot's image {self._shape.image} is not on the Docker engine; build or pull it"
            ) from exc
        except APIError as exc:
            raise Unavailable(f"the Docker engine refused: {exc.explanation or type(exc).__name__}") from exc
        except (DockerException, requests.RequestException, TimeoutError) as exc:
            where = self._engine_env.get("DOCKER_HOST", "its default address")
            raise Unavailable(f"the Docker engine does not answer at {where}") from exc

    def _engine(self) -> docker.DockerClient:
        if self._client is None:
            self._client = docker.DockerClient.from_env(timeout=CALL_TIMEOUT_S, environment=self._engine_env)
        return self._client

    def _launch(self, bot: NewBot) -> str:
        container = self._made(bot)
        if container.status == "created":
            try:
                container.start()
            except (DockerException, requests.RequestException):
                container.remove(force=True)
                raise
        return f"{PREFIX}{container.id}"

    def _made(self, bot: NewBot) -> Container:
        """Create the container; its name, which only one can have, is the session's."""
        try:
            return create_container(self._engine(), self._shape, bot)
        except APIError as exc:
            if exc.status_code != HTTPStatus.CONFLICT:
                raise
            present: Container = self._engine().containers.get(container_name(self._shape, bot))
            return present

    def _observe(self, reference: str) -> Observation:
        try:
            return _seen(self._container(reference).attrs, now=datetime.now(UTC))
        except NotFound:
            return Unknown()

    def _signal(self, reference: str, signal: str) -> None:
        try:
            self._container(reference).kill(signal=signal)
        except NotFound:
            return
        except APIError as exc:
            if exc.status_code != HTTPStatus.CONFLICT:  # the engine's word for: it does not run
                raise

    def _remove(self, reference: str) -> None:
        try:
            self._container(reference).remove(force=True, v=True)
        except NotFound:
            return

    def _found(self) -> list[Found]:
        ours = {"label": [SESSION_LABEL, f"{DEPLOYMENT_LABEL}={self._shape.deployment}"]}
        listed = self._engine().api.containers(all=True, filters=ours)
        return [
            Found(
                reference=PREFIX + container["Id"],
                session_uid=container["Labels"][SESSION_LABEL],
                started_at=datetime.fromtimestamp(container["Created"], UTC),
            )
            for container in listed
        ]

    def _container(self, reference: str) -> Container:
        container: Container = self._engine().containers.get(reference.removeprefix(PREFIX))
        return container


def _seen(attributes: Mapping[str, Any], *, now: datetime) -> Observation:
    state = attributes["State"]
    if state["Status"] == "created":
        is_fresh = now - datetime.fromisoformat(attributes["Created"]) < BORN_DEAD_AFTER
        return Starting() if is_fresh else Exited(None, "was never started")
    if state["Status"] in {"exited", "dead"}:
        why = "out of memory" if state["OOMKilled"] else state["Error"] or None
        return Exited(int(state["ExitCode"]), why, at=datetime.fromisoformat(state["FinishedAt"]))
    return Running()
