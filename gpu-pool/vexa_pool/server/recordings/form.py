"""The multipart form of a transcription request, read within bounds and without touching the disk."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from vexa_events.errors import InvalidMessage, TooLarge
from vexa_events.faults import faults
from vexa_events.fields import Language
from vexa_pool.server.recordings.formats import Granularity, ResponseFormat
from vexa_pool.server.recordings.transcriber import Manner

MOST_BYTES = 25 * 1024 * 1024
"""As much as OpenAI takes."""
MOST_FIELD_BYTES = 64 * 1024
MOST_FIELDS = 32
UPLOAD_TIMEOUT_S = 120.0
BOTH_SPELLINGS = ("timestamp_granularities[]", "timestamp_granularities")


class Wishes(BaseModel):
    """How the caller wants the transcript."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    model: str = ""
    """One of the names of the model that the worker was started with."""
    language: Language | None = None
    prompt: str = ""
    response_format: ResponseFormat = ResponseFormat.JSON
    temperature: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    """At 0 decoding is greedy."""
    stream: Literal["false", "0", ""] = "false"
    granularities: frozenset[Granularity] = frozenset()

    @field_validator("language", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return value or None

    @property
    def manner(self) -> Manner:
        return Manner(language=self.language, prompt=self.prompt, temperature=self.temperature)

    @property
    def times(self) -> frozenset[Granularity]:
        return self.granularities or frozenset({Granularity.SEGMENT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A recording and what is wanted of it."""

    file: bytes
    wishes: Wishes


class _InMemory(MultiPartParser):
    spool_max_size = MOST_BYTES


async def read_upload(request: Request) -> Upload:
    """Read the form; raise InvalidMessage, or TooLarge before more than MOST_BYTES are read."""
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise InvalidMessage("the body must be multipart/form-data")
    parser = _InMemory(
        request.headers, _bounded(request), max_files=1, max_fields=MOST_FIELDS, max_part_size=MOST_FIELD_BYTES
    )
    try:
        async with asyncio.timeout(UPLOAD_TIMEOUT_S):
            form = await parser.parse()
    except MultiPartException as exc:
        raise InvalidMessage(f"form: {exc.message}") from exc
    except TimeoutError as exc:
        raise InvalidMessage(f"the body took longer than {UPLOAD_TIMEOUT_S:g} s") from exc
    try:
        return Upload(file=await _file(form), wishes=_wishes(form))
    finally:
        await form.close()


async def _bounded(request: Request) -> AsyncGenerator[bytes, None]:
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > MOST_BYTES:
        raise TooLarge(f"a body of {announced} bytes is over the limit of {MOST_BYTES}")
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > MOST_BYTES:
            raise TooLarge(f"the body is over the limit of {MOST_BYTES} bytes")
        yield part


async def _file(form: FormData) -> bytes:
    match form.get("file"):
        case UploadFile() as upload:
            return await upload.read()
        case _:
            raise InvalidMessage("file: is missing")


def _wishes(form: FormData) -> Wishes:
    fields: dict[str, object] = {name: value for name, value in form.items() if isinstance(value, str)}
    fields["granularities"] = [value for name in BOTH_SPELLINGS for value in form.getlist(name)]
    try:
        return Wishes.model_validate(fields)
    except ValidationError as exc:
        raise InvalidMessage(f"form: {faults(exc)}") from exc
