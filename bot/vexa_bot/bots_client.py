"""Talks to the bots function; the only module that knows the HTTP library."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

import httpx
from pydantic import ValidationError

from vexa_bot.credential import Credential
from vexa_bot.retry import Backoff, persist
from vexa_events.callbacks import (
    Attribution,
    EpochOpened,
    Heartbeat,
    HeartbeatAnswer,
    OpenEpoch,
    SpeakerHints,
    StatusReport,
)
from vexa_events.errors import Conflict, Overloaded, Unavailable, VexaError
from vexa_events.faults import faults
from vexa_events.fields import Message
from vexa_events.trace_context import TraceContext

M = TypeVar("M", bound=Message)
T = TypeVar("T")
ANSWER_LIMIT_S = 10.0
UNRECORDED = frozenset({"heartbeats", "hints"})
"""What is told every second or two: part of the trace, and too much to be recorded in it."""
RETRIED = frozenset({408, 425})
"""Client errors that another attempt may heal, beside every 5xx."""


class SessionRejected(VexaError):
    """The bots function will not hear of this session; nothing can be reported any more."""


class BotsClient:
    """
    Each call keeps trying while that may help.

    Raises Unavailable or Overloaded once the limit has passed, Conflict where
    the session's state forbids the call, and SessionRejected else.
    """

    def __init__(
        self,
        client: httpx.AsyncClient,
        session_uid: str,
        *,
        credential: Credential,
        new_backoff: Callable[[], Backoff],
        limit_s: float,
        trace: TraceContext | None = None,
    ) -> None:
        """`client` carries the base URL; `limit_s` bounds each call with its retries; `trace` asked for the bot."""
        self._client = client
        self.credential = credential
        self._session = f"/internal/sessions/{session_uid}"
        self._new_backoff = new_backoff
        self._limit_s = limit_s
        self._trace = trace

    async def open_epoch(self, request: OpenEpoch) -> EpochOpened:
        """Fence the stream's older epochs and learn where to go on."""
        return await self._persist(lambda: self._ask("epochs", request, EpochOpened))

    async def heartbeat(self, beat: Callable[[], Heartbeat]) -> HeartbeatAnswer:
        """Show life and learn the orders in force; `beat` is asked anew at each attempt. The token may be renewed."""
        answer = await self._persist(lambda: self._ask("heartbeats", beat(), HeartbeatAnswer))
        self.credential.token = answer.token or self.credential.token
        return answer

    async def report_status(self, report: StatusReport) -> None:
        """Tell that the bot entered a state."""
        await self._persist(lambda: self._post("statuses", report))

    async def attribute(self, attribution: Attribution) -> None:
        """Tell who speaks in a stream."""
        await self._persist(lambda: self._post("attributions", attribution))

    async def hint(self, told: SpeakerHints) -> None:
        """Tell who was shown as speaking."""
        await self._persist(lambda: self._post("hints", told))

    async def _persist(self, attempt: Callable[[], Awaitable[T]]) -> T:
        return await persist(attempt, backoff=self._new_backoff(), limit_s=self._limit_s)

    async def _ask(self, what: str, message: Message, model: type[M]) -> M:
        answer = await self._post(what, message)
        try:
            return model.model_validate_json(answer.content)
        except ValidationError as exc:
            raise Unavailable(f"bots answered something else than {model.__name__}: {faults(exc)}") from exc

    async def _post(self, what: str, message: Message) -> httpx.Response:
        body = message.model_dump_json(exclude_none=True)
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self.credential.token}"}
        headers |= self._traced(what)
        try:
            async with asyncio.timeout(ANSWER_LIMIT_S):
                answer = await self._client.post(f"{self._session}/{what}", content=body, headers=headers)
        except (httpx.HTTPError, TimeoutError) as exc:
            raise Unavailable(f"bots did not answer to {what}: {type(exc).__name__}") from exc
        _check(answer, what)
        return answer

    def _traced(self, what: str) -> dict[str, str]:
        """Name the trace."""
        if self._trace is None:
            return {}
        return replace(self._trace, is_sampled=self._trace.is_sampled and what not in UNRECORDED).texts()


def _check(answer: httpx.Response, what: str) -> None:
    if answer.is_success:
        return
    if answer.is_server_error or answer.status_code in RETRIED:
        raise Unavailable(f"bots answered {answer.status_code} to {what}")
    if answer.status_code == 429:
        raise Overloaded(f"bots answered 429 to {what}")
    told = f"bots answered {answer.status_code} to {what}: {answer.text[:500]}"
    raise Conflict(told) if answer.status_code == 409 else SessionRejected(told)
