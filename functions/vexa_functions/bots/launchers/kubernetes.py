"""Bots as Jobs of a Kubernetes cluster; the only module that calls its API."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, TypeVar

import httpx2
from lightkube import AsyncClient, KubeConfig
from lightkube.core.exceptions import ApiError, ConfigError
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.batch_v1 import Job
from lightkube.resources.core_v1 import Event, Pod
from lightkube.types import CascadeType, PatchType

from vexa_events.errors import Unavailable
from vexa_functions.bots.launchers.kubernetes_job import (
    SESSION_LABEL,
    JobShape,
    job_of,
    owner_labels,
    secret_of,
    seen,
)
from vexa_functions.bots.launchers.launcher import Found, NewBot, Observation, Starting, Unknown

PREFIX = "kubernetes:"
CALL_TIMEOUT_S = 20.0
PAGE = 500
POD_LABEL = "job-name"
"""What a Job's controller writes on the pods that it makes."""
POD_REFUSED = "FailedCreate"
"""What it calls the event that a pod could not be made."""

T = TypeVar("T")


class KubernetesLauncher:
    """Starts one Job a bot; a bot that is told to stop is a Job that is suspended."""

    def __init__(self, shape: JobShape, *, namespace: str, read_config: Callable[[], KubeConfig]) -> None:
        """`read_config` tells where the cluster is and as whom to speak; it is called once, on first use."""
        self._shape = shape
        self._namespace = namespace
        self._read_config = read_config
        self._opened: AsyncClient | None = None

    async def launch(self, bot: NewBot) -> str:
        """Make the Job, then the Secret that it owns, then let it start; what we made and fails halfway is deleted."""
        wanted = job_of(bot, self._shape)
        name = _name(wanted.metadata)
        async with self._api() as api:
            made = await _unless(HTTPStatus.CONFLICT, api.create(wanted))
            job = made or await api.get(Job, name)
            try:
                await _unless(HTTPStatus.CONFLICT, api.create(secret_of(bot, job)))
                await self._patch(api, name, {"suspend": False})
            except (httpx2.HTTPError, TimeoutError):
                if made is not None:
                    await _delete(api, name)
                raise
        return PREFIX + name

    async def observe(self, reference: str) -> Observation:
        """Read the Job's conditions, and its pods for what they do not tell."""
        if not reference.startswith(PREFIX):
            return Unknown()
        name = reference.removeprefix(PREFIX)
        async with self._api() as api:
            job = await _unless(HTTPStatus.NOT_FOUND, api.get(Job, name))
            if job is None:
                return Unknown()
            observed = seen(job, [pod async for pod in api.list(Pod, labels={POD_LABEL: name})])
            return Starting(await _refusal(api, name)) if observed == Starting() else observed

    async def stop(self, reference: str) -> None:
        """Suspend the Job: its pod gets SIGTERM, time to end, and no successor."""
        async with self._api() as api:
            await self._patch(api, reference.removeprefix(PREFIX), {"suspend": True})

    async def kill(self, reference: str) -> None:
        """Suspend the Job and delete its pod without grace."""
        name = reference.removeprefix(PREFIX)
        async with self._api() as api:
            await self._patch(api, name, {"suspend": True})
            async for pod in api.list(Pod, labels={POD_LABEL: name}):
                await _unless(HTTPStatus.NOT_FOUND, api.delete(Pod, _name(pod.metadata), grace_period=0))

    async def remove(self, reference: str) -> None:
        """Delete the Job, and with it its pod and its Secret."""
        async with self._api() as api:
            await _delete(api, reference.removeprefix(PREFIX))

    async def found(self) -> list[Found]:
        """List the Jobs in our namespace that bear our labels."""
        async with self._api() as api:
            return [_found(job) async for job in api.list(Job, labels={**owner_labels(self._shape)}, chunk_size=PAGE)]

    async def aclose(self) -> None:
        """Close the connections."""
        if self._opened is not None:
            await self._opened.aclose()

    @asynccontextmanager
    async def _api(self) -> AsyncIterator[AsyncClient]:
        try:
            async with asyncio.timeout(CALL_TIMEOUT_S):
                yield self._client()
        except ConfigError as exc:
            raise Unavailable("bots cannot be started: no access to Kubernetes is configured") from exc
        except ApiError as exc:
            raise Unavailable(f"Kubernetes refused: {exc.status.message or exc.status.reason}") from exc
        except (httpx2.HTTPError, TimeoutError) as exc:
            raise Unavailable(f"Kubernetes does not answer: {type(exc).__name__}") from exc

    def _client(self) -> AsyncClient:
        if self._opened is None:
            self._opened = AsyncClient(self._read_config(), namespace=self._namespace, field_manager="vexa-bots")
        return self._opened

    async def _patch(self, api: AsyncClient, name: str, spec: Mapping[str, Any]) -> None:
        await _unless(HTTPStatus.NOT_FOUND, api.patch(Job, name, {"spec": dict(spec)}, patch_type=PatchType.MERGE))


async def _refusal(api: AsyncClient, name: str) -> str | None:
    """Find why a Job gets no pod, such as a quota; only the events that its controller writes tell."""
    told = [event async for event in api.list(Event, fields={"involvedObject.name": name})]
    return next((event.message for event in reversed(told) if event.reason == POD_REFUSED), None)


async def _delete(api: AsyncClient, name: str) -> None:
    await _unless(HTTPStatus.NOT_FOUND, api.delete(Job, name, cascade=CascadeType.BACKGROUND))


async def _unless(status: HTTPStatus, call: Awaitable[T]) -> T | None:
    """Make a call; None where it is refused with this status."""
    try:
        return await call
    except ApiError as exc:
        if exc.status.code != status:
            raise
        return None


def _found(job: Job) -> Found:
    meta = job.metadata or ObjectMeta()
    return Found(
        reference=PREFIX + _name(meta),
        session_uid=(meta.labels or {})[SESSION_LABEL],
        started_at=meta.creationTimestamp or datetime.now(UTC),
    )


def _name(meta: ObjectMeta | None) -> str:
    return (meta and meta.name) or ""
