"""What a worker tells Kubernetes about itself, to an API that notes it."""

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from tests.waiting import eventually

from vexa_pool.server.deletion_cost import ANNOTATION, open_deletion_cost

from .conftest import StartWorker

POD = "/api/v1/namespaces/vexa/pods/pool-1"


@dataclass
class Api:
    """Takes patches of one pod."""

    account_dir: Path
    url: str = ""
    status: int = 200
    patches: list[Any] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)

    async def patch(self, request: Request) -> Response:
        assert request.headers["content-type"] == "application/merge-patch+json"
        self.tokens.append(request.headers["authorization"])
        self.patches.append(await request.json())
        return JSONResponse({}, self.status)


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    """A real HTTP server in the place of Kubernetes."""
    (tmp_path / "token").write_text("first\n")
    api = Api(tmp_path)
    listener = socket.create_server(("127.0.0.1", 0))
    api.url = f"http://127.0.0.1:{listener.getsockname()[1]}{POD}"
    app = Starlette(routes=[Route(POD, api.patch, methods=["PATCH"])])
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
    task = asyncio.create_task(server.serve([listener]))
    yield api
    server.should_exit = True
    await task


async def test_a_worker_says_what_would_be_lost_with_it(api: Api, start_worker: StartWorker) -> None:
    """An idle one goes first, so it says so from the start, and changes nothing else of its pod."""
    await start_worker(POOL_POD_URL=api.url, POOL_ACCOUNT_DIR=str(api.account_dir))

    await eventually(lambda: bool(api.patches))

    assert api.patches == [{"metadata": {"annotations": {ANNOTATION: "0"}}}]
    assert api.tokens == ["Bearer first"]


async def test_only_a_change_is_told_with_the_token_of_the_day(api: Api) -> None:
    """Each write is one to the cluster's database; the token is renewed while we run."""
    streams = 3
    async with open_deletion_cost(lambda: streams, pod_url=api.url, account_dir=api.account_dir) as cost:
        await cost.tell()
        await cost.tell()
        (api.account_dir / "token").write_text("second\n")
        streams = 4
        await cost.tell()

    assert [patch["metadata"]["annotations"][ANNOTATION] for patch in api.patches] == ["3", "4"]
    assert api.tokens == ["Bearer first", "Bearer second"]


@pytest.mark.parametrize("fault", ["refused", "no token"])
async def test_what_could_not_be_told_is_told_again(api: Api, fault: str) -> None:
    """A cluster that is busy with itself is no reason to stop."""
    async with open_deletion_cost(lambda: 1, pod_url=api.url, account_dir=api.account_dir) as cost:
        if fault == "refused":
            api.status = 403
        else:
            (api.account_dir / "token").rename(api.account_dir / "gone")
        await cost.tell()
        api.status = 200
        (api.account_dir / "token").write_text("first\n")
        await cost.tell()
        await cost.tell()

    assert len(api.patches) == (2 if fault == "refused" else 1)
