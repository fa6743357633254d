"""A Chromium of our own, started for one page and gone with it."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.async_api import Browser, Playwright, async_playwright
from playwright.async_api import Error as PlaywrightError

from vexa_bot.capture import AttendanceFailed

logger = logging.getLogger(__name__)
START_LIMIT_S = 30.0
CLOSE_LIMIT_S = 4.0
STOP_LIMIT_S = 2.0
FLAGS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--autoplay-policy=no-user-gesture-required",
)
"""Without the last one an audio context stays suspended until somebody clicks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chromium:
    """Which browser to start, and with what besides FLAGS."""

    path: Path
    flags: tuple[str, ...] = ()
    has_sandbox: bool = False
    """Whether it runs in its own sandbox, which needs user namespaces."""


@asynccontextmanager
async def open_chromium(chromium: Chromium) -> AsyncIterator[Browser]:
    """Start the browser; raise AttendanceFailed where there is none or it does not start."""
    if not await asyncio.to_thread(chromium.path.is_file):
        raise AttendanceFailed("browser_missing", f"no Chromium at {chromium.path}")
    async with _driver() as playwright:
        try:
            browser = await playwright.chromium.launch(
                executable_path=chromium.path,
                args=[*FLAGS, *chromium.flags],
                chromium_sandbox=chromium.has_sandbox,
                timeout=START_LIMIT_S * 1_000,
                handle_sigint=False,
                handle_sigterm=False,
                handle_sighup=False,
            )
        except PlaywrightError as exc:
            raise AttendanceFailed("browser_failed", f"Chromium did not start: {exc.message[:500]}") from exc
        try:
            yield browser
        finally:
            await _close(browser)


@asynccontextmanager
async def _driver() -> AsyncIterator[Playwright]:
    try:
        async with asyncio.timeout(START_LIMIT_S):
            playwright = await async_playwright().start()
    except (PlaywrightError, OSError) as exc:
        raise AttendanceFailed("browser_failed", f"the browser's driver did not start: {exc}"[:500]) from exc
    try:
        yield playwright
    finally:
        await _stop(playwright)


async def _stop(playwright: Playwright) -> None:
    try:
        async with asyncio.timeout(STOP_LIMIT_S):
            await playwright.stop()
    except TimeoutError:
        logger.warning("the browser's driver does not end; it goes with this process")


async def _close(browser: Browser) -> None:
    try:
        async with asyncio.timeout(CLOSE_LIMIT_S):
            await browser.close()
    except (PlaywrightError, TimeoutError) as exc:
        logger.warning("browser did not close in good order", extra={"cause": type(exc).__name__})
