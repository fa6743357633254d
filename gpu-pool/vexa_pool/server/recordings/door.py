"""`POST /v1/audio/transcriptions` as OpenAI's clients speak it, on a port of its own."""

import asyncio
import hmac
import http
import logging
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from vexa_events.errors import (
    InvalidMessage,
    NotFound,
    Overloaded,
    TooLarge,
    Unauthenticated,
    Unavailable,
    VexaError,
)
from vexa_pool.server.recordings.form import Upload, read_upload
from vexa_pool.server.recordings.formats import spell
from vexa_pool.server.recordings.transcriber import Recorded, Transcriber

logger = logging.getLogger(__name__)

PATH = "/v1/audio/transcriptions"
OPENAI_MODEL = "whisper-1"
"""What OpenAI's clients call whichever model there is."""
RETRY_AFTER_S = 10
STOPPING_S = 1
"""A stopping worker gives requests this long to take their answer: 503, for the caller has the file."""
CALLER_GONE = 499
KEEP_ALIVE_S = 5
STATUS_BY_ERROR: tuple[tuple[type[VexaError], int, str], ...] = (
    (TooLarge, 413, "invalid_request_error"),
    (NotFound, 404, "invalid_request_error"),
    (InvalidMessage, 400, "invalid_request_error"),
    (Unauthenticated, 401, "invalid_request_error"),
    (Overloaded, 429, "rate_limit_error"),
    (Unavailable, 503, "server_error"),
)


class RecordingsDoor:
    """Takes whole recordings over HTTP."""

    def __init__(self, transcriber: Transcriber, *, api_key: str | None, model: str) -> None:
        """Without a key, whoever reaches the port may ask; `model` is what the worker was started with."""
        self._model_names = frozenset({"", OPENAI_MODEL, model, Path(model).name})
        self._transcriber = transcriber
        self._api_key = api_key
        self._stopping = asyncio.Event()

    @asynccontextmanager
    async def listen(self, host: str, port: int) -> AsyncIterator[int]:
        """Serve while the context lasts, and yield the port."""
        listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
        config = uvicorn.Config(
            self._app(),
            lifespan="off",
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=STOPPING_S,
        )
        server = _Server(config)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(server.serve([listener]))
            try:
                yield listener.getsockname()[1]
            finally:
                self._stopping.set()
                server.should_exit = True

    def _app(self) -> Starlette:
        return Starlette(
            routes=[Route(PATH, self._take, methods=["POST"])],
            exception_handlers={VexaError: _refuse, HTTPException: _refuse_http, Exception: _fail},
        )

    async def _take(self, request: Request) -> Response:
        self._check_key(request)
        try:
            with self._transcriber.room():
                upload = await read_upload(request)
                self._check_model(upload.wishes.model)
                recorded = await self._transcribe(request, upload)
        except ClientDisconnect:
            return Response(status_code=CALLER_GONE)
        logger.info("recording transcribed", extra={"audio_s": round(recorded.duration_s, 1)})
        wishes = upload.wishes
        return Response(
            spell(recorded, wishes.response_format, wishes.times), media_type=wishes.response_format.content_type
        )

    async def _transcribe(self, request: Request, upload: Upload) -> Recorded:
        """Decode the file for as long as somebody waits for its text."""
        try:
            async with asyncio.TaskGroup() as tasks:
                watchers = [
                    tasks.create_task(_leave_with_caller(request)),
                    tasks.create_task(self._leave_with_worker()),
                ]
                recorded = await self._transcriber.transcribe(upload.file, upload.wishes.manner)
                for watcher in watchers:
                    watcher.cancel()
        except ExceptionGroup as faults:
            raise faults.exceptions[0] from None
        return recorded

    async def _leave_with_worker(self) -> None:
        await self._stopping.wait()
        raise Unavailable("the worker is going away")

    def _check_model(self, wanted: str) -> None:
        if wanted not in self._model_names:
            raise NotFound(f"the model {wanted!r} is not served here; {OPENAI_MODEL} names the one that is")

    def _check_key(self, request: Request) -> None:
        if self._api_key is None:
            return
        scheme, _, shown = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(shown.encode(), self._api_key.encode()):
            raise Unauthenticated("send the worker's API key as a bearer token")


class _Server(uvicorn.Server):
    """Leaves signals to the process."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _leave_with_caller(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
    raise ClientDisconnect


async def _refuse(_: Request, fault: Exception) -> Response:
    status, kind = next(
        ((status, kind) for error, status, kind in STATUS_BY_ERROR if isinstance(fault, error)), (500, "server_error")
    )
    logger.info("recording refused", extra={"fault": type(fault).__name__, "reason": str(fault)})
    headers = {"Retry-After": str(RETRY_AFTER_S)} if status in {429, 503} else None
    return _error(str(fault), status, kind, headers)


async def _refuse_http(_: Request, fault: Exception) -> Response:
    status = fault.status_code if isinstance(fault, HTTPException) else 500
    return _error(http.HTTPStatus(status).phrase, status, "invalid_request_error", None)


async def _fail(_: Request, fault: Exception) -> Response:
    return _error(f"the worker failed: {type(fault).__name__}", 500, "server_error", None)


def _error(message: str, status: int, kind: str, headers: dict[str, str] | None) -> Response:
    body = {"error": {"message": message, "type": kind, "param": None, "code": None}}
    return JSONResponse(body, status, headers=headers)
