"""What a platform does on a page: a few bounded steps in words of the meeting, not of the browser library."""

import re
from collections.abc import Awaitable, Callable

from playwright.async_api import Error as PlaywrightError
from playwright.async_api import Locator, Page
from playwright.async_api import TimeoutError as PlaywrightTimeout

from vexa_bot.browser.addresses import without_secrets
from vexa_events.errors import Unavailable

OPEN_LIMIT_S = 20.0
STEP_LIMIT_S = 15.0
GLANCE_LIMIT_S = 1.0
MAX_EVIDENCE = 1_000
"""Characters; an address may be far longer than a status may be."""


_Step = Callable[[], Awaitable[None]]


class StepFailed(Unavailable):
    """A step could not be done; loading the page again may help. Addresses are told without their secrets."""

    def __init__(self, reason: str, evidence: str) -> None:
        self.reason = reason
        self.evidence = without_secrets(evidence)[:MAX_EVIDENCE]
        super().__init__(f"{reason}: {self.evidence}")


class Steps:
    """One page, driven."""

    def __init__(self, page: Page) -> None:
        self.loading: str | None = None
        """The address from which nothing has come yet."""
        self._page = page

    async def open(self, url: str) -> None:
        """Load an address."""
        self.loading = url
        try:
            answer = await self._page.goto(url, wait_until="domcontentloaded", timeout=OPEN_LIMIT_S * 1_000)
        except PlaywrightError as exc:
            raise StepFailed("page_unreachable", f"{url}: {_first_line(exc)}") from exc
        self.loading = None
        if answer is not None and answer.status >= 400:
            raise StepFailed("page_unreachable", f"{url} answered {answer.status}")

    async def click(self, css: str, *, text: str | None = None) -> None:
        """Click the first visible element that fits."""
        await self._do(f"click {css}", lambda: self._locate(css, text).click(timeout=STEP_LIMIT_S * 1_000))

    async def fill(self, css: str, value: str) -> None:
        """Write into a field."""
        await self._do(f"fill {css}", lambda: self._locate(css, None).fill(value, timeout=STEP_LIMIT_S * 1_000))

    async def click_if_there(self, css: str, *, text: str | None = None) -> bool:
        """Click what may or may not come up; tell whether it was there."""
        return await self._try(lambda: self._locate(css, text).click(timeout=GLANCE_LIMIT_S * 1_000))

    async def fill_if_there(self, css: str, value: str) -> bool:
        """Write into a field that may or may not come up; tell whether it was there."""
        return await self._try(lambda: self._locate(css, None).fill(value, timeout=GLANCE_LIMIT_S * 1_000))

    async def wait_for(self, css: str) -> None:
        """Wait until one of the elements is visible."""
        await self._do(f"see {css}", lambda: self._locate(css, None).wait_for(timeout=STEP_LIMIT_S * 1_000))

    def _locate(self, css: str, text: str | None) -> Locator:
        found = self._page.locator(css)
        if text is not None:
            found = found.filter(has_text=re.compile(text, re.IGNORECASE))
        return found.filter(visible=True).first

    async def _do(self, what: str, step: _Step) -> None:
        try:
            await step()
        except PlaywrightError as exc:
            raise StepFailed(
                "join_timed_out", f"could not {what} at {self._page.url[:300]}: {_first_line(exc)}"
            ) from exc

    async def _try(self, step: _Step) -> bool:
        try:
            await step()
        except PlaywrightTimeout:
            return False
        except PlaywrightError as exc:
            raise StepFailed("join_timed_out", f"at {self._page.url[:300]}: {_first_line(exc)}") from exc
        return True


def _first_line(exc: PlaywrightError) -> str:
    return exc.message.partition("\n")[0][:300]
