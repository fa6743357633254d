"""One attempt to deliver: post, and say how it ended."""

import asyncio
import time
from collections.abc import Callable

import httpx

from vexa_events.errors import InvalidMessage
from vexa_events.tracing import current
from vexa_functions.webhooks.schedule import Outcome, Verdict, judge
from vexa_functions.webhooks.signing import signed_headers

USER_AGENT = "vexa-webhooks/1"


class Sender:
    """Posts bodies; `client` decides what can be reached."""

    def __init__(self, client: httpx.AsyncClient, *, timeout_s: float, clock: Callable[[], float] = time.time) -> None:
        """`timeout_s` bounds an attempt as a whole; `clock` gives seconds since 1970."""
        self._client = client
        self._timeout_s = timeout_s
        self._clock = clock

    async def send(self, url: str, body: str, *, secret: str | None) -> Outcome:
        """Post once; what the receiver answers beside its status is not read."""
        content = body.encode()
        headers = {"Content-Type": "application/json", "User-Agent": USER_AGENT}
        headers |= signed_headers(content, secret=secret, now_s=int(self._clock()))
        if context := current():
            headers |= context.texts()
        try:
            async with (
                asyncio.timeout(self._timeout_s),
                self._client.stream("POST", url, content=content, headers=headers) as answer,
            ):
                return judge(answer.status_code, retry_after=answer.headers.get("retry-after"))
        except InvalidMessage as exc:
            return Outcome(verdict=Verdict.FINAL, error=str(exc))
        except TimeoutError:
            return Outcome(verdict=Verdict.RETRY, error=f"the receiver did not answer within {self._timeout_s:g} s")
        except (httpx.HTTPError, httpx.InvalidURL) as exc:
            return Outcome(verdict=Verdict.RETRY, error=f"the receiver was not reached: {type(exc).__name__}")
