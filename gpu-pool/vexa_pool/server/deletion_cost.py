"""Tells Kubernetes how many streams would have to move if our pod were deleted: of several, the idle one goes first."""

import asyncio
import json
import logging
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path

import httpx

logger = logging.getLogger(__name__)

ANNOTATION = "controller.kubernetes.io/pod-deletion-cost"
LOOK_EVERY_S = 15.0
"""Each change is a write to the cluster's database, so a stream that comes and goes in between is not told."""
TIMEOUT_S = 5.0


class DeletionCost:
    """Keeps the annotation of one pod."""

    def __init__(
        self, client: httpx.AsyncClient, streams: Callable[[], int], *, pod_url: str, token_file: Path
    ) -> None:
        self._client = client
        self._streams = streams
        self._pod_url = pod_url
        self._token_file = token_file
        self._told: int | None = None

    async def run(self) -> None:
        """Look now and then, until cancelled."""
        while True:
            await self.tell()
            await asyncio.sleep(LOOK_EVERY_S)

    async def tell(self) -> None:
        """Write the number down where it has changed; where that fails the next look tries again."""
        streams = self._streams()
        if streams == self._told:
            return
        try:
            async with asyncio.timeout(TIMEOUT_S):
                answer = await self._patch(streams)
        except (httpx.HTTPError, OSError, TimeoutError) as exc:
            logger.warning("deletion cost not told", extra={"error": type(exc).__name__})
            return
        if answer.status_code != HTTPStatus.OK:
            logger.warning("deletion cost refused", extra={"status": answer.status_code})
            return
        self._told = streams

    async def _patch(self, streams: int) -> httpx.Response:
        """Change nothing but the annotation. The token is renewed in its file, so it is read each time."""
        return await self._client.patch(
            self._pod_url,
            headers={
                "Authorization": f"Bearer {self._token_file.read_text().strip()}",
                "Content-Type": "application/merge-patch+json",
            },
            content=json.dumps({"metadata": {"annotations": {ANNOTATION: str(streams)}}}),
        )


@asynccontextmanager
async def open_deletion_cost(
    streams: Callable[[], int], *, pod_url: str, account_dir: Path
) -> AsyncIterator[DeletionCost]:
    """Speak as the pod's own account; an https address is trusted where the cluster's authority vouches for it."""
    authority = account_dir / "ca.crt"
    trusted = ssl.create_default_context(cafile=authority) if pod_url.startswith("https:") else True
    async with httpx.AsyncClient(verify=trusted, trust_env=False) as client:
        yield DeletionCost(client, streams, pod_url=pod_url, token_file=account_dir / "token")
