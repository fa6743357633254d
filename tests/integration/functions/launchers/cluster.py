"""A stand-in for the API of Kubernetes, of which the pods are processes."""

import asyncio
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx
import kubernetes_validate
from lightkube import KubeConfig
from lightkube.config.models import Cluster, User
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from tests.waiting import DEADLINE_S

from vexa_functions.bots.launchers.kubernetes import KubernetesLauncher
from vexa_functions.bots.launchers.kubernetes_job import JobShape, job_of
from vexa_functions.bots.launchers.launcher import NewBot

RUN_SCRIPT = "import os; exec(os.environ['SCRIPT'])"
"""The bot of these tests does what its environment tells."""
SCHEMAS = "1.33"
NAMESPACE = "vexa"
TOKEN = "a service account's token"
MISSING_IMAGE = "registry.invalid/never-built:1"


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
    refuses_pods: str | None = None
    """Why no pod may be made, as the Job's controller notes it."""
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
                Route(core + "/events", self.list_events, methods=["GET"]),
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

    async def list_events(self, request: Request) -> Response:
        _, _, name = request.query_params["fieldSelector"].partition("involvedObject.name=")
        noted = {"involvedObject": {"kind": "Job", "name": name}, "metadata": {"name": f"{name}.1"}}
        told = [] if self.refuses_pods is None else [{"reason": "FailedCreate", "message": self.refuses_pods, **noted}]
        started = {"reason": "Resumed", "message": "Job resumed", **noted}
        return JSONResponse({"apiVersion": "v1", "kind": "EventList", "metadata": {}, "items": [*told, started]})

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
        elif pod is None and self.refuses_pods is None:
            self.pods[name] = self._start(job)
        elif pod is not None and pod.process is not None and not pod.is_running:
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
