"""
What runs bots, as the launchers meet it: processes, a real Docker engine, and a
Kubernetes API in memory that checks what it is given against the published schemas.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from io import BytesIO
from pathlib import Path
from typing import Any

import docker
import httpx
import kubernetes_validate
import psutil
import pytest
from lightkube import KubeConfig
from lightkube.config.models import Cluster, User
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from tests.waiting import DEADLINE_S

from vexa_functions.bots.launchers.docker import DEPLOYMENT_LABEL, ContainerShape, DockerLauncher, container_arguments
from vexa_functions.bots.launchers.kubernetes import KubernetesLauncher
from vexa_functions.bots.launchers.kubernetes_job import JobShape, job_of
from vexa_functions.bots.launchers.launcher import Launcher, NewBot
from vexa_functions.bots.launchers.process import ProcessLauncher

RUN_SCRIPT = "import os; exec(os.environ['SCRIPT'])"
"""The bot of these tests does what its environment tells."""
SCHEMAS = "1.33"
NAMESPACE = "vexa"
TOKEN = "a service account's token"
MISSING_IMAGE = "registry.invalid/never-built:1"


@dataclass
class Runtime:
    """One way to run bots, seen from both sides."""

    open: Callable[[], Launcher]
    """Opens a launcher as one more instance of the bots function does."""
    break_off: Callable[[NewBot], Awaitable[None]]
    """Launches a bot as an instance does that vanishes halfway."""
    count: Callable[[], int]
    """Counts all that launched bots left with whoever runs them."""


@pytest.fixture(params=["process", "docker", "kubernetes"])
def runtime(request: pytest.FixtureRequest) -> Runtime:
    """Each way to run bots in turn."""
    made: Runtime = request.getfixturevalue(f"{request.param}_runtime")
    return made


@pytest.fixture
def process_runtime(tmp_path: Path) -> Iterator[Runtime]:
    """Processes of this machine."""
    run_dir = tmp_path / "bots"
    yield Runtime(
        open=lambda: ProcessLauncher(run_dir, [sys.executable, "-c", RUN_SCRIPT]),
        break_off=partial(_break_off_process, run_dir),
        count=lambda: _count_processes(run_dir),
    )
    for child in _bots():
        child.kill()


@pytest.fixture
async def docker_runtime(bot_image: str) -> AsyncIterator[Runtime]:
    """Containers of a real engine, of a deployment that only this test has."""
    opened: list[DockerLauncher] = []
    shape = ContainerShape(image=bot_image, deployment=f"test-{uuid.uuid4().hex}", memory_mb=256, cpus=0.5)

    def open_one() -> Launcher:
        opened.append(DockerLauncher(shape, {}))
        return opened[-1]

    with contextlib.closing(docker.DockerClient()) as client:
        ours: dict[str, str | list[str] | bool] = {"label": f"{DEPLOYMENT_LABEL}={shape.deployment}"}
        yield Runtime(
            open=open_one,
            break_off=partial(_break_off_container, client, shape),
            count=lambda: len(client.api.containers(all=True, filters=ours)),
        )
        for container in client.containers.list(all=True, filters=ours):
            container.remove(force=True)
    for launcher in opened:
        await launcher.aclose()


@pytest.fixture
async def kubernetes_runtime(cluster: "ClusterTwin") -> AsyncIterator[Runtime]:
    """Jobs of the cluster in memory."""
    opened: list[KubernetesLauncher] = []

    def open_one() -> Launcher:
        opened.append(cluster.launcher())
        return opened[-1]

    yield Runtime(
        open=open_one,
        break_off=cluster.break_off,
        count=lambda: len(cluster.jobs) + len(cluster.secrets) + len(cluster.running()),
    )
    for launcher in opened:
        await launcher.aclose()


@pytest.fixture(scope="session")
def bot_image(docker_base: str) -> str:
    """An image whose program does what its environment tells."""
    recipe = f"FROM {docker_base}\nUSER 10001\nCMD {_as_json(['python3', '-c', RUN_SCRIPT])}\n"
    with contextlib.closing(docker.DockerClient()) as client:
        client.images.build(fileobj=BytesIO(recipe.encode()), tag="vexa-test-bot", rm=True)
    return "vexa-test-bot"


@pytest.fixture
async def cluster(serve: Callable[[Any], Awaitable[str]]) -> AsyncIterator["ClusterTwin"]:
    """A Kubernetes API in memory."""
    twin = ClusterTwin()
    twin.url = await serve(twin.app())
    yield twin
    for pod in twin.pods.values():
        pod.end(signal.SIGKILL)


@dataclass
class PodTwin:
    """A pod, which is a process of this machine here."""

    name: str
    waits_for: str | None = None
    process: "subprocess.Popen[bytes] | None" = None
    finished_at: str = ""

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def end(self, number: signal.Signals) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)
            if number is signal.SIGKILL:
                self.process.wait()

    def describe(self) -> dict[str, Any]:
        state: dict[str, Any] = {"running": {}}
        phase = "Running"
        if self.waits_for is not None:
            phase, state = "Pending", {"waiting": {"reason": self.waits_for, "message": "told by the node"}}
        elif self.process is not None and (code := self.process.poll()) is not None:
            phase = "Failed" if code else "Succeeded"
            self.finished_at = self.finished_at or datetime.now(UTC).isoformat()
            ended = {"exitCode": code if code >= 0 else 128 - code, "finishedAt": self.finished_at}
            state = {"terminated": ended}
        status = {"phase": phase, "containerStatuses": [_container_status(state)]}
        return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": self.name}, "status": status}


@dataclass
class ClusterTwin:
    """Speaks the few endpoints that launching needs, and does what the Job controller and a node do."""

    url: str = ""
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    secrets: dict[str, dict[str, Any]] = field(default_factory=dict)
    pods: dict[str, PodTwin] = field(default_factory=dict)
    refuses_secrets: bool = False
    used: set[tuple[str, str]] = field(default_factory=set)
    """Resource and verb of every request."""

    def launcher(self, image: str = "vexa-bot", recording: Path | None = None) -> KubernetesLauncher:
        """Open a launcher as the bots function's own service account would."""
        config = KubeConfig.from_one(cluster=Cluster(server=self.url), user=User(token=TOKEN))
        shape = self.shape(image, recording)
        return KubernetesLauncher(shape, namespace=NAMESPACE, read_config=lambda: config)

    def shape(self, image: str = "vexa-bot", recording: Path | None = None) -> JobShape:
        return JobShape(image=image, deployment="test", memory_mb=512, cpus=1.0, deadline_s=3_600, recording=recording)

    async def break_off(self, bot: NewBot) -> None:
        """Make a Job, and neither its Secret nor its start."""
        async with httpx.AsyncClient(headers={"authorization": f"Bearer {TOKEN}"}, timeout=DEADLINE_S) as api:
            path = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs"
            made = await api.post(self.url + path, json=job_of(bot, self.shape()).to_dict())
        assert made.status_code == HTTPStatus.CREATED

    def running(self) -> list[PodTwin]:
        return [pod for pod in self.pods.values() if pod.is_running]

    def app(self) -> Starlette:
        """Serve what launching needs, and note what of it is used."""
        jobs, core = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs", f"/api/v1/namespaces/{NAMESPACE}"
        return Starlette(
            routes=[
                Route(jobs, self.create_job, methods=["POST"]),
                Route(jobs, self.list_jobs, methods=["GET"]),
                Route(jobs + "/{name}", self.get_job, methods=["GET"]),
                Route(jobs + "/{name}", self.patch_job, methods=["PATCH"]),
                Route(jobs + "/{name}", self.delete_job, methods=["DELETE"]),
                Route(core + "/secrets", self.create_secret, methods=["POST"]),
                Route(core + "/pods", self.list_pods, methods=["GET"]),
                Route(core + "/pods/{name}", self.delete_pod, methods=["DELETE"]),
            ],
            middleware=[Middleware(BaseHTTPMiddleware, dispatch=self._note)],
        )

    async def _note(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        resource, *name = request.url.path.partition(f"/{NAMESPACE}/")[2].split("/")
        verb = {"POST": "create", "GET": "get" if name else "list"}.get(request.method, request.method.lower())
        self.used.add((resource, verb))
        return await call_next(request)

    async def create_job(self, request: Request) -> Response:
        job = await _checked(request)
        name = job["metadata"]["name"]
        if name in self.jobs:
            return _present()
        job["metadata"] |= {"uid": str(uuid.uuid4()), "creationTimestamp": datetime.now(UTC).isoformat()}
        self.jobs[name] = job
        return JSONResponse(self._reconciled(name), HTTPStatus.CREATED)

    async def list_jobs(self, request: Request) -> Response:
        wanted = _selector(request)
        items = [self._reconciled(name) for name, job in self.jobs.items() if wanted <= set(_labels(job).items())]
        return JSONResponse({"apiVersion": "batch/v1", "kind": "JobList", "metadata": {}, "items": items})

    async def get_job(self, request: Request) -> Response:
        name = request.path_params["name"]
        return JSONResponse(self._reconciled(name)) if name in self.jobs else _absent()

    async def patch_job(self, request: Request) -> Response:
        assert request.headers["content-type"] == "application/merge-patch+json"
        name = request.path_params["name"]
        if name not in self.jobs:
            return _absent()
        self.jobs[name]["spec"] |= (await request.json())["spec"]
        return JSONResponse(self._reconciled(name))

    async def delete_job(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in self.jobs:
            return _absent()
        uid = self.jobs.pop(name)["metadata"]["uid"]
        if name in self.pods:
            self.pods.pop(name).end(signal.SIGKILL)
        self.secrets = {
            key: one for key, one in self.secrets.items() if one["metadata"]["ownerReferences"][0]["uid"] != uid
        }
        return JSONResponse({"apiVersion": "v1", "kind": "Status", "status": "Success"})

    async def create_secret(self, request: Request) -> Response:
        secret = await _checked(request)
        if self.refuses_secrets:
            return _refusal(HTTPStatus.FORBIDDEN, "Forbidden", "secrets is forbidden: exceeded quota")
        if secret["metadata"]["name"] in self.secrets:
            return _present()
        self.secrets[secret["metadata"]["name"]] = secret
        return JSONResponse(secret, HTTPStatus.CREATED)

    async def list_pods(self, request: Request) -> Response:
        (_, job_name) = next(iter(_selector(request)))
        items = [pod.describe() for name, pod in self.pods.items() if name == job_name]
        return JSONResponse({"apiVersion": "v1", "kind": "PodList", "metadata": {}, "items": items})

    async def delete_pod(self, request: Request) -> Response:
        pod = self.pods.get(request.path_params["name"].removesuffix("-pod"))
        if pod is None:
            return _absent()
        assert request.query_params["gracePeriodSeconds"] == "0"
        await asyncio.to_thread(pod.end, signal.SIGKILL)
        return JSONResponse(pod.describe())

    def _reconciled(self, name: str) -> dict[str, Any]:
        job, pod = self.jobs[name], self.pods.get(name)
        conditions = []
        if job["spec"]["suspend"]:
            if pod is not None:
                pod.end(signal.SIGTERM)
            if pod is None or not pod.is_running:
                self.pods.pop(name, None)
                conditions = ["Suspended"]
        elif pod is None:
            self.pods[name] = self._start(job)
        elif pod.process is not None and not pod.is_running:
            conditions = ["Failed" if pod.process.returncode else "Complete"]
        job["status"] = {
            "active": 1 if name in self.pods and not conditions else 0,
            "conditions": [{"type": kind, "status": "True", "reason": f"Because{kind}"} for kind in conditions],
        }
        return job

    def _start(self, job: Mapping[str, Any]) -> PodTwin:
        name = job["metadata"]["name"]
        container = job["spec"]["template"]["spec"]["containers"][0]
        secret = self.secrets.get(container["envFrom"][0]["secretRef"]["name"])
        if secret is None or container["image"] == MISSING_IMAGE:
            return PodTwin(f"{name}-pod", "CreateContainerConfigError" if secret is None else "ErrImagePull")
        env = {"PATH": os.environ["PATH"], **secret["stringData"]}
        return PodTwin(f"{name}-pod", process=subprocess.Popen([sys.executable, "-c", RUN_SCRIPT], env=env))


async def _checked(request: Request) -> dict[str, Any]:
    """Hold an object against the published schema, unknown fields included."""
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    sent: dict[str, Any] = await request.json()
    kubernetes_validate.validate(sent, SCHEMAS, strict=True)
    return sent


def _container_status(state: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": "bot", "image": "", "imageID": "", "ready": True, "restartCount": 0, "state": state}


def _owner(secret: Mapping[str, Any]) -> str:
    uid: str = secret["metadata"]["ownerReferences"][0]["uid"]
    return uid


def _labels(job: Mapping[str, Any]) -> dict[str, str]:
    labels: dict[str, str] = job["metadata"]["labels"]
    return labels


def _selector(request: Request) -> set[tuple[str, str]]:
    pairs = [pair.partition("=") for pair in request.query_params["labelSelector"].split(",")]
    return {(name, value) for name, _, value in pairs}


def _absent() -> Response:
    return _refusal(HTTPStatus.NOT_FOUND, "NotFound", "not found")


def _present() -> Response:
    return _refusal(HTTPStatus.CONFLICT, "AlreadyExists", "already exists")


def _refusal(status: HTTPStatus, reason: str, message: str) -> Response:
    fields = {"status": "Failure", "reason": reason, "message": message, "code": int(status)}
    return JSONResponse({"apiVersion": "v1", "kind": "Status", "metadata": {}, **fields}, status)


async def _break_off_process(run_dir: Path, bot: NewBot) -> None:
    """Start a process, and do not write down which."""
    launcher = ProcessLauncher(run_dir, [sys.executable, "-c", RUN_SCRIPT])
    await launcher.launch(bot)
    (run_dir / f"{bot.session_uid}.pid").write_text("")


async def _break_off_container(client: docker.DockerClient, shape: ContainerShape, bot: NewBot) -> None:
    """Create a container, and do not start it."""
    await asyncio.to_thread(client.containers.create, shape.image, **container_arguments(shape, bot))


def _count_processes(run_dir: Path) -> int:
    return len(list(run_dir.glob("*"))) + len(_bots())


def _bots() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if _is_bot(child)]


def _as_json(words: list[str]) -> str:
    return "[" + ", ".join('"' + word.replace('"', '\\"') + '"' for word in words) + "]"


def _is_bot(process: psutil.Process) -> bool:
    """Tell whether it is a bot that lives; it may end while it is looked at."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE and RUN_SCRIPT in process.cmdline()
    except psutil.NoSuchProcess:
        return False
