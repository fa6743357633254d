"""The images, and containers of them that run as the manifests of the laptop overlay tell, joined by a network."""

import asyncio
import contextlib
import json
import os
import re
import secrets
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker
import httpx
import pytest
import yaml
from docker.models.containers import Container
from docker.models.networks import Network
from tests.ports import free_port

from vexa_local.packages import envoy_program, model_directory
from vexa_local.ports import LOOPBACK

CHECKOUT = Path(__file__).resolve().parents[3]
FUNCTIONS, POOL, BOT = "vexa/functions:0.1.0", "vexa/pool:0.1.0", "vexa/bot:0.1.0"
DOCKERFILES = {FUNCTIONS: "functions/Dockerfile", POOL: "gpu-pool/Dockerfile", BOT: "bot/Dockerfile"}
BUILD_LIMIT_S = 600
READY_WITHIN_S = 120.0
DOCKER_SOCKET = Path("/var/run/docker.sock")
SECRET_NAMES = ("TOKEN_SIGNING_KEY", "ADMIN_API_KEY")
SERVICE_PORT = 80
"""Where a Knative Service answers, whatever port its container has."""


@pytest.fixture(scope="session")
def images(docker_base: str) -> Mapping[str, str]:
    """Every image, built from the checkout under the name that the manifests use."""
    for tag, dockerfile in DOCKERFILES.items():
        command = ["docker", "build", "--quiet", "--file", dockerfile, "--tag", tag, "."]
        subprocess.run(command, cwd=CHECKOUT, check=True, timeout=BUILD_LIMIT_S, stdout=subprocess.DEVNULL)
    return DOCKERFILES


@pytest.fixture(scope="session")
def engine(docker_base: str) -> Iterator[docker.DockerClient]:
    with contextlib.closing(docker.DockerClient()) as client:
        yield client


@dataclass(frozen=True, slots=True)
class Manifests:
    """What kustomize makes of an overlay."""

    resources: list[dict[str, Any]]

    @classmethod
    def of(cls, overlay: str) -> "Manifests":
        kubectl = Path(sys.executable).with_name("kubectl")
        command = [str(kubectl), "kustomize", str(CHECKOUT / "knative" / "overlays" / overlay)]
        rendered = subprocess.run(command, check=True, capture_output=True, timeout=60).stdout
        return cls([resource for resource in yaml.safe_load_all(rendered) if resource])

    def container(self, kind: str, name: str) -> dict[str, Any]:
        """Return the one container of a workload."""
        (found,) = (r for r in self.resources if r["kind"] == kind and r["metadata"]["name"] == name)
        (container,) = found["spec"]["template"]["spec"]["containers"]
        return dict(container)

    def services(self) -> list[str]:
        """Name every Knative Service."""
        return [r["metadata"]["name"] for r in self.resources if r["apiVersion"].startswith("serving.knative.dev/")]

    def settings(self) -> dict[str, str]:
        """Return the ConfigMap that the workloads share."""
        (found,) = (
            r for r in self.resources if r["kind"] == "ConfigMap" and r["metadata"]["name"].startswith("settings")
        )
        return dict(found["data"])

    def file(self, config_map: str, name: str) -> str:
        """Return a file that a ConfigMap carries."""
        (found,) = (
            r for r in self.resources if r["kind"] == "ConfigMap" and r["metadata"]["name"].startswith(config_map)
        )
        return str(found["data"][name])


def environment(container: Mapping[str, Any], config: Mapping[str, str]) -> dict[str, str]:
    """Read a container's variables as a kubelet does; `config` stands for the ConfigMap and the Secret."""
    env: dict[str, str] = {}
    for variable in container.get("env", []):
        if "value" in variable:
            env[variable["name"]] = re.sub(r"\$\((\w+)\)", lambda match: env[match[1]], variable["value"])
        else:
            (source,) = variable["valueFrom"].values()
            env[variable["name"]] = config[source["key"]]
    return env


@dataclass(slots=True)
class Cluster:
    """Containers on one network, each under the name that it has in a cluster."""

    engine: docker.DockerClient
    network: Network
    manifests: Manifests
    config: Mapping[str, str]
    label: str
    containers: dict[str, Container] = field(default_factory=dict)

    @property
    def gateway_ip(self) -> str:
        return str(self.network.attrs["IPAM"]["Config"][0]["Gateway"])

    def run(self, kind: str, name: str, *, port: int = SERVICE_PORT, **options: Any) -> Container:
        """Start a workload's container, with the rights that the manifest grants it."""
        container = self.manifests.container(kind, name)
        security = container["securityContext"]
        assert security["readOnlyRootFilesystem"]
        assert security["capabilities"]["drop"] == ["ALL"]
        env = environment(container, self.config) | {"PORT": str(port)} | options.pop("env", {})
        return self.start(
            name,
            options.pop("image", container["image"]),
            environment=env,
            command=[*container.get("command", []), *container.get("args", [])] or None,
            **options,
        )

    def start(self, name: str, image: str, **options: Any) -> Container:
        """Start a container that others find under its cluster name."""
        made: Container = self.engine.containers.create(
            image,
            read_only=True,
            tmpfs={"/tmp": "rw,mode=1777"},
            cap_drop=["ALL"],
            security_opt=["no-new-privileges:true"],
            labels={self.label: name},
            **options,
        )
        self.network.connect(made, aliases=[f"{name}.vexa.svc.cluster.local"])
        made.start()
        self.containers[name] = made
        return made

    def address(self, name: str) -> str:
        """Return a container's own address on the network."""
        container = self.containers[name]
        container.reload()
        return str(container.attrs["NetworkSettings"]["Networks"][self.network.name]["IPAddress"])

    def wait_until_ready(self, name: str, path: str, port: int = SERVICE_PORT) -> str:
        """Ask the readiness probe's path until it answers; return the base URL."""
        url = f"http://{self.address(name)}:{port}"
        deadline = time.monotonic() + READY_WITHIN_S
        while time.monotonic() < deadline:
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(url + path, timeout=2.0, trust_env=False).is_success:
                    return url
            self.containers[name].reload()
            assert self.containers[name].status == "running", self.containers[name].logs().decode()
            time.sleep(0.2)
        pytest.fail(f"{name} is not ready: {self.containers[name].logs().decode()[-2000:]}")


@pytest.fixture(scope="module")
def cluster(
    images: Mapping[str, str],
    engine: docker.DockerClient,
    postgres_server: Any,
    databases: Any,
    valkey_server: Any,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Cluster]:
    """An empty network, with Postgres and Valkey within reach of it as a cluster's external ones are."""
    label = f"vexa-test-{uuid.uuid4().hex[:12]}"
    network = engine.networks.create(label)
    network.reload()
    gateway_ip = network.attrs["IPAM"]["Config"][0]["Gateway"]
    database = postgres_server.url_of(databases.take())
    with relayed(gateway_ip, postgres_server.port) as postgres, relayed(gateway_ip, valkey_server.port) as valkey:
        manifests = Manifests.of("laptop")
        database_url = database.replace(f"{LOOPBACK}:{postgres_server.port}", f"{gateway_ip}:{postgres}")
        config: dict[str, str] = {
            **manifests.settings(),
            **{name: secrets.token_hex(32) for name in SECRET_NAMES},
            "DATABASE_URL": database_url,
            "MIGRATION_DATABASE_URL": database_url,
            "REDIS_URL": f"redis://{gateway_ip}:{valkey}/0",
            "K_SINK": f"http://{gateway_ip}:{free_port()}/vexa/default",
            "LOG_LEVEL": "INFO",
        }
        made = Cluster(engine, network, manifests, config, label)
        yield made
        for mine in (label, f"vexa.deployment={label}"):
            for container in engine.containers.list(all=True, filters={"label": mine}):
                container.remove(force=True)
        network.remove()


@pytest.fixture(scope="module")
def running_cluster(
    cluster: Cluster, meetings_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    """Everything that the overlay starts, ready, and the local Broker between them."""
    cluster.run("Job", "migrate").wait(timeout=READY_WITHIN_S)
    cluster.run(
        "Deployment",
        "pool",
        port=9090,
        env={"K_SINK": cluster.config["K_SINK"], "OMP_NUM_THREADS": "2"},
        volumes=[f"{model_directory()}:/models/tiny.en:ro"],
    )
    envoy_json = tmp_path_factory.mktemp("envoy") / "envoy.json"
    envoy_json.write_text(cluster.manifests.file("balancer", "envoy.json"))
    envoy_json.parent.chmod(0o755)
    # No registry has Envoy's image here; the program is the same.
    cluster.run(
        "Deployment",
        "balancer",
        image=FUNCTIONS,
        volumes=[f"{envoy_program()}:/usr/local/bin/envoy:ro", f"{envoy_json.parent}:/etc/envoy:ro"],
    )
    recordings = meetings_dir.resolve()
    for name in cluster.manifests.services():
        cluster.run("Service", name, **(_bots_on_docker(cluster, recordings) if name == "bots" else {}))
    for name in cluster.manifests.services():
        cluster.wait_until_ready(name, "/healthz")
    cluster.wait_until_ready("pool", "/readyz", 9090)
    with broker(cluster, tmp_path_factory.mktemp("broker") / "log"):
        yield cluster


def _bots_on_docker(cluster: Cluster, recordings: Path) -> dict[str, Any]:
    """Where a cluster starts Jobs, a lone engine starts containers."""
    group = DOCKER_SOCKET.stat().st_gid
    return {
        "env": {
            "BOT_LAUNCHER": "docker",
            "BOT_DEPLOYMENT": cluster.label,
            "DOCKER_NETWORK": str(cluster.network.name),
            "VEXA_REPLAY_DIR": str(recordings),
        },
        "volumes": [f"{DOCKER_SOCKET}:{DOCKER_SOCKET}", f"{recordings}:{recordings}:ro"],
        "group_add": [str(group)],
    }


@contextlib.contextmanager
def broker(cluster: Cluster, log: Path) -> Iterator[None]:
    """Run the local Broker on the manifests' Triggers, with the containers as their subscribers."""
    services = {name: f"http://{cluster.address(name)}:{SERVICE_PORT}" for name in cluster.manifests.services()}
    sink = httpx.URL(cluster.config["K_SINK"])
    env = {
        **os.environ,
        "HOST": sink.host,
        "PORT": str(sink.port),
        "REDIS_URL": cluster.config["REDIS_URL"],
        "KNATIVE_DIR": str(CHECKOUT / "knative" / "base"),
        "SERVICE_URLS": json.dumps(services),
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "vexa_local.broker"], env=env, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        _wait_for_port(sink.host, int(sink.port or 80), process, log)
        yield
    finally:
        process.terminate()
        process.wait(timeout=30)


def _wait_for_port(host: str, port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        with contextlib.suppress(httpx.HTTPError):
            httpx.get(f"http://{host}:{port}/healthz", timeout=2.0, trust_env=False)
            return
        time.sleep(0.1)
    pytest.fail(f"the Broker does not answer: {log.read_text()}")


@contextlib.contextmanager
def relayed(host: str, upstream_port: int) -> Iterator[int]:
    """Pass connections to `host` on to a port of the loopback interface; yields the port."""
    listening: Future[tuple[int, Callable[[], object]]] = Future()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(LOOPBACK, upstream_port)
        await asyncio.gather(_pass_on(reader, far_writer), _pass_on(far_reader, writer))

    async def relay() -> None:
        stop = asyncio.Event()
        server = await asyncio.start_server(carry, host, 0)
        loop = asyncio.get_running_loop()
        port = int(server.sockets[0].getsockname()[1])
        listening.set_result((port, lambda: loop.call_soon_threadsafe(stop.set)))
        await stop.wait()
        server.close()

    with ThreadPoolExecutor(1) as thread:
        done = thread.submit(asyncio.run, relay())
        port, stop = listening.result(timeout=10)
        yield port
        stop()
        done.result(timeout=10)


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError, asyncio.CancelledError):
        while chunk := await reader.read(65_536):
            writer.write(chunk)
            await writer.drain()
    writer.close()
