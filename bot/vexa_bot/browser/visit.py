"""One page in one browser, from its first script to its end: messages out of it, evidence about it."""

import asyncio
import logging
import secrets
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from playwright.async_api import Browser, Dialog, Frame, Page, Request, WebSocket
from playwright.async_api import Error as PlaywrightError

from vexa_bot.browser.chromium import START_LIMIT_S, Chromium, open_chromium
from vexa_bot.browser.inbox import Inbox, Told
from vexa_bot.browser.memory import was_short_of_memory
from vexa_bot.browser.page_messages import PageFacts, PageMessage, parse_page_message
from vexa_bot.browser.page_script import page_script
from vexa_bot.browser.site import Site
from vexa_bot.browser.snapshot import Snapshot, merge
from vexa_bot.browser.steps import Steps
from vexa_bot.capture import AttendanceFailed
from vexa_events.errors import InvalidMessage

logger = logging.getLogger(__name__)
MAX_SIGNALS = 200
MAX_SIGNAL_CHARS = 64 * 1024
MAX_FAILED = 20
"""Resources that did not load; whether there are any is what counts."""
MUTE_LIMIT_S = 10.0
"""A page that tells nothing for this long hangs."""
NEEDED = frozenset({"script", "stylesheet", "document"})


@dataclass(slots=True)
class _Report:
    facts: PageFacts
    at_s: float


class Visit:
    """What is known of the page right now."""

    def __init__(self, page: Page, site: Site) -> None:
        self.steps = Steps(page)
        self.failed_resources: deque[str] = deque(maxlen=MAX_FAILED)
        self._page = page
        self._site = site
        self._inbox = Inbox()
        self._told: dict[Frame, _Report] = {}
        self._signals: deque[str] = deque(maxlen=MAX_SIGNALS)
        self._lost: str | None = None
        page.on("crash", self._note_crash)
        page.on("close", lambda _: self._lose("the page closed"))
        page.on("dialog", self._answer_dialog)
        page.on("websocket", self._listen)
        page.on("requestfailed", self._note_failed)
        # What was signalled to a document says nothing about the one that takes its place.
        page.on("domcontentloaded", lambda _: self._signals.clear())

    @property
    def gone_because(self) -> str | None:
        """Why there is no page any more; None while there is one."""
        return self._lost

    async def next_message(self, within_s: float) -> Told | None:
        """Wait for what is heard or who speaks; None where none came in time."""
        try:
            async with asyncio.timeout(within_s):
                return await self._inbox.next()
        except TimeoutError:
            return None

    def waiting_messages(self) -> list[Told]:
        """Take what came in and was not read yet."""
        return self._inbox.take_all()

    @property
    def is_heard_out(self) -> bool:
        """Whether all that came in was read."""
        return self._inbox.is_empty

    def facts(self) -> list[PageFacts]:
        """Return what each frame told last."""
        self._told = {frame: told for frame, told in self._told.items() if not frame.is_detached()}
        return [told.facts for told in self._told.values()]

    def snapshot(self) -> Snapshot:
        """Put the evidence together."""
        marks, people, connections = merge(self.facts())
        return Snapshot(
            marks=marks,
            people=people,
            connections=connections,
            signals=tuple(self._signals),
            url=self._page.url,
        )

    def forget(self) -> None:
        """Let go of evidence that a new attempt to join does not bear on."""
        self._signals.clear()
        self._told.clear()
        self.failed_resources.clear()

    @property
    def lost_because(self) -> str | None:
        """Tell why the page is gone or hangs; None while it does not."""
        now_s = time.monotonic()
        last_told_s = max((told.at_s for told in self._told.values()), default=now_s)
        if self._lost is None and now_s - last_told_s > MUTE_LIMIT_S:
            return f"the page told nothing for {MUTE_LIMIT_S:.0f} s"
        return self._lost

    def receive(self, source: dict[str, Any], text: str) -> None:
        """Take in what a page script tells."""
        try:
            message = parse_page_message(text)
        except InvalidMessage as exc:
            logger.warning("page message refused", extra={"cause": str(exc)[:500]})
            return
        self._take(message, source["frame"])

    def _take(self, message: PageMessage, frame: Frame) -> None:
        if isinstance(message, PageFacts):
            self._told[frame] = _Report(message, time.monotonic())
        else:
            self._inbox.put(message)

    def _note_crash(self, _: Page) -> None:
        self._lose("the page crashed" + (", out of memory" if was_short_of_memory() else ""))

    def _lose(self, why: str) -> None:
        self._lost = self._lost or why

    async def _answer_dialog(self, dialog: Dialog) -> None:
        logger.info("dialog answered", extra={"text": dialog.message[:1_000]})
        try:
            await dialog.accept()
        except PlaywrightError:
            logger.info("dialog was gone before it was answered")

    def _listen(self, socket: WebSocket) -> None:
        socket.on("framereceived", self._note_signal)

    def _note_signal(self, frame: str | bytes) -> None:
        if not isinstance(frame, str) or len(frame) > MAX_SIGNAL_CHARS:
            return
        if any(word in frame for word in self._site.lane.signal_words):
            self._signals.append(frame)

    def _note_failed(self, request: Request) -> None:
        if request.resource_type in NEEDED:
            self.failed_resources.append(f"{request.resource_type}: {request.failure}")


@asynccontextmanager
async def open_visit(chromium: Chromium, site: Site) -> AsyncIterator[Visit]:
    """Start a browser with one page that carries our scripts; raise AttendanceFailed where that fails."""
    async with open_chromium(chromium) as browser:
        try:
            async with asyncio.timeout(START_LIMIT_S):
                visit = await _new_page(browser, site)
        except (PlaywrightError, TimeoutError) as exc:
            raise AttendanceFailed("browser_failed", f"Chromium opened no page: {exc}"[:500]) from exc
        yield visit


async def _new_page(browser: Browser, site: Site) -> Visit:
    context = await browser.new_context(viewport={"width": 1280, "height": 800}, locale="en-US")
    page = await context.new_page()
    visit = Visit(page, site)
    binding = f"_{secrets.token_hex(8)}"
    await context.expose_binding(binding, visit.receive)
    await context.add_init_script(page_script(site.marks, binding=binding))
    return visit
